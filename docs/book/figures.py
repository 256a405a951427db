"""Draws images/method.svg and images/results.svg of the book. Run: python3 docs/book/figures.py"""

import math
from pathlib import Path

IMAGES = Path(__file__).parent / "src/images"
BLUE, ORANGE, GREEN, GRAY = "#0072b2", "#d55e00", "#009e73", "#777777"


def svg(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    return head + 'font-family="sans-serif" font-size="13" fill="#222">\n' + "\n".join(parts) + "\n</svg>\n"


def method():
    """One action dimension along a line of states through two memories: the box of the formula and an action inside it."""
    left, top, wide, high = 60, 20, 620, 240
    memories = [(0.25, 0.6), (0.7, -0.3)]  # place on the line (0 to 1), action
    rate = 7.0  # lambda, for a line of length 1

    def at(place, action):
        return f"{left + place * wide:.1f},{top + (1.05 - action) / 2.1 * high:.1f}"

    lower, upper, action = [], [], []
    for i in range(401):
        x = i / 400
        place, memory = min(memories, key=lambda m: abs(m[0] - x))
        weight = math.exp(-rate * abs(place - x))
        center, radius = weight * memory, 1 - weight
        output = max(-1.0, min(1.0, 0.75 * math.sin(7 * x + 0.4)))
        lower.append(at(x, center - radius))
        upper.append(at(x, center + radius))
        action.append(at(x, center + radius * output))
    parts = [
        f'<rect width="700" height="310" fill="#fff"/>',
        f'<polygon points="{" ".join(upper + lower[::-1])}" fill="#cfe3f1"/>',
        f'<polyline points="{" ".join(action)}" fill="none" stroke="{ORANGE}" stroke-width="2"/>',
    ]
    for value in (-1, 0, 1):
        x, y = at(0, value).split(",")
        parts.append(f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{value}</text>')
        parts.append(f'<path d="M{x} {y}h{wide}" stroke="#bbb" stroke-dasharray="2 4"/>')
    for number, (place, value) in enumerate(memories, 1):
        x, y = at(place, value).split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{BLUE}"/>')
        parts.append(f'<text x="{float(x) + 9:.1f}" y="{float(y) - 9:.1f}" fill="{BLUE}">memory {number}</text>')
    parts += [
        f'<text x="{left + wide / 2}" y="{top + high + 20}" text-anchor="middle">state (a line through two memories)</text>',
        f'<text transform="translate(20 {top + high / 2}) rotate(-90)" text-anchor="middle">action</text>',
        f'<rect x="{left}" y="288" width="14" height="12" fill="#cfe3f1"/><text x="{left + 20}" y="299">permissible region: center plus and minus radius</text>',
        f'<path d="M{left + 350} 294h24" stroke="{ORANGE}" stroke-width="2"/><text x="{left + 380}" y="299">action f(x): always inside</text>',
    ]
    return svg(700, 310, parts)


# From results/demonstrations.md: mean score and 95 % interval of MCNN, BC (clamp) and 1-NN.
SCORES = {
    "hammer, 5": ((58.2, 34.0, 82.4), (32.1, 7.2, 57.1), (122.8, 120.3, 125.3)),
    "hammer, 25": ((125.0, 122.2, 127.7), (120.3, 111.6, 128.9), (124.8, 122.3, 127.3)),
    "pen, 5": ((47.4, 36.0, 58.9), (28.2, 20.2, 36.2), (36.4, 24.5, 48.2)),
    "pen, 25": ((80.7, 69.4, 92.0), (85.6, 73.8, 97.4), (79.5, 65.9, 93.0)),
    "pen, 100": ((88.4, 76.5, 100.3), (91.7, 77.5, 105.8), (87.8, 74.8, 100.7)),
    "relocate, 25": ((66.2, 61.0, 71.5), (65.8, 56.5, 75.1), (6.4, 3.4, 9.3)),
    "relocate, 100": ((96.5, 91.4, 101.6), (99.6, 96.6, 102.6), (11.1, 7.7, 14.5)),
}


def results():
    """Scores with intervals, a row for each task and number of demonstrations."""
    left, top, wide, row = 120, 46, 540, 34
    bottom = top + row * len(SCORES)

    def at(score):
        return left + score / 140 * wide

    parts = [f'<rect width="700" height="{bottom + 40}" fill="#fff"/>']
    for score in range(0, 141, 20):
        parts.append(f'<path d="M{at(score):.1f} {top}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{at(score):.1f}" y="{bottom + 16}" text-anchor="middle">{score}</text>')
    parts.append(f'<text x="{left + wide / 2}" y="{bottom + 34}" text-anchor="middle">score (0: random actions, 100: the expert)</text>')
    methods = (("MCNN", BLUE), ("BC, same network", ORANGE), ("1-NN", GRAY))
    for i, (name, color) in enumerate(methods):
        parts.append(f'<circle cx="{left + 10 + 170 * i}" cy="20" r="5" fill="{color}"/><text x="{left + 22 + 170 * i}" y="25">{name}</text>')
    for i, (task, scores) in enumerate(SCORES.items()):
        parts.append(f'<text x="{left - 10}" y="{top + row * i + 21}" text-anchor="end">{task}</text>')
        for j, ((mean, low, high), (_, color)) in enumerate(zip(scores, methods)):
            y = top + row * i + 8 + 9 * j
            parts.append(f'<path d="M{at(low):.1f} {y}H{at(high):.1f}" stroke="{color}" stroke-width="2"/>')
            parts.append(f'<circle cx="{at(mean):.1f}" cy="{y}" r="4" fill="{color}"/>')
    return svg(700, bottom + 40, parts)


if __name__ == "__main__":
    (IMAGES / "method.svg").write_text(method())
    (IMAGES / "results.svg").write_text(results())

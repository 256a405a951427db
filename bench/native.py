"""The choice of instructions when the program runs, against the same code compiled for this processor alone.

Run by `bench/run.sh --native`, since everything is compiled again, into target/native. Ours is the program as it is shipped; the peer
is the same with `-C target-cpu=native`. Alternating rounds.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import table
from made import paths, scattered
from recall import SHAPES, Ours

ROUNDS = 3 if "--quick" in sys.argv else 7
TARGETS = [table.TARGET, f"{table.TARGET}/native"]


def say(work, times, error):
    m, p, ratio = table.row(f"{work}; compiled for this processor", *times, "us", error=error)
    print(f"| {work} | {m:.3g} us | {p:.3g} us | {ratio:.2f}x |", flush=True)


def in_turns(*sides):
    times = [[], []]
    for turn in range(ROUNDS + 1):
        for k in (0, 1) if turn % 2 else (1, 0):
            times[k].append(sides[k]())
    return [found[1:] for found in times]  # the first round is for the caches


def bench_recall(make, n, dim):
    rows, queries = make(np.random.default_rng(0), n, 2000, dim)
    with tempfile.TemporaryDirectory() as folder:
        for label, work, asked in (("one query", "nearest", queries[:400]), ("2,000 at once", "many", queries)):
            own = [tempfile.mkdtemp(dir=folder) for _ in TARGETS]  # each reads its files while the other's are written
            both = [Ours(place, rows, np.ascontiguousarray(asked), target) for place, target in zip(own, TARGETS)]
            answers = [{}, {}]

            def side(k):
                answers[k] = both[k].round(work)
                return answers[k]["us"]

            times = in_turns(lambda: side(0), lambda: side(1))
            assert all(answers[0][name] == answers[1][name] for name in ("index", "d2"))
            say(f"recall, {label}, {n:,} x {dim}, {make.__name__}", times, "the same bits")
            for one in both:
                one.close()


def bench_act(backbone, steps):
    def side(target):
        command = [f"{target}/release/examples/bench_policy", "act", "672", "45", "24", str(steps), backbone]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["p50"]

    say(f"one action, {backbone}, 672 memories x 45", in_turns(lambda: side(TARGETS[0]), lambda: side(TARGETS[1])), "")


def main():
    table.build()
    command = ["cargo", "build", "--locked", "--release", "--quiet", "--workspace", "--exclude", "mcnn-gpu", "--examples", "--target-dir", TARGETS[1]]
    subprocess.run(command, check=True, env=os.environ | {"RUSTFLAGS": "-C target-cpu=native"})
    print(f"\n| work ({ROUNDS} alternating rounds, medians) | chosen at run time | for this processor | ratio |\n|---|---|---|---|")
    for make in (scattered, paths):
        for n, dim in SHAPES[:2]:
            bench_recall(make, n, dim)
    for backbone, steps in (("mlp", 3000), ("diffusion", 1000)):
        bench_act(backbone, steps)


if __name__ == "__main__":
    main()

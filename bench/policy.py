"""The fixed-size gas, the MLP's training step and one action: ours against the peer, in alternating rounds.

Run by bench/run.sh. The peers do the same work from the description of the authors' method: the gas in NumPy, training
and acting in PyTorch. One table: work, ours, peer, ratio, and the error of the answer.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

ROUNDS = 3 if "--quick" in sys.argv else 7
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")


def build():
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "-p", "mcnn-cli", "-p", "mcnn", "--bins", "--examples"], check=True
    )


def ours(*args):
    out = subprocess.run([f"{TARGET}/release/examples/bench_policy", *map(str, args)], check=True, capture_output=True)
    return json.loads(out.stdout)


def row(work, mine, peer, unit, note):
    m, p = statistics.median(mine), statistics.median(peer)
    print(f"| {work} | {m:.3g} {unit} | {p:.3g} {unit} | {p / m:.1f}x | {note} |", flush=True)


def numpy_gas(rows, memories, seed):
    """Neural gas as the authors ran it: as many nodes as memories, one pass, eps 0.2 and 0.05, edges aged to 100."""
    rng = np.random.default_rng(seed)
    nodes = rows[rng.permutation(len(rows))[:memories]].copy()
    errors = np.zeros(memories)
    edges = [dict() for _ in range(memories)]
    start = time.perf_counter()
    for x in rows[rng.permutation(len(rows))]:
        d2 = ((nodes - x) ** 2).sum(1)
        a, b = np.argpartition(d2, 1)[:2]
        if d2[b] < d2[a]:
            a, b = b, a
        errors[a] += np.sqrt(d2[a])
        nodes[a] += 0.2 * (x - nodes[a])
        for n in list(edges[a]):
            nodes[n] += 0.05 * (x - nodes[n])
            age = edges[a][n] + 1
            if age > 100:
                del edges[a][n], edges[n][a]
            else:
                edges[a][n] = edges[n][a] = age
        edges[a][b] = edges[b][a] = 0
        errors *= 0.9995
    seconds = time.perf_counter() - start
    distance = np.mean([np.sqrt(((nodes - x) ** 2).sum(1).min()) for x in rows[::20]])
    return seconds, distance


def bench_gas(folder):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((20_000, 10)) @ rng.standard_normal((10, 45))).astype(np.float32)
    path = os.path.join(folder, "rows.f32")
    rows.tofile(path)
    mine, peer = [], []
    for k in range(min(ROUNDS, 3)):  # the peer takes seconds
        answer = ours("gas", path, 45, 2000)
        seconds, distance = numpy_gas(rows, 2000, k)
        mine.append(answer["seconds"])
        peer.append(seconds)
    note = f"mean distance {answer['mean_distance']:.3f}, peer {distance:.3f}"
    row("gas, fixed size, 20,000 x 45 into 2,000", mine, peer, "s", note)


def torch_step(threads):
    torch.set_num_threads(threads)
    n = 2500
    x, a, c, r = torch.randn(n, 45), torch.rand(n, 24) * 2 - 1, torch.rand(n, 24) - 0.5, torch.rand(n, 1)
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-4)

    def steps(count):
        for _ in range(count):
            i = torch.randint(n, (256,))
            loss = ((c[i] + r[i] * net(x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()

    steps(50)
    start = time.perf_counter()
    steps(500)
    return (time.perf_counter() - start) / 500 * 1e3


def bench_train(folder):
    rng = np.random.default_rng(1)
    data, memories, policy = (os.path.join(folder, name) for name in ("d.npz", "m.safetensors", "p.safetensors"))
    states = rng.standard_normal((2500, 45)).astype(np.float32)
    actions = rng.uniform(-1, 1, (2500, 24)).astype(np.float32)
    np.savez(data, states=states, actions=actions, episode_ends=np.arange(100, 2501, 100))
    mcnn = f"{TARGET}/release/mcnn"
    subprocess.run([mcnn, "learn", data, "-o", memories], check=True, capture_output=True)
    for threads in (1, 2):
        mine, peer = [], []
        for _ in range(ROUNDS):
            command = [mcnn, "train", data, memories, "-o", policy, "--steps", "500", "--check-on", "0", "--force", "--json"]
            out = subprocess.run(command, check=True, capture_output=True)
            mine.append(1e3 / json.loads(out.stdout)["steps_per_second"])
            peer.append(torch_step(threads))
        note = "losses equal PyTorch's to 2e-5 over 130 steps (a test)"
        row(f"MLP training step, 45-256-256-24, batch 256; ours on 1 thread, the peer on {threads}", mine, peer, "ms", note)


def torch_act(memories, steps=300):
    torch.set_num_threads(1)
    book, actions = torch.randn(memories, 45), torch.rand(memories, 24) * 2 - 1
    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(45, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 24))
    times = []
    with torch.no_grad():
        for _ in range(steps):
            x = np.random.randn(45).astype(np.float32)
            start = time.perf_counter()
            t = torch.from_numpy(x)[None]
            d, i = torch.cdist(t, book).min(1)
            w = torch.exp(-0.1 * d)
            (w * actions[i] + (1 - w) * net(t).clamp(-1, 1)).numpy()
            times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def bench_act():
    for memories in (672, 10_000):
        mine, peer, tail = [], [], []
        for _ in range(ROUNDS):
            answer = ours("act", memories, 45, 24, 3000)
            mine.append(answer["p50"])
            tail.append(answer["p99"])
            peer.append(torch_act(memories))
        note = f"exact; p99 {statistics.median(tail):.3g} us"
        row(f"one action, MLP, {memories:,} memories x 45", mine, peer, "us", note)


if __name__ == "__main__":
    build()
    print(f"| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | answer |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench_gas(folder)
        bench_train(folder)
    bench_act()

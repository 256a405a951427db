"""The fixed-size gas, the networks' training step and one action: ours against the peer, in alternating rounds.

Run by bench/run.sh (`--diffusion`, `--bet`, `--unet`, `--resmlp`, `--retrieval`: the rows of that backbone alone). The peers do the same work from the description of the
authors' method: the gas in NumPy, training and acting in PyTorch. One table: work, ours, peer, ratio, and the error of the answer.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

import numpy as np
import torch

import chunks
import networks
import table
from resmlp import ResidualMlp
from unet import Unet

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 5
TARGET = table.TARGET
# Multiply-adds of a training step, forward and backward, and of an action: the counts of bench/README.md.
STEPS = {"mlp": 3 * 256 * 83e3, "diffusion": 3 * 256 * 159e3, "bet": 3 * 640 * 1.05e6, "unet": 3 * 256 * 3.8e6}
STEPS["resmlp"] = 3 * 256 * 2.04e6
STEPS["retrieval"] = 256 * (3 * 101e3 - 29e3)  # no gradient with respect to the input
ACTIONS = {"mlp": 83e3, "diffusion": 5 * 143e3 + 45 * 256, "bet": 9.1e6, "unet": 38e6}
ACTIONS["resmlp"] = 10 * 1.96e6 + 90 * 512
ACTIONS["retrieval"] = 10 * 72e3 + 45 * 256


def ours(*args):
    out = subprocess.run([f"{TARGET}/release/examples/bench_policy", *map(str, args)], check=True, capture_output=True)
    return json.loads(out.stdout)


def row(work, mine, peer, unit, least, note):
    m, p, ratio = table.row(work, mine, peer, unit, least, note)
    print(f"| {work} | {m:.3g} {unit} | {p:.3g} {unit} | {ratio:.1f}x | {least:.2g} {unit} | {note} |", flush=True)


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
    row("gas, fixed size, 20,000 x 45 into 2,000", mine, peer, "s", table.floor(20_000 * 2000 * 45 * 3), note)


def bench_train(backbones):
    known = {
        "mlp": ("MLP training step, 45-256-256-24", networks.torch_step, "losses equal PyTorch's to 2e-5 over 130 steps (a test)"),
        "diffusion": (
            "diffusion training step, 85-256-256-256-24 with the running mean",
            networks.torch_diffusion_step,
            "losses equal PyTorch's to 1e-4 over 50 steps (a test)",
        ),
        "bet": (
            "bet training step, 6 blocks of 120, windows of 10",
            networks.torch_bet_step,
            "losses equal PyTorch's to 1e-4 over 25 steps (a test)",
        ),
        "unet": (
            "U-Net training step, 32, 64 and 128 channels, 16 actions of 24, with the running mean",
            partial(chunks.step, Unet, partial(torch.optim.AdamW, lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)),
            "losses equal PyTorch's to 1e-3 over 40 steps (a test)",
        ),
        "resmlp": (
            "residual MLP training step, 3 blocks of 512, 16 actions of 24, with the running mean",
            partial(chunks.step, ResidualMlp, partial(torch.optim.AdamW, lr=1e-3, weight_decay=1e-6)),
            "parameters equal PyTorch's over 20 steps (a test)",
        ),
        "retrieval": (
            "retrieval training step, 114-256-256-24",
            networks.torch_retrieval_step,
            "losses equal PyTorch's to 2e-5 over 130 steps (a test)",
        ),
    }
    for backbone in backbones:
        work, torch_one, note = known[backbone]
        steps, batch = {"bet": (60, 64), "unet": (25, 256), "resmlp": (25, 256)}.get(backbone, (500, 256))
        for threads in (1,) if QUICK else (1, 2):
            mine, peer = [], []
            for _ in range(ROUNDS):
                mine.append(ours("step", backbone, threads, steps)["ms"])
                peer.append(torch_one(threads))
            least = 1e3 * table.floor(STEPS[backbone], threads=threads)
            row(f"{work}, batch {batch}; {threads} thread{'s'[: threads - 1]} each", mine, peer, "ms", least, note)


def unconditioned(make):
    """A network that does not see memories, in the form of one that does."""

    def with_memories(states, actions):
        predict = make()
        return lambda x, near, constrain: predict(x, constrain)

    return with_memories


def torch_act(memories, make, near=1, steps=300):
    """The median time of an action. `make`: a function of the memories' states and actions that gives the network."""
    torch.set_num_threads(1)
    book, actions = torch.randn(memories, 45), torch.rand(memories, 24) * 2 - 1
    predict, times = make(book, actions), []
    with torch.no_grad():
        for _ in range(steps):
            x = np.random.randn(45).astype(np.float32)
            start = time.perf_counter()
            t = torch.from_numpy(x)[None]
            if near == 1:
                d, i = torch.cdist(t, book).min(1)
                j = i
            else:
                d, j = (found[0] for found in torch.cdist(t, book).topk(near, largest=False))
                d, i = d[:1], j[:1]
            w = torch.exp(-0.1 * d)
            predict(t, j, lambda g: w * actions[i] + (1 - w) * g.clamp(-1, 1)).numpy()
            times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def bench_act(backbones):
    known = {"mlp": networks.mlp_predictor, "diffusion": networks.diffusion_predictor}
    known |= {"bet": networks.bet_predictor, "unet": partial(chunks.predictor, Unet), "resmlp": partial(chunks.predictor, ResidualMlp)}
    known = {name: unconditioned(make) for name, make in known.items()}
    known["retrieval"] = networks.retrieval_predictor
    for backbone in backbones:
        samples_chunks = backbone in ("unet", "resmlp")
        for memories in (672, 10_000):
            mine, peer, tail = [], [], []
            for _ in range(ROUNDS):
                answer = ours("act", memories, 45, 24, 800 if samples_chunks else 3000, backbone)
                mine.append(answer["p50"])
                tail.append(answer["p99"])
                near, steps = 10 if backbone == "retrieval" else 1, 40 if samples_chunks else 300
                peer.append(torch_act(memories, known[backbone], near, steps))
            note = f"exact; p99 {statistics.median(tail):.3g} us"
            what = "one chunk of 8 executed actions" if samples_chunks else "one action"
            least = 1e6 * table.floor(ACTIONS[backbone])
            row(f"{what}, {backbone}, {memories:,} memories x 45", mine, peer, "us", least, note)


if __name__ == "__main__":
    backbones = ["mlp", "diffusion", "bet", "unet", "resmlp", "retrieval"]
    backbones = [name for name in backbones if f"--{name}" in sys.argv] or backbones
    table.build()
    print(f"| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | floor | answer |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if "mlp" in backbones:
            bench_gas(folder)
    bench_train(backbones)
    bench_act(backbones)

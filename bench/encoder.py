"""A step of training the small encoder of frames: ours against PyTorch, in alternating rounds on the same threads.

Run by bench/run.sh. The same network, batches drawn from frames kept as bytes, Adam; PyTorch runs eagerly in the faster of
its two memory formats. A round is the best of a second of steps, since other work moves single ones.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

import table

ROUNDS = 3 if "--quick" in sys.argv else 5
TARGET = table.TARGET
PRODUCTS = {48: 8.1e6, 96: 32.3e6}  # multiply-adds of a frame by its side, forward and back


def network(side):
    layers = []
    for i, o in ((3, 32), (32, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU()]
    last = 64 * math.ceil(side / 16) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(last, 64), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2))


def torch_time(side, batch, threads, layout):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    n = 1000
    frames = torch.randint(256, (n, 3, side, side), dtype=torch.uint8).contiguous(memory_format=layout)
    actions = torch.rand(n, 2) * 2 - 1
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    net = network(side).to(memory_format=layout)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < 1.0 or len(times) < 8:
        before = time.perf_counter()
        rows = torch.randint(n, (batch,))
        loss = nn.functional.mse_loss(net((frames[rows].float() / 255 - mean) / std), actions[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()
        times.append(time.perf_counter() - before)
    return 1e3 * min(times)


def main():
    table.build()
    print(f"| a step of training ({ROUNDS} alternating rounds, medians) | ours | PyTorch | ratio |\n|---|---|---|---|")
    for side, batch, threads in ((48, 128, 2), (48, 128, 1), (96, 128, 2)):
        mine, peers = [], {torch.contiguous_format: [], torch.channels_last: []}
        for _ in range(ROUNDS):
            command = [f"{TARGET}/release/examples/bench_encoder", str(side), str(batch), str(threads)]
            answer = subprocess.run(command, check=True, capture_output=True)
            mine.append(json.loads(answer.stdout)["milliseconds"])
            for layout, peer in peers.items():
                peer.append(torch_time(side, batch, threads, layout))
        m, peer = statistics.median(mine), min(peers.values(), key=statistics.median)
        p = statistics.median(peer)
        work = f"{batch} frames of {side} x {side}, {threads} thread{'s' * (threads > 1)}"
        least = 1e3 * table.floor(batch * PRODUCTS[side], threads=threads)
        table.row(f"encoder training step, {work}", mine, peer, "ms", least)
        print(f"| {work} | {m:.3g} ms | {p:.3g} ms | {p / m:.2f}x |", flush=True)


main()

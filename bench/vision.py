"""Embedding frames with a ResNet-34: ours against PyTorch, in alternating rounds on the same threads.

Run by bench/run.sh. The weights are random, the same on both sides, passed as a file that torch.save wrote. PyTorch runs
the faster of its two memory formats. A round is the best of a second. One table: work, ours, peer, ratio, and the largest difference of the embeddings.
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
import torchvision

import table

ROUNDS = 3 if "--quick" in sys.argv else 5
TARGET = table.TARGET
PRODUCTS = {48: 131e6, 224: 3.36e9}  # multiply-adds of a frame by its side, those with the padding's zeros left out


def torch_speed(net, frames, threads):
    torch.set_num_threads(threads)
    best = 0.0
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            model, images = net.to(memory_format=layout), frames.contiguous(memory_format=layout)
            model(images)
            times = []
            start = time.perf_counter()
            while time.perf_counter() - start < 1.0:
                before = time.perf_counter()
                model(images)
                times.append(time.perf_counter() - before)
            best = max(best, len(frames) / min(times))
    return best


def main():
    table.build()
    torch.manual_seed(0)
    net = torchvision.models.resnet34(weights=None)
    for module in net.modules():  # statistics that folding must not lose
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    print(f"| work ({ROUNDS} alternating rounds, medians) | ours | PyTorch | ratio | largest difference |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        weights, raw, out = (os.path.join(folder, name) for name in ("w.pth", "frames.f32", "out.f32"))
        torch.save(net.state_dict(), weights)
        net.fc = torch.nn.Identity()
        net.eval()
        for n, size, threads in ((64, 48, 2), (64, 48, 1), (1, 48, 1), (8, 224, 2), (1, 224, 1)):
            frames = torch.randn(n, 3, size, size)
            frames.permute(0, 2, 3, 1).contiguous().numpy().tofile(raw)
            arguments = [weights, raw, n, size, size, threads, out]
            mine, peer = [], []
            for _ in range(ROUNDS):
                command = [f"{TARGET}/release/examples/bench_vision", *map(str, arguments)]
                answer = subprocess.run(command, check=True, capture_output=True)
                mine.append(json.loads(answer.stdout)["images_per_second"])
                peer.append(torch_speed(net, frames, threads))
            with torch.inference_mode():
                expected = net(frames).numpy()
            error = np.abs(np.fromfile(out, np.float32).reshape(expected.shape) - expected).max()
            m, p = statistics.median(mine), statistics.median(peer)
            work = f"{n} x 3 x {size} x {size}, {threads} thread{'s' * (threads > 1)}"
            least = 1 / table.floor(PRODUCTS[size], threads=threads)
            table.row(f"ResNet-34, {work}", mine, peer, "frames/s", least, f"{error:.1e} of {np.abs(expected).max():.2g}")
            print(f"| {work} | {m:.3g}/s | {p:.3g}/s | {m / p:.2f}x | {error:.1e} of {np.abs(expected).max():.2g} |", flush=True)


main()

"""Embedding preprocessed frames on a GPU: ours (the example bench_embed) beside PyTorch: `gpu_embed.py PROGRAM NETWORK FRAMES SIDE ROUNDS`.

The weights are random, the same on both sides. PyTorch's network has its batch normalization folded too, and runs the faster of its two
memory formats, with f32 and with TF32. Both start from frames in memory and end with embeddings there; "on the card" is PyTorch
without the copies. Errors are relative to the length of an embedding, the largest of all frames, against PyTorch in f64 on the processor, of the
first frames. MCNN_BENCH_TORCH names PyTorch's device [default: cuda]; another than a GPU's tries the script, and its times compare nothing.
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
from torch.fx.experimental.optimization import fuse

EXACT = 16  # frames embedded in f64


def network(name):
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None)
    for module in net.modules():  # statistics that folding must not lose
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net


def median(work, rounds):
    def once():
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(rounds))


def main():
    program, name = sys.argv[1:3]
    n, side, rounds = map(int, sys.argv[3:6])
    device = os.environ.get("MCNN_BENCH_TORCH", "cuda")
    net = network(name)
    frames = torch.randn(n, 3, side, side)
    with tempfile.TemporaryDirectory() as folder:
        weights, raw, out = (os.path.join(folder, name) for name in ("w.pth", "frames.f32", "out.f32"))
        torch.save(net.state_dict(), weights)
        frames.permute(0, 2, 3, 1).contiguous().numpy().tofile(raw)
        arguments = [program, name, weights, raw, str(side), str(rounds), out]
        ours = json.loads(subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout)
        found = torch.from_numpy(np.fromfile(out, "<f4").reshape(n, -1)).double()
    net.fc = torch.nn.Identity()
    net = fuse(net.eval())

    def error(embeddings):
        embeddings = embeddings[: len(exact)].double()
        return ((embeddings - exact).norm(dim=1) / exact.norm(dim=1)).max().item()

    with torch.inference_mode():
        exact = net.double()(frames[:EXACT].double())
        net.float().to(device)
        torch.backends.cudnn.benchmark = True
        card = torch.cuda.get_device_name() if device.startswith("cuda") else f"{device}, NOT A GPU: times compare nothing"
        print(f"{name}, {n} frames of {side} x {side}, on {ours['device']}, PyTorch {torch.__version__} on {card}; medians of {rounds} rounds, in ms")
        own = statistics.median(ours["seconds"])
        print(f"  ours           copied {1e3 * own:10.2f}                           largest error {error(found):.1e}")
        for tf32 in (False, True):
            torch.backends.cudnn.allow_tf32 = tf32
            torch.backends.cuda.matmul.allow_tf32 = tf32
            best = {}
            for layout in (torch.contiguous_format, torch.channels_last):
                model, images = net.to(memory_format=layout), frames.contiguous(memory_format=layout)
                there = images.to(device)
                for which, work in (("copied", lambda: model(images.to(device)).cpu()), ("there", lambda: model(there))):
                    best[which] = min(best.get(which, float("inf")), median(work, rounds))
                theirs = model(there).cpu()
            copied, resident = best["copied"], best["there"]
            print(
                f"  PyTorch, {'TF32' if tf32 else 'f32 '}  copied {1e3 * copied:10.2f}, on the card {1e3 * resident:10.2f}   largest error {error(theirs):.1e}"
                f"   ours / PyTorch's time: {own / copied:.2f}"
            )


main()

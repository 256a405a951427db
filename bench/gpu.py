"""PyTorch's cdist and min on the GPU, beside the times of bench_search: `gpu.py QUERIES ROWS DIM ROUNDS FOLDER`, with the line that bench_search
printed as standard input."""

import json
import os
import statistics
import sys
import time

import numpy as np
import torch

m, n, dim, rounds = map(int, sys.argv[1:5])
folder = sys.argv[5]
ours = json.load(sys.stdin)
rows = torch.from_numpy(np.fromfile(f"{folder}/rows.f32", "<f4").reshape(n, dim))
queries = torch.from_numpy(np.fromfile(f"{folder}/queries.f32", "<f4").reshape(m, dim))
found = torch.from_numpy(np.fromfile(f"{folder}/found.i32", "<i4").astype(np.int64))


def nearest(rows, queries, direct):
    """The nearest rows, by direct differences as ours, or by a product of matrices."""
    mode = "donot_use_mm_for_euclid_dist" if direct else "use_mm_for_euclid_dist"
    part = max(1, 2**31 // len(rows))  # of the queries: their distances are 8 GiB at most
    return torch.cat([torch.cdist(q, rows, compute_mode=mode).min(1).indices for q in queries.split(part)])


def median(work):
    work()
    torch.cuda.synchronize()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


there, queries_there = rows.cuda(), queries.cuda()
print(f"{m} queries x {n} rows x {dim} on {ours['device']}, PyTorch on {torch.cuda.get_device_name()}; medians of {rounds} rounds, in ms")
print(f"  ours, with all copies                 {1e3 * statistics.median(ours['gpu']):10.2f}")
print(f"  ours, proven on the processor         {1e3 * statistics.median(ours['exact']):10.2f}   {ours['repeated_on_cpu']} of {ours['queries']} queries again")
for direct, name in [(True, "differences"), (False, "product of matrices")]:
    resident = median(lambda: nearest(there, queries_there, direct).cpu())
    copied = median(lambda: nearest(rows.cuda(), queries.cuda(), direct).cpu())
    index = nearest(there, queries_there, direct).cpu()
    exact = (queries.double() - rows[index].double()).norm(dim=1)
    mine = (queries.double() - rows[found].double()).norm(dim=1)
    farther, nearer = int((exact > mine).sum()), int((exact < mine).sum())
    print(f"  cdist by {name:20} copied {1e3 * copied:10.2f}, on the card {1e3 * resident:10.2f}   row farther than ours: {farther}, nearer: {nearer}")

size, operations = 4 * dim * (n + m), 3 * m * n * dim
print(f"  floor: {size / 1e9:.3f} GB and {operations / 1e12:.3f} T operations (subtract, multiply, add)")
for name, amount, unit in [("GPU_GBS", size / 1e9, "memory"), ("GPU_TFLOPS", operations / 1e12, "arithmetic")]:
    if name in os.environ:
        print(f"    {unit} at {os.environ[name]} ({name}): {1e3 * amount / float(os.environ[name]):.3f} ms")

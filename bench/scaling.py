"""Scaling of time and memory: of a retrieval in memories and dimensions, of selecting memories in the size of the data.

Run by bench/run.sh. One table a question, with exponents: the slope of a least-squares line on log-log axes, over all
sizes and over the last tenfold, since constant costs hide the growth of small ones. There is no peer. `--quick`
stops at 10^5 memories and rows, a tenth of the rest.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import table
from made import mixed, paths, scattered
from recall import Ours

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 3
MOST = 5 if QUICK else 6  # the largest size, as a power of ten
DIM, MEMORIES = 45, 1000


def slope(sizes, costs):
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def exponents(what, sizes, costs):
    """Prints the exponent over all sizes, and over those within the last tenfold."""
    last = [i for i, size in enumerate(sizes) if 10.01 * size >= sizes[-1]]
    whole, end = slope(sizes, costs), slope([sizes[i] for i in last], [costs[i] for i in last])
    table.row(f"exponent of {what}", [whole], [], "", error=f"over the last tenfold {end:.2f}")
    print(f"\nexponent of {what}: {whole:.2f}, over the last tenfold {end:.2f}\n", flush=True)


def resident(process):
    """The resident memory of a process, in bytes."""
    with open(f"/proc/{process}/status") as file:
        return 1024 * int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def recall(make, n, dim, folder):
    """Microseconds per query in each round, the floor of reading all rows, and the memory of the table in bytes."""
    rows, queries = make(np.random.default_rng(0), n, 400, dim)
    ours = Ours(folder, rows, np.ascontiguousarray(queries))
    work = "from" if make is paths else "nearest"
    ours.round(work)
    times = [ours.round(work)["us"] for _ in range(ROUNDS)]
    floor = max(ours.round("stream")["us"], 1e6 * table.floor(3 * n * dim))
    memory = resident(ours.program.pid) - 4 * (rows.size + queries.size)  # without the program's copies of both
    ours.close()
    return times, floor, memory


def recalls(what, shapes, folder):
    for make in (scattered, paths):
        print(f"| {make.__name__}: {what} | us a query | floor of reading all | memory |\n|---|---|---|---|")
        costs = []
        for n, dim in shapes:
            times, floor, memory = recall(make, n, dim, folder)
            label = f"{n:,} x {dim}"
            memory = f"{memory / 1e6:.1f} MB"
            costs.append(table.row(f"scaling of recall, {label}, {make.__name__}", times, [], "us", floor, memory)[0])
            print(f"| {label} | {costs[-1]:.3g} | {floor:.3g} | {memory} |", flush=True)
        sizes = [n if what == "memories" else dim for n, dim in shapes]
        exponents(f"a recall in {what}, {make.__name__}", sizes, costs)


def learn(n, folder):
    """Seconds of one pass of neural gas, and the peak memory of the process in bytes."""
    rows, path = mixed(np.random.default_rng(0), n, 0, DIM)[0], os.path.join(folder, "rows.f32")
    rows.tofile(path)
    command = [f"{table.TARGET}/release/examples/bench_policy", "gas", path, str(DIM), str(MEMORIES)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer["seconds"], answer["most_memory"]


def learning(folder):
    print(f"| rows of {DIM}, one pass of the gas into {MEMORIES:,} memories | seconds | floor | most memory |\n|---|---|---|---|")
    sizes, costs = [10**k for k in range(3, MOST + 1)], []
    for n in sizes:
        found = [learn(n, folder) for _ in range(ROUNDS if n < 10**6 else 1)]
        times, memory = [one[0] for one in found], f"{max(one[1] for one in found) / 1e6:.0f} MB"
        floor = table.floor(3 * n * MEMORIES * DIM)
        work = f"scaling of the gas, {n:,} x {DIM} into {MEMORIES:,}"
        costs.append(table.row(work, times, [], "s", floor, memory)[0])
        print(f"| {n:,} | {costs[-1]:.3g} | {floor:.2g} | {memory} |", flush=True)
    exponents("learning in data", sizes, costs)


def main():
    table.build()
    print("\n## How costs grow\n")
    with tempfile.TemporaryDirectory() as folder:
        recalls("memories", [(10**k, DIM) for k in range(2, MOST + 1)], folder)
        recalls("dimensions", [(10_000, dim) for dim in (8, 16, 32, 64, 128, 256, 512)], folder)
        learning(folder)


if __name__ == "__main__":
    main()

"""How costs grow: of a recall with the memories and the dimensions, of learning memories with the data; time and memory.

Run by bench/run.sh. One table a question, with exponents: the slope of the line of least squares through the logarithms, over all
sizes and over the last tenfold, since constant costs hide the growth of what is small. Nothing is compared with a peer here. `--quick`
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
    """Of all sizes, and of those within the last tenfold."""
    last = [i for i, size in enumerate(sizes) if 10.01 * size >= sizes[-1]]
    whole, end = slope(sizes, costs), slope([sizes[i] for i in last], [costs[i] for i in last])
    table.row(f"exponent of {what}", [whole], [], "", error=f"over the last tenfold {end:.2f}")
    print(f"\nexponent of {what}: {whole:.2f}, over the last tenfold {end:.2f}\n", flush=True)


def resident(process):
    """Bytes of a process that are in memory now."""
    with open(f"/proc/{process}/status") as file:
        return 1024 * int(next(line for line in file if line.startswith("VmRSS")).split()[1])


def recall(make, n, dim, folder):
    """Microseconds of a query in each round, the floor of reading all, and the bytes that the table takes."""
    rows, queries = make(np.random.default_rng(0), n, 400, dim)
    ours = Ours(folder, rows, np.ascontiguousarray(queries))
    work = "from" if make is paths else "nearest"
    ours.round(work)
    times = [ours.round(work)["us"] for _ in range(ROUNDS)]
    floor = max(ours.round("stream")["us"], 1e6 * table.floor(3 * n * dim))
    held = resident(ours.program.pid) - 4 * (rows.size + queries.size)  # it keeps a plain copy of both
    ours.close()
    return times, floor, held


def recalls(what, shapes, folder):
    for make in (scattered, paths):
        print(f"| {make.__name__}: {what} | us a query | floor of reading all | memory |\n|---|---|---|---|")
        costs = []
        for n, dim in shapes:
            times, floor, held = recall(make, n, dim, folder)
            label = f"{n:,} x {dim}"
            held = f"{held / 1e6:.1f} MB"
            costs.append(table.row(f"scaling of recall, {label}, {make.__name__}", times, [], "us", floor, held)[0])
            print(f"| {label} | {costs[-1]:.3g} | {floor:.3g} | {held} |", flush=True)
        sizes = [n if what == "memories" else dim for n, dim in shapes]
        exponents(f"a recall in {what}, {make.__name__}", sizes, costs)


def learn(n, folder):
    """Seconds of one pass of the gas, and the most bytes the process had in memory."""
    rows, path = mixed(np.random.default_rng(0), n, 0, DIM)[0], os.path.join(folder, "rows.f32")
    rows.tofile(path)
    command = [f"{table.TARGET}/release/examples/bench_policy", "gas", path, str(DIM), str(MEMORIES)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return said["seconds"], 1024 * said["most_memory"]


def learning(folder):
    print(f"| rows of {DIM}, one pass of the gas into {MEMORIES:,} memories | seconds | floor | most memory |\n|---|---|---|---|")
    sizes, costs = [10**k for k in range(3, MOST + 1)], []
    for n in sizes:
        found = [learn(n, folder) for _ in range(ROUNDS if n < 10**6 else 1)]
        times, held = [one[0] for one in found], f"{max(one[1] for one in found) / 1e6:.0f} MB"
        floor = table.floor(3 * n * MEMORIES * DIM)
        work = f"scaling of the gas, {n:,} x {DIM} into {MEMORIES:,}"
        costs.append(table.row(work, times, [], "s", floor, held)[0])
        print(f"| {n:,} | {costs[-1]:.3g} | {floor:.2g} | {held} |", flush=True)
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

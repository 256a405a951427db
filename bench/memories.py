"""Many memories: building, saving, loading and searching a codebook of 10^3 to 10^7 memories of dimension 45, beside FAISS.

Two kinds of memories: `paths`, recordings of a smooth motion, searched along a further recording from the last answer; and
`scattered`, independent values, searched without a guess. Every answer is compared with IndexFlatL2's, which reads all rows, and
with float64. IndexHNSWFlat is approximate: its recall is the share of queries for which it finds a row as near as the nearest. It
is built up to 10^6 rows, and given up where that takes longer than `--hnsw-seconds`. One thread each. `--quick` stops at 10^5.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import faiss  # noqa: E402
import numpy as np  # noqa: E402

import json  # noqa: E402

import table  # noqa: E402
from made import motion  # noqa: E402
from recall import check, faiss_round  # noqa: E402
from scaling import exponents, resident  # noqa: E402

DIM = 45
PIECE = 1_000_000  # rows made at a time
MOST_HNSW = 1_000_000
LINKS, EF_BUILD, EF_SEARCH = 16, 40, 64
PROGRAM = f"{table.TARGET}/release/examples/bench_memories"


def write(kind, n, m, folder):
    """Writes n rows and m queries piece by piece, and answers with the rows, which stay on the disk, and the queries."""
    rng, path = np.random.default_rng(0), os.path.join(folder, "rows.f32")
    episodes, mean, std = motion(rng, DIM), 0.0, None

    def some(count):
        nonlocal mean, std
        if kind == "scattered":
            return rng.standard_normal((count, DIM), dtype=np.float32)
        seen = episodes(count)
        if std is None:
            mean, std = seen.mean(0), seen.std(0)
        return ((seen - mean) / std).astype(np.float32)

    with open(path, "wb") as file:
        for first in range(0, n, PIECE):
            some(min(PIECE, n - first)).tofile(file)
    return np.memmap(path, np.float32, "r", shape=(n, DIM)), np.ascontiguousarray(some(m))


class Ours:
    """The Rust program: makes a file of memories in one process, loads and searches it in another."""

    def __init__(self, rows, queries, folder):
        memories, asked = (os.path.join(folder, name) for name in ("memories", "queries.f32"))
        queries.tofile(asked)
        done = subprocess.run([PROGRAM, "make", rows, str(DIM), memories], check=True, capture_output=True, text=True)
        self.build, self.save = map(json.loads, done.stdout.splitlines())
        command = [PROGRAM, "search", memories, asked, asked]
        self.program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load = self.answer()

    def answer(self):
        line = self.program.stdout.readline()
        if not line:
            sys.exit("bench_memories stopped; its message is above")
        return json.loads(line)

    def round(self, work):
        self.program.stdin.write(work + "\n")
        self.program.stdin.flush()
        found = self.answer()
        return found | {"d2": np.square(np.array(found["distance"], np.float32))}

    def close(self):
        self.program.stdin.close()
        self.program.wait()


def flat(rows):
    """The exact index, and its resident memory in bytes."""
    before, index = resident("self"), faiss.IndexFlatL2(DIM)
    for first in range(0, len(rows), PIECE):
        index.add(np.ascontiguousarray(rows[first : first + PIECE]))
    return index, resident("self") - before


def hnsw(rows, limit):
    """The graph index with the seconds that it took to build, or None and why there is none."""
    if len(rows) > MOST_HNSW:
        return None, f"not built beyond {MOST_HNSW:,}"
    index, start, piece = faiss.IndexHNSWFlat(DIM, LINKS), time.perf_counter(), max(1000, len(rows) // 50)
    index.hnsw.efConstruction, index.hnsw.efSearch = EF_BUILD, EF_SEARCH
    for first in range(0, len(rows), piece):
        index.add(np.ascontiguousarray(rows[first : first + piece]))
        if time.perf_counter() - start > limit and first + piece < len(rows):
            return None, f"given up after {limit:.0f} s, with {index.ntotal:,} rows"
    return index, time.perf_counter() - start


def recall_of(rows, queries, found, exact):
    """The share of queries for which a row as near as the nearest was found."""

    def d2(index):
        return ((queries.astype(np.float64) - rows[index].astype(np.float64)) ** 2).sum(1)

    return float((d2(found) <= d2(exact) * (1 + 1e-6)).mean())


def bench(kind, n, args, folder):
    """One size of one kind: prints its line, reports its rows, and answers with the costs."""
    rounds, asked = (2, 100) if n >= 10**6 else (3, 400)
    rows, queries = write(kind, n, asked, folder)
    ours, (index, flat_bytes) = Ours(rows.filename, queries, folder), flat(rows)
    graph, note = hnsw(rows, args.hnsw_seconds)
    work = "path" if kind == "paths" else "scattered"
    ours.round(work)  # once for the caches, uncounted
    mine, exact, approximate = [], [], []
    for turn in range(rounds):
        for who in ((0, 1), (1, 0))[turn % 2]:
            if who == 0:
                answer = ours.round(work)
                mine.append(answer["us"])
            else:
                us, nearest = faiss_round(index, queries, False)
                exact.append(us)
        if graph:
            us, found = faiss_round(graph, queries, False)
            approximate.append(us)
    ours.close()
    differ = check(rows, queries, answer, nearest)
    label, size = "along a path" if kind == "paths" else "scattered", f"{n:,} x {DIM}"
    error = "exact" if not differ else f"exact; {differ} of {asked} ties or roundings fall otherwise"
    floor = 1e6 * table.floor(3 * n * DIM, 4 * n * DIM)
    us, peer, _ = table.row(f"memories: one retrieval {label}, {size}", mine, exact, "us", floor, error)
    beside = f"HNSW {note}"
    if graph:
        share, quick = recall_of(rows, queries, found, nearest), float(np.median(approximate))
        beside = f"{quick:,.3g} us, recall {share:.3f}, built in {note:,.3g} s"
        table.row(f"memories: one retrieval {label}, {size}, HNSW{LINKS}", mine, approximate, "us", floor, f"recall {share:.3f}")
    costs = {name: getattr(ours, name)["seconds"] for name in ("build", "save", "load")}
    for name, seconds in costs.items():
        table.row(f"memories: {name}, {size}, {kind}", [seconds], [], "s")
    held, most = ours.load["resident"], ours.load["peak"]
    table.row(f"memories: resident, {size}, {kind}", [held / 1e6], [flat_bytes / 1e6], "MB", ours.save["bytes"] / 1e6)
    times = " | ".join(f"{seconds:,.3g}" for seconds in costs.values())
    sizes = " | ".join(f"{bytes / 1e6:,.0f}" for bytes in (ours.save["bytes"], held, most, flat_bytes))
    print(f"| {size} | {times} | {sizes} | {us:,.3g} | {peer:,.3g} | {peer / us:.3g} | {beside} |", flush=True)
    return costs | {"retrieval": us, "retrieval by IndexFlatL2": peer}


def fits(n):
    """Whether this machine has the memory for both sides: 531 bytes a memory here, 180 in FAISS, and what makes the rows."""
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    return 750 * n + 2e9 < 1024 * available


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 10^5 memories")
    parser.add_argument("--most", type=int, help="the largest size, as a power of ten: 7, or 5 with --quick")
    parser.add_argument("--hnsw-seconds", type=float, default=300.0, help="after which building HNSW is given up")
    args = parser.parse_args()
    sizes = [10**k for k in range(3, (args.most or (5 if args.quick else 7)) + 1)]
    faiss.omp_set_num_threads(1)
    table.build()
    print(f"\n## Many memories, with actions of 24 dimensions\n\nFAISS {faiss.__version__}; HNSW with {LINKS} links, efConstruction "
          f"{EF_BUILD}, efSearch {EF_SEARCH}; the files are in the system's cache")
    for kind in ("paths", "scattered"):
        print(f"\n| {kind} | build, s | save, s | load, s | file, MB | resident, MB | most while loading, MB | Flat resident, MB"
              " | one retrieval, us | Flat, us | ratio | HNSW |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
        costs, done = [], [n for n in sizes if fits(n)]
        for n in done:
            with tempfile.TemporaryDirectory() as folder:
                costs.append(bench(kind, n, args, folder))
        if len(done) < len(sizes):
            print(f"\nnot run, for want of memory: {', '.join(f'{n:,}' for n in sizes if n not in done)}", flush=True)
        for what in costs[0]:
            exponents(f"{what} in memories, {kind}", done, [one[what] for one in costs])


if __name__ == "__main__":
    main()

"""Exact nearest-neighbor search: crates/nearest against FAISS IndexFlatL2, one thread each, in alternating rounds.

Each work is done by both in every round, ours first in one round and second in the next; the table shows medians over
the rounds. Every answer of ours is checked: the same row as the peer's, or one that is as near in float64.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import faiss  # noqa: E402
import numpy as np  # noqa: E402

import table  # noqa: E402
from made import paths, scattered  # noqa: E402

F32_EPS = float(np.finfo(np.float32).eps)
SHAPES = [(672, 39), (10_000, 45), (100_000, 45), (10_000, 512)]


class Ours:
    """The Rust program, loaded with one table, doing a round for each line it is sent."""

    def __init__(self, folder, rows, queries, target=table.TARGET):
        files = [os.path.join(folder, name) for name in ("rows.f32", "queries.f32")]
        rows.tofile(files[0])
        queries.tofile(files[1])
        command = [f"{target}/release/examples/bench_recall", *files, str(rows.shape[1])]
        self.program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self, work):
        self.program.stdin.write(work + "\n")
        self.program.stdin.flush()
        line = self.program.stdout.readline()
        if not line:
            sys.exit("bench_recall stopped; its message is above")
        return json.loads(line)

    def close(self):
        self.program.stdin.close()
        self.program.wait()


def faiss_round(index, queries, at_once):
    """Time of a query in microseconds, and the rows found."""
    if at_once:
        start = time.perf_counter()
        _, found = index.search(queries, 1)
        return (time.perf_counter() - start) / len(queries) * 1e6, found[:, 0]
    times, found = [], []
    for i in range(len(queries)):
        q = queries[i : i + 1]
        start = time.perf_counter()
        _, index_of = index.search(q, 1)
        times.append(time.perf_counter() - start)
        found.append(index_of[0, 0])
    return float(np.median(times)) * 1e6, np.array(found)


def check(rows, queries, answer, peer):
    """Returns how many answers name another row than the peer; stops when one of those is farther than f32 rounds to."""

    def d2(index):
        return ((queries.astype(np.float64) - rows[index].astype(np.float64)) ** 2).sum(1)

    index = np.array(answer["index"])
    differ = index != peer
    exact = d2(index)
    slack = (rows.shape[1] + 2) * F32_EPS
    worse = differ & (exact > d2(peer) * (1 + 2 * slack))
    wrong = np.abs(np.array(answer["d2"]) - exact) > slack * exact
    if worse.any() or wrong.any():
        sys.exit(f"{answer['work']}: {worse.sum()} rows farther than the peer's, {wrong.sum()} wrong distances")
    return int(differ.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds and the small tables only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rounds, shapes = (3, SHAPES[:2]) if args.quick else (args.rounds, SHAPES)
    faiss.omp_set_num_threads(1)
    table.build()
    print(f"FAISS {faiss.__version__}, 1 thread each, {rounds} alternating rounds, seed {args.seed}; us a query")
    print("floor: the longer of reading the table once and 3 operations a number at the peak of a core, both measured")
    print(f"{'data':10} {'table':>12} {'work':22} {'ours':>8} {'peer':>8} {'ratio':>7} {'floor':>8} {'read':>5} differ")
    for make in (scattered, paths):
        for n, dim in shapes:
            bench(make, n, dim, rounds, args.seed)


def bench(make, n, dim, rounds, seed):
    rows, queries = make(np.random.default_rng(seed), n, 2000, dim)
    index, single = faiss.IndexFlatL2(dim), faiss.IndexFlatL2(dim)
    index.add(rows)
    single.add(rows[:1])
    few = np.ascontiguousarray(queries[:400])
    works = [("nearest", few, False), ("from", few, False), ("many", queries, True)]
    if make is scattered:
        del works[1]  # there is no path to follow
    with tempfile.TemporaryDirectory() as folder:
        for name, asked, at_once in works:
            ours, mine, theirs, floor, call = Ours(folder, rows, asked), [], [], [], []
            ours.round(name)  # once for the caches, uncounted
            for turn in range(rounds):
                for who in ((0, 1), (1, 0))[turn % 2]:
                    if who == 0:
                        answer = ours.round(name)
                        mine.append(answer["us"])
                    else:
                        us, found = faiss_round(index, asked, at_once)
                        theirs.append(us)
                floor.append(ours.round("stream")["us"])
                # What calling it from Python costs is no part of the search.
                call.append(0.0 if at_once else faiss_round(single, few, False)[0])
            ours.close()
            differ = check(rows, asked, answer, found)
            theirs = [us - np.median(call) for us in theirs]
            us, peer = np.median(mine), np.median(theirs)
            arithmetic = 1e6 * table.floor(3 * n * dim)
            # Queries done together read the table once for all of them.
            least = max(np.median(floor) / (len(asked) if at_once else 1), arithmetic)
            label = {"nearest": "one query", "from": "from the last answer", "many": "2,000 at once"}[name]
            read = "" if answer["read"] is None else f"{answer['read']:.0%}"
            line = f"{make.__name__:10} {n:>6} x {dim:<3} {label:22} {us:8.1f} {peer:8.1f} {peer / us:6.1f}x {least:8.1f}"
            print(f"{line} {read:>5} {differ:>6}", flush=True)
            error = f"exact; {differ} of {len(asked)} ties or roundings fall otherwise" if differ else "exact"
            table.row(f"recall, {label}, {n:,} x {dim}, {make.__name__}", mine, theirs, "us", least, error)


if __name__ == "__main__":
    main()

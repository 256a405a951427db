"""Exact nearest-neighbour search: crates/nearest against FAISS IndexFlatL2, one thread each, in alternating rounds.

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

F32_EPS = float(np.finfo(np.float32).eps)
SHAPES = [(672, 39), (10_000, 45), (100_000, 45), (10_000, 512)]


def scattered(rng, n, m, dim):
    """Independent normal numbers: no structure at all, the worst case for leaving rows early."""
    return rng.standard_normal((n, dim), dtype=np.float32), rng.standard_normal((m, dim), dtype=np.float32)


def paths(rng, n, m, dim, steps=200, inner=10):
    """Episodes of a smooth motion of 10 inner dimensions seen through `dim` sensors with 2 % noise, standardised.

    The queries are further episodes of the same motion, step after step.
    """
    mix = rng.standard_normal((inner, dim))
    t = np.linspace(0.0, 1.0, steps)[:, None, None]
    k = np.arange(1, 4)[None, :, None]
    wave = np.concatenate([np.sin(np.pi * k * t), np.cos(np.pi * k * t)], axis=1)[:, :, 0]  # [steps, 6]
    common = rng.standard_normal((wave.shape[1], inner))

    def episodes(count):
        own = common + 0.3 * rng.standard_normal((-(-count // steps), wave.shape[1], inner))
        seen = np.tanh(np.einsum("tw,ewi->eti", wave, own) @ mix / np.sqrt(inner)).reshape(-1, dim)[:count]
        return seen + 0.02 * rng.standard_normal(seen.shape)

    rows, queries = episodes(n), episodes(m)
    mean, std = rows.mean(0), rows.std(0)
    return ((rows - mean) / std).astype(np.float32), ((queries - mean) / std).astype(np.float32)


class Ours:
    """The Rust program, loaded with one table, doing a round for each line it is sent."""

    def __init__(self, folder, rows, queries):
        files = [os.path.join(folder, name) for name in ("rows.f32", "queries.f32")]
        rows.tofile(files[0])
        queries.tofile(files[1])
        cargo = ["cargo", "run", "--quiet", "--release", "-p", "nearest", "--example", "bench_recall", "--"]
        self.program = subprocess.Popen(
            [*cargo, *files, str(rows.shape[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

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


def ghz():
    with open("/proc/cpuinfo") as file:
        return max((float(line.split(":")[1]) for line in file if line.startswith("cpu MHz")), default=2600.0) / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds and the small tables only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rounds, shapes = (3, SHAPES[:2]) if args.quick else (args.rounds, SHAPES)
    faiss.omp_set_num_threads(1)
    print(f"FAISS {faiss.__version__}, 1 thread each, {rounds} alternating rounds, seed {args.seed}; us a query")
    print("floor: the longer of reading the table once (measured) and 3 operations a number at 32 a cycle")
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
            us, peer = np.median(mine), np.median(theirs) - np.median(call)
            arithmetic = 3 * n * dim / (32 * ghz() * 1000)
            # Queries done together read the table once for all of them.
            least = max(np.median(floor) / (len(asked) if at_once else 1), arithmetic)
            label = {"nearest": "one query", "from": "from the last answer", "many": "2,000 at once"}[name]
            read = "" if answer["read"] is None else f"{answer['read']:.0%}"
            line = f"{make.__name__:10} {n:>6} x {dim:<3} {label:22} {us:8.1f} {peer:8.1f} {peer / us:6.1f}x {least:8.1f}"
            print(f"{line} {read:>5} {differ:>6}", flush=True)


if __name__ == "__main__":
    main()

"""Choosing memories: k-means against scikit-learn, farthest-point traversal against NumPy, in alternating rounds.

k-means is one pass from the same start and then the nearest center of every row, which is what `KMeans(max_iter=1)` does:
both search the nearest centers twice and compute means once. scikit-learn has no farthest-point traversal; it is restated here
in two ways, by differences and by one product of matrices and norms, and each round counts the faster.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import sklearn.cluster
import threadpoolctl

import table
from made import mixed, paths

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 7
SIZES = [(20_000, 45, 2000), (6729, 39, 672)]  # that of the gas, and the paper's door from people


class Ours:
    def __init__(self, folder, rows, start, cores):
        files = [os.path.join(folder, name) for name in ("rows.f32", "start.f32")]
        rows.tofile(files[0])
        start.tofile(files[1])
        command = [f"{table.TARGET}/release/examples/bench_choose", *files, str(rows.shape[1])]
        limit = lambda: os.sched_setaffinity(0, cores)
        self.program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=limit
        )

    def round(self, work):
        print(work, file=self.program.stdin, flush=True)
        line = self.program.stdout.readline()
        return json.loads(line) if line else sys.exit("bench_choose stopped; its message is above")

    def close(self):
        self.program.stdin.close()
        self.program.wait()


def sklearn_pass(rows, start, threads):
    with threadpoolctl.threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one pass is not enough
        begun = time.perf_counter()
        fitted = sklearn.cluster.KMeans(len(start), init=start, n_init=1, max_iter=1, tol=0, algorithm="lloyd").fit(rows)
        return time.perf_counter() - begun, fitted.inertia_, fitted.labels_


def by_differences(rows, first, count):
    differences, d2 = np.empty_like(rows), np.empty(len(rows), np.float32)
    near = np.full(len(rows), np.inf, np.float32)
    for k in range(count):
        point = first if k == 0 else rows[near.argmax()]
        np.subtract(rows, point, out=differences)
        np.einsum("ij,ij->i", differences, differences, out=d2)
        np.minimum(near, d2, out=near)
    return near.max()


def by_products(rows, first, count):
    norms, product = np.einsum("ij,ij->i", rows, rows), np.empty(len(rows), np.float32)
    near = np.full(len(rows), np.inf, np.float32)
    for k in range(count):
        point = first if k == 0 else rows[near.argmax()]
        np.matmul(rows, point, out=product)
        product *= -2
        product += norms
        product += point @ point
        np.minimum(near, product, out=near)
    return near.max()


def numpy_traversal(rows, first, count, threads):
    answers = []
    with threadpoolctl.threadpool_limits(threads):
        for way in (by_differences, by_products):
            begun = time.perf_counter()
            farthest = way(rows, first, count)
            answers.append((time.perf_counter() - begun, farthest))
    return min(answers)


def alternate(ours, peer, rounds):
    """Seconds of each in every round, the order changing; and the last answers."""
    mine, theirs = [], []
    for turn in range(rounds + 1):
        for who in (0, 1) if turn % 2 else (1, 0):
            if who == 0:
                answer = ours()
                mine.append(answer["seconds"])
            else:
                other = peer()
                theirs.append(other[0])
    return mine[1:], theirs[1:], answer, other  # the first round is for the caches


def bench(folder, make, n, dim, count, threads):
    rng = np.random.default_rng(0)
    rows = np.ascontiguousarray(make(rng, n, 1, dim)[0])
    # In the order of the steps, as the memories of a codebook lie.
    start = rows[np.sort(rng.permutation(n)[:count])]
    name = f"{n:,} x {dim} -> {count:,}, {make.__name__}, {threads} thread{'s' * (threads > 1)}"
    ours = Ours(folder, rows, start, sorted(os.sched_getaffinity(0))[:threads])
    say = lambda work, mine, peer, floor, error: print(
        "| {} | {:.3g} s | {:.3g} s | {:.1f}x | {:.2g} s | {} |".format(
            work, *table.row(work, mine, peer, "s", floor, error), floor, error
        ),
        flush=True,
    )
    mine, peer, answer, (_, inertia, labels) = alternate(
        lambda: ours.round("kmeans"), lambda: sklearn_pass(rows, start, threads), ROUNDS
    )
    same = np.mean(np.array(answer["labels"]) == labels)
    error = f"inertia {answer['inertia'] / inertia - 1:+.0e} of it, labels equal {same:.3%}"
    # Two searches by fused products (|c|^2 - 2 x c), the least for all pairs.
    say(f"k-means, one pass and labels, {name}", mine, peer, table.floor(2 * n * dim * count, threads=threads), error)
    if threads == 1:
        few = ROUNDS if n * count < 1e7 else min(ROUNDS, 3)
        mine, peer, answer, (_, farthest) = alternate(
            lambda: ours.round("kcenter"), lambda: numpy_traversal(rows, start[0], count, threads), few
        )
        error = f"largest distance left {np.sqrt(answer['left']) / np.sqrt(farthest) - 1:+.0e} of the peer's"
        floor = table.floor(3 * n * dim * count)
        say(f"k-center, {name}; NumPy, restated", mine, peer, floor, error)
    ours.close()


def main():
    table.build()
    print(f"\n| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | floor | answer |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n, dim, count in SIZES:
            for make in (mixed, paths):
                for threads in sorted({1, len(os.sched_getaffinity(0))}):
                    bench(folder, make, n, dim, count, threads)


if __name__ == "__main__":
    main()

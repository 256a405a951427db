"""Reading a large recording, starting, and what the program weighs: `start.py [--quick | --build]`.

Reading: `mcnn inspect` of an HDF5 file compressed as h5py does it, statistics, fingerprint and search for repetitions included,
against h5py reading the same arrays and nothing else. Starting: `mcnn eval` of one whole episode of the built-in task, from the start
of the process to its end, against a Python that imports PyTorch, loads a network and acts once. Both are more work for ours.
`--build` only compiles the program from nothing. All rounds alternate.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

import h5py
import numpy as np

import table
from made import paths

QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 5
MCNN = f"{table.TARGET}/release/mcnn"
TORCH = """
import sys, torch
linear = torch.nn.Linear
net = torch.nn.Sequential(linear(6, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 2))
net.load_state_dict(torch.load(sys.argv[1]))
with torch.no_grad():
    print(net(torch.zeros(1, 6)))
"""


def say(work, mine, peer, unit, least, error):
    m, p, ratio = table.row(work, mine, peer, unit, least, error)
    other = f"{p:.3g} {unit} | {ratio:.1f}x" if peer else " | "
    print(f"| {work} | {m:.3g} {unit} | {other} | {table.number(least)} | {error} |", flush=True)


def seconds(command, **options):
    begun = time.perf_counter()
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
    return time.perf_counter() - begun, out.stdout


def in_turns(*sides):
    """Seconds of each side in every round, the order changing, and its last answer; a first round is not counted."""
    times, answers = [[] for _ in sides], [None] * len(sides)
    for turn in range(ROUNDS + 1):
        for k in range(len(sides)) if turn % 2 else reversed(range(len(sides))):
            spent, answers[k] = sides[k]()
            times[k].append(spent)
    return [found[1:] for found in times], answers


def recording(n):
    """Compressed once and kept: it takes half a minute."""
    path = pathlib.Path(f"{table.TARGET}/bench/paths-{n}.hdf5")
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        rng, part = np.random.default_rng(0), path.with_suffix(".part")
        observations = paths(rng, n, 1, 45)[0]
        with h5py.File(part, "w") as file:
            arrays = {"observations": observations, "actions": rng.uniform(-1, 1, (n, 24)).astype(np.float32)}
            arrays |= {"rewards": rng.standard_normal(n).astype(np.float32), "terminals": np.zeros(n, bool)}
            arrays["timeouts"] = np.arange(1, n + 1) % 200 == 0
            for name, array in arrays.items():
                file.create_dataset(name, data=array, compression="gzip")
        part.rename(path)
    return path


def h5py_read(path):
    begun = time.perf_counter()
    with h5py.File(path) as file:
        arrays = {name: file[name][()] for name in file}
    return time.perf_counter() - begun, arrays


def inflating(path):
    """Seconds that zlib takes for the same bytes on one core."""
    spent = 0.0
    with h5py.File(path) as file:
        for array in file.values():
            places = [array.id.get_chunk_info(i).chunk_offset for i in range(array.id.get_num_chunks())]
            chunks = [array.id.read_direct_chunk(place)[1] for place in places]
            begun = time.perf_counter()
            for chunk in chunks:
                zlib.decompress(chunk)
            spent += time.perf_counter() - begun
    return spent


def bench_reading():
    n = 200_000 if QUICK else 1_000_000
    path = recording(n)
    (mine, peer), (said, arrays) = in_turns(lambda: seconds([MCNN, "inspect", path, "--json"]), lambda: h5py_read(path))
    told = json.loads(said)
    rows = arrays["observations"].astype(np.float64)
    ours = np.array([[d["mean"], d["std"]] for d in told["states"]]).T
    off = np.abs(ours - [rows.mean(0), rows.std(0)]).max()
    assert told["steps"] == n and told["episodes"] == n // 200 and off < 1e-6
    work = f"read {n:,} x (45 + 24), HDF5 gzip, and inspect; h5py, only reading"
    cores = len(os.sched_getaffinity(0))
    say(work, mine, peer, "s", inflating(path) / cores, f"means and deviations within {off:.0e}")


def bench_start(folder):
    data, memories, policy, weights = (folder / name for name in ("d.npz", "m.safetensors", "p.safetensors", "w.pt"))
    for command in (
        ["make", "drive", "--noise", "0.1", "-o", data],
        ["learn", data, "-o", memories],
        ["train", data, memories, "-o", policy, "--steps", "50", "--validation-fraction", "0"],
    ):
        seconds([MCNN, *command])
    import torch

    linear = torch.nn.Linear
    net = torch.nn.Sequential(linear(6, 256), torch.nn.ReLU(), linear(256, 256), torch.nn.ReLU(), linear(256, 2))
    torch.save(net.state_dict(), weights)
    one = ["eval", policy, "--task", "drive", "--episodes", "1", "--json"]
    (mine, peer, nothing), _ = in_turns(
        lambda: seconds([MCNN, *one]), lambda: seconds([sys.executable, "-c", TORCH, weights]), lambda: seconds(["true"])
    )
    ms = lambda times: [1e3 * t for t in times]
    work = "start: a whole episode of `mcnn eval`; import torch, load, act once"
    say(work, ms(mine), ms(peer), "ms", min(ms(nothing)), "the floor: a process that does nothing")


def bench_size(folder):
    copy = folder / "mcnn"
    shutil.copy(MCNN, copy)
    subprocess.run(["strip", copy], check=True)
    say("size of the program, stripped", [copy.stat().st_size / 1e6], [], "MB", None, "")


def bench_build():
    target = f"{table.TARGET}/bench/clean"
    shutil.rmtree(target, ignore_errors=True)
    try:
        spent, _ = seconds(["cargo", "build", "--locked", "--release", "--quiet", "--target-dir", target])
    finally:
        shutil.rmtree(target, ignore_errors=True)
    say(f"compiling the program from nothing, {os.cpu_count()} cores", [spent], [], "s", None, "")


def main():
    table.build()
    print(f"\n| work ({ROUNDS} alternating rounds, medians) | ours | peer | ratio | floor | answer |\n|---|---|---|---|---|---|")
    if "--build" in sys.argv:
        return bench_build()
    bench_reading()
    with tempfile.TemporaryDirectory() as folder:
        bench_start(pathlib.Path(folder))
        bench_size(pathlib.Path(folder))


if __name__ == "__main__":
    main()

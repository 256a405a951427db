"""Reading 1,000,000 steps of 45 + 24 numbers: ours against the format's own library, in alternating rounds on the same files.

    python bench/reading.py [--quick]
HDF5 in D4RL's layout, with gzip and without, against h5py; a LeRobot dataset (v3.0, Snappy) against pyarrow. Either side reads states,
actions, rewards and what says where episodes end into memory, and does nothing else; starting a process is not counted. The files are
written once and kept beside the build. Needs h5py, pyarrow and cargo.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import table
from start import ROUNDS, in_turns

QUICK = "--quick" in sys.argv
N, LENGTH = 200_000 if QUICK else 1_000_000, 200
FOLDER = pathlib.Path(f"{table.TARGET}/bench")


def arrays():
    rng = np.random.default_rng(0)
    walk = rng.standard_normal((N, 45)).astype(np.float32).cumsum(0) / 100
    return walk, rng.uniform(-1, 1, (N, 24)).astype(np.float32), rng.standard_normal(N).astype(np.float32)


def written(name, write):
    path = FOLDER / f"{name}-{N}"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)
        write(part, *arrays())
        part.rename(path)
    return path


def hdf5(compression):
    def write(path, states, actions, rewards):
        ends = np.arange(1, N + 1) % LENGTH == 0
        with h5py.File(path, "w") as file:
            columns = {"observations": states, "actions": actions, "rewards": rewards, "timeouts": ends, "terminals": np.zeros(N, bool)}
            for name, values in columns.items():
                file.create_dataset(name, data=values, chunks=True, compression=compression)

    return write


def lerobot(root, states, actions, rewards):
    number = np.arange(N)
    columns = {
        "observation.state": pa.FixedSizeListArray.from_arrays(states.ravel(), 45),
        "action": pa.FixedSizeListArray.from_arrays(actions.ravel(), 24),
        "next.reward": pa.array(rewards),
        "frame_index": pa.array(number % LENGTH),
        "episode_index": pa.array(number // LENGTH),
    }
    shape = lambda dtype, n: {"dtype": dtype, "shape": [n], "names": None}
    features = {"observation.state": shape("float32", 45), "action": shape("float32", 24), "next.reward": shape("float32", 1)}
    features |= {"frame_index": shape("int64", 1), "episode_index": shape("int64", 1)}
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    info = {"codebase_version": "v3.0", "fps": 30, "total_episodes": N // LENGTH, "features": features}
    (root / "meta/info.json").write_text(json.dumps(info))
    rows = [
        {"episode_index": k, "tasks": [""], "length": LENGTH, "data/chunk_index": 0, "data/file_index": 0} for k in range(N // LENGTH)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table(columns), root / "data/chunk-000/file-000.parquet", row_group_size=LENGTH * 100)


def by_h5py(path):
    begun = time.perf_counter()
    with h5py.File(path) as file:
        found = {name: file[name][()] for name in file}
    return time.perf_counter() - begun, (found["observations"], found["actions"])


def by_pyarrow(path):
    begun = time.perf_counter()
    columns = ["observation.state", "action", "next.reward", "frame_index", "episode_index"]
    read = pq.read_table(path / "data/chunk-000/file-000.parquet", columns=columns)
    flat = [read[name].combine_chunks().flatten().to_numpy() for name in columns[:2]]
    for name in columns[2:]:
        read[name].to_numpy()
    return time.perf_counter() - begun, tuple(flat)


def ours(path):
    answer = subprocess.run([f"{table.TARGET}/release/examples/bench_read", path], check=True, capture_output=True)
    found = json.loads(answer.stdout)
    return found["seconds"], found


def main():
    table.build()
    cores = len(os.sched_getaffinity(0))
    print(f"| read {N:,} x (45 + 24), {cores} cores ({ROUNDS} alternating rounds, medians) | ours | library | ours / library |\n|---|---|---|---|")
    for work, name, write, read in (
        ("HDF5 with gzip; h5py", "gzip.hdf5", hdf5("gzip"), by_h5py),
        ("HDF5 not compressed; h5py", "plain.hdf5", hdf5(None), by_h5py),
        ("LeRobot v3.0, Parquet with Snappy; pyarrow", "lerobot", lerobot, by_pyarrow),
    ):
        path = written(name, write)
        (mine, peer), (found, (states, actions)) = in_turns(lambda: ours(path), lambda: read(path))
        sums = [np.float64(states.sum(dtype=np.float64)), actions.sum(dtype=np.float64)]
        assert found["steps"] == N and found["episodes"] == N // LENGTH
        assert np.allclose([found["states"], found["actions"]], sums, rtol=1e-9), (found, sums)
        m, p, _ = table.row(f"read {N:,} x (45 + 24), {work}", mine, peer, "s", table.floor(moved=N * 69 * 4))
        print(f"| {work} | {m:.3g} s | {p:.3g} s | {m / p:.2f} |", flush=True)


if __name__ == "__main__":
    main()

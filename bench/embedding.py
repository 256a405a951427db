"""Embedding 100,000 frames of 48 x 48 with a ResNet-34 of random weights, killed once on the way: time, memory, and
whether the embeddings of the resumed run equal those of an uninterrupted one.

    python bench/embedding.py [--frames N] [--network NAME] [--threads N] [--share-killed-at S]

Needs h5py, numpy and the built program (`MCNN` names another). Not part of bench/run.sh: it takes minutes. The frames lie
as in D4RL's CARLA files, as bytes, and take 690 MB of a temporary folder (in TMPDIR) beside 205 MB for the embeddings.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import h5py
import numpy as np

SIDE, EPISODE, AROUND = 48, 1000, 500  # pixels, frames, frames compared on either side of where it was killed
MCNN = os.environ.get("MCNN", os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release/mcnn"))


def frames(first, n):
    """Noise over a gradient that moves with the frame's number; each frame follows from its number alone."""
    y, x = np.mgrid[:SIDE, :SIDE][..., None]
    for t in range(first, first + n):
        noise = np.random.default_rng(t).integers(0, 64, (SIDE, SIDE, 3))
        yield ((3 * x + 2 * y + t) % 192 + noise).astype(np.uint8).ravel()


def write(path, first, n):
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("observations", (n, SIDE * SIDE * 3), "u1", chunks=(256, SIDE * SIDE * 3))
        for at in range(0, n, 2048):
            rows[at : at + 2048] = np.stack(list(frames(first + at, min(2048, n - at))))
        file["actions"] = np.sin(np.arange(first, first + n)[:, None] * [0.01, 0.02]).astype("f4")
        file["rewards"] = np.zeros(n, "f4")
        file["terminals"] = np.zeros(n, bool)
        file["timeouts"] = np.arange(1, n + 1) % EPISODE == 0


def embed(data, out, options, kill_at=None, n=0):
    """Runs it to its end, or kills it when that many frames of `n` are written. Its status and what it cost."""
    command = [MCNN, "embed", data, "-o", out, "--weights", "random:0", *options, "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    part, bytes_a_frame = pathlib.Path(f"{out}.part"), 4 * 512
    while kill_at is not None and process.poll() is None:
        time.sleep(0.2)
        if part.exists() and part.stat().st_size >= kill_at * bytes_a_frame:
            process.send_signal(signal.SIGKILL)
            break
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    cost = {"wall s": seconds, "CPU s": used.ru_utime + used.ru_stime, "peak MB": used.ru_maxrss / 1024}
    return process.returncode, {name: round(value, 1) for name, value in cost.items()}, said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--network", default="resnet34")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share-killed-at", type=float, default=0.4)
    given = parser.parse_args()
    options = ["--network", given.network, "--threads", given.threads]
    load = lambda: pathlib.Path("/proc/loadavg").read_text().split()[0]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data, out = folder / "frames.hdf5", folder / "embeddings.npz"
        write(data, 0, given.frames)
        print(f"{given.frames} frames, {data.stat().st_size / 1e6:.0f} MB, {given.threads} threads", flush=True)
        before = load()
        status, cost, _ = embed(data, out, options, int(given.share_killed_at * given.frames), given.frames)
        print(f"killed ({status}):", cost, flush=True)
        status, cost, said = embed(data, out, options)
        told = json.loads(said)
        print(f"resumed from {told['resumed_from']} ({status}):", cost, f"{told['frames_per_second']:.0f} frames/s")
        print("load before and after:", before, load(), flush=True)
        # The frames around where it was killed, by themselves and unbroken.
        first = max(0, told["resumed_from"] - AROUND)
        few, few_out = folder / "few.hdf5", folder / "few.npz"
        write(few, first, 2 * AROUND)
        assert embed(few, few_out, options)[0] == 0
        whole, alone = np.load(out)["states"], np.load(few_out)["states"]
        assert len(whole) == given.frames and np.isfinite(whole).all()
        same = (whole[first : first + 2 * AROUND] == alone).all()
        print(f"frames {first} to {first + 2 * AROUND}: {'the same embeddings' if same else 'OTHER EMBEDDINGS'} as uninterrupted")
        assert same


main()

"""The Python package against Rust and against the program, on the same policy and the same file: `package.py [--quick]`.

One action and a batch against the same calls in Rust (`bench_policy file`), reading against Rust (`bench_policy read`), training against
`mcnn train`, and the time of the import against that of numpy alone. The module is built by cargo with the features of the wheel and
loaded from a folder. All rounds alternate.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

import table
from made import paths
from start import in_turns, recording, say, seconds

QUICK = "--quick" in sys.argv
MODULES = pathlib.Path("crates/mcnn-py/python/mcnn")


def package(folder):
    """Builds the extension module and makes the package importable."""
    build = ["cargo", "build", "--locked", "--release", "--quiet", "-p", "mcnn-py"]
    subprocess.run(build, check=True, env={**os.environ, "PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable})
    shutil.copytree(MODULES, folder / "mcnn", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(f"{table.TARGET}/release/lib_mcnn.so", folder / "mcnn/_mcnn.abi3.so")
    sys.path.insert(0, str(folder))


def example(*arguments):
    found = subprocess.run([f"{table.TARGET}/release/examples/bench_policy", *map(str, arguments)], check=True, capture_output=True)
    return json.loads(found.stdout)


def acting(mcnn, folder):
    n = 2_000 if QUICK else 10_000
    rng = np.random.default_rng(0)
    states, rows = paths(rng, n, n, 45)
    demos = mcnn.Demonstrations(states, rng.uniform(-1, 1, (n, 24)), range(200, n + 1, 200))
    policy = mcnn.train(demos, mcnn.learn(demos, 0.1, selection="random"), steps=5, members=1, progress=False)
    policy.save(folder / "p.safetensors")
    rows.tofile(folder / "rows.f32")

    def rust():
        found = example("file", folder / "p.safetensors", folder / "rows.f32")
        return found["us"], found["check"]

    def single():
        begun = time.perf_counter()
        total = sum(float(policy.predict(row)[0].sum(dtype=np.float64)) for row in rows)
        spent = time.perf_counter() - begun
        begun = time.perf_counter()
        for row in rows:  # what the sum itself takes
            float(row[:24].sum(dtype=np.float64))
        return (spent - (time.perf_counter() - begun)) * 1e6 / n, total

    def batch():
        begun = time.perf_counter()
        actions = policy.predict(rows)[0]
        return (time.perf_counter() - begun) * 1e6 / n, float(actions.sum(dtype=np.float64))

    for work, ours in [("predict, one observation", single), (f"predict, {n:,} at once, each", batch)]:
        (mine, peer), (check, expected) = in_turns(ours, rust)
        say(f"{work}, {n // 10:,} memories x 45; the same in Rust", mine, peer, "us", None, f"{abs(check - expected):.0e}")


def reading(mcnn):
    n = 100_000 if QUICK else 1_000_000
    path = recording(n)

    def ours():
        begun = time.perf_counter()
        demos = mcnn.read(path)
        states = demos.states
        spent = time.perf_counter() - begun
        assert not states.flags.owndata and states.ctypes.data == demos.states.ctypes.data
        return spent, demos.n_steps

    def rust():
        found = example("read", path)
        return found["seconds"], found["steps"]

    (mine, peer), (steps, expected) = in_turns(ours, rust)
    assert steps == expected == n
    say(f"read {n:,} x (45 + 24), HDF5 gzip, and a view of the states; the same in Rust", mine, peer, "s", None, "exact")


def training(mcnn, folder):
    steps = 200 if QUICK else 1_000
    with h5py.File(recording(100_000)) as file:
        states, actions = file["observations"][:20_000], file["actions"][:20_000]
    demos = mcnn.Demonstrations(states, actions, range(200, 20_001, 200))
    demos.save(folder / "d.npz")
    out, program = folder / "own.safetensors", folder / "program.safetensors"

    def ours():
        begun = time.perf_counter()
        mcnn.train(mcnn.read(folder / "d.npz"), steps=steps, progress=False, out=out)
        return time.perf_counter() - begun, None

    command = [f"{table.TARGET}/release/mcnn", "train", folder / "d.npz", "--steps", steps, "-o", program, "--force"]
    (mine, peer), _ = in_turns(ours, lambda: seconds(command))
    assert out.read_bytes() == program.read_bytes()
    say(f"train, {steps:,} steps on 20,000 x (45 + 24), five networks; mcnn train", mine, peer, "s", None, "same bytes")


def importing(folder):
    run = lambda code: seconds([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(folder)})
    (mine, peer), _ = in_turns(lambda: run("import mcnn"), lambda: run("import numpy"))
    milliseconds = lambda times: [1e3 * t for t in times]
    say("import mcnn; import numpy, which it needs", milliseconds(mine), milliseconds(peer), "ms", None, "")


def main():
    table.build()
    print("| work | ours | peer | ratio | floor | answer's error |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        package(folder)
        import mcnn

        acting(mcnn, folder)
        reading(mcnn)
        training(mcnn, folder)
        importing(folder)
        module = (folder / "mcnn/_mcnn.abi3.so").stat().st_size
        say("size of the extension module", [module / 1e6], [], "MB", None, "")


if __name__ == "__main__":
    main()

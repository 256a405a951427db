"""The one table: rows that the scripts report, what this machine can do at most, and the record that is kept of both.

A script calls `row` for each piece of work, with the times of its rounds, beside printing a table of its own. Where
MCNN_BENCH_ROWS names a file, as bench/run.sh makes one, the row is added to it; `python bench/table.py [--quick] FILE` prints
all rows of that file as one table and adds them to bench/record/CPU.csv. What was not run has no row.
"""

import csv
import datetime
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

ROWS = os.environ.get("MCNN_BENCH_ROWS")
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")
RECORD = pathlib.Path(__file__).parent / "record"
PACKAGES = ["numpy", "torch", "faiss-cpu", "scikit-learn", "torchvision", "gymnasium", "mujoco", "h5py", "pyarrow"]
FIELDS = ["date", "commit", "mode", "script", "work", "unit", "ours", "peer", "ratio", "ratio_low", "ratio_high", "floor"]
FIELDS += ["error", "rounds", "load", "cpu", "cores", "level", "peak", "product", "bandwidth", "versions"]


def build():
    command = ["cargo", "build", "--locked", "--release", "--quiet", "--workspace", "--exclude", "mcnn-gpu", "--bins", "--examples"]
    subprocess.run(command, check=True)


def load():
    return os.getloadavg()[0]


@functools.cache
def machine():
    """Multiply-adds and bytes a second of one core, measured once in a run (crates/kernels/examples/bench_peak.rs)."""
    kept = pathlib.Path(f"{ROWS}.machine") if ROWS else None
    if kept and kept.exists():
        return json.loads(kept.read_text())
    cargo = ["cargo", "run", "--locked", "--release", "--quiet", "-p", "kernels", "--example", "bench_peak"]
    found = [json.loads(subprocess.run(cargo, check=True, capture_output=True).stdout) for _ in range(3)]
    best = {name: max(one[name] for one in found) for name in found[0]}  # what other work took away is no limit
    if kept:
        kept.write_text(json.dumps(best))
    return best


def floor(operations=0.0, moved=0.0, threads=1):
    """Seconds that so many operations of vectors and bytes from memory take at least."""
    return max(operations / machine()["peak"] / threads, moved / machine()["bandwidth"])


def ratios(unit, ours, peer):
    """How many times faster ours was, round by round; of rates the more is the faster."""
    return [m / p if unit.endswith("/s") else p / m for m, p in zip(ours, peer)]


def row(work, ours, peer, unit, floor=None, error=""):
    """One row: the work, each round's figure on both sides (`peer` is empty where there is none), the floor in the same unit,
    and how far the answer is from the peer's. Answers with the medians and their ratio."""
    mine, theirs = statistics.median(ours), statistics.median(peer) if peer else None
    whole = ratios(unit, [mine], [theirs])[0] if peer else None
    if ROWS:
        within = sorted(ratios(unit, ours, peer)) if peer else [None]
        found = {
            "script": pathlib.Path(sys.argv[0]).stem,
            "work": work,
            "unit": unit,
            "ours": mine,
            "peer": theirs,
            "ratio": whole,
            "ratio_low": within[0],
            "ratio_high": within[-1],
            "floor": floor,
            "error": error,
            "rounds": len(ours),
            "load": load(),
        }
        with open(ROWS, "a") as file:
            file.write(json.dumps(found) + "\n")
    return mine, theirs, whole


def number(x):
    if x is None or x == "":
        return ""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def line(row):
    peer = f"{number(row['peer'])} {row['unit']}" if row["peer"] is not None else ""
    ratio = ""
    if row["ratio"] is not None:
        times = lambda x: f"{x:.2g}" if x < 10 else f"{x:.0f}"
        ratio = f"{times(row['ratio'])} ({times(row['ratio_low'])} to {times(row['ratio_high'])})"
    least = f"{number(row['floor'])} {row['unit']}" if row["floor"] is not None else ""
    return f"| {row['work']} | {number(row['ours'])} {row['unit']} | {peer} | {ratio} | {least} | {row['error']} |"


def processor():
    with open("/proc/cpuinfo") as file:
        names = re.findall(r"model name\s*: (.*)", file.read())
    return names[0] if names else platform.machine()


def record(rows, mode):
    """Adds the rows to the file of this processor, and answers with its path."""
    out = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip()
    commit = out("git", "rev-parse", "--short", "HEAD")
    dirty = out("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/record")
    versions = [f"python {platform.python_version()}", " ".join(out("rustc", "--version").split()[:2])]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    common = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": commit + "+changes" * bool(dirty),
        "mode": mode,
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": ", ".join(versions),
        **{name: value if isinstance(value, str) else f"{value:.4g}" for name, value in machine().items()},
    }
    slug = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(r\)|\(tm\)|@.*", "", processor().lower())).strip("-")
    path = RECORD / f"{slug}-{common['cores']}-cores.csv"
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in rows:
            short = {name: float(f"{v:.4g}") if isinstance(v, float) else v for name, v in row.items()}
            writer.writerow(common | short)
    return path


def main():
    *options, rows = sys.argv[1:]
    with open(rows) as file:
        found = [json.loads(one) for one in file]
    if not found:
        sys.exit("no row was measured")
    at_most = machine()
    print("\n## All rows\n")
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores, {at_most['level']}; of one core: {at_most['peak'] / 1e9:.0f}"
          f" G multiply-adds/s (a product of matrices: {at_most['product'] / 1e9:.0f}), {at_most['bandwidth'] / 1e9:.1f} GB/s;"
          f" load while it ran {min(r['load'] for r in found):.1f} to {max(r['load'] for r in found):.1f}\n")
    print("| work | ours | peer | ratio (lowest to highest of a round) | floor | answer's error |\n|---|---|---|---|---|---|")
    for one in found:
        print(line(one))
    path = record(found, "quick" if "--quick" in options else "whole")
    print(f"\nadded to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()

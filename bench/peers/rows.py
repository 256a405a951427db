"""Runs what a comparison needs and a results file lacks, and appends each line when its run is done:

    python bench/peers/rows.py peers.jsonl --data FOLDER [--only TEXT] [--parallel N] [--list]

FOLDER has pen-expert25-v1.hdf5, those of hammer and relocate, and pusht.npz of docs/plans/pusht-resmlp.toml. A row is five training
seeds; the rows come in the order of ROWS. It can be stopped at any time: only the runs in progress are lost. MCNN names the program, as for run.py.
"""

import argparse
import json
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = range(5)
# Peer, and whether it trains for our seconds and not for as long as it recommends.
ROWS = [("d3rlpy_bc", True), ("imitation_bc", False), ("imitation_bc", True), ("robomimic_bcrnn", True)]


@dataclass
class Column:
    """A data set. `seconds`: of the processor that ours takes to train on it with one thread: five MLPs by `mcnn train DATA
    --validation-fraction 0 --threads 1`, on Push-T one residual MLP by the steps that are its default. Episodes as our runs have."""

    task: str
    file: str
    name: str
    keep: str | None
    seconds: float
    episodes: int = 100
    first_seed: int = 1000


def adroit(task, demonstrations, seconds, episodes=100):
    file = f"{task}-expert25-v1.hdf5"
    if demonstrations == 25:
        return Column(task, file, file, None, seconds, episodes)
    return Column(task, file, f"{task}-expert{demonstrations}.npz", f"0-{demonstrations - 1}", seconds, episodes)


def pusht(demonstrations, seconds):
    return Column("pusht", "pusht.npz", f"pusht-{demonstrations}.npz", f"0-{demonstrations - 1}", seconds, first_seed=100_000)


COLUMNS = [
    [adroit("pen", 5, 3.8, 200), adroit("hammer", 5, 9.6), adroit("relocate", 5, 10.8)],
    [adroit("pen", 25, 27.2, 200), adroit("hammer", 25, 53.3), adroit("relocate", 25, 59.2)],
    [pusht(25, 160.0), pusht(206, 200.0)],
]


def runs():
    """The arguments of run.py for each run, those with five demonstrations first."""
    for columns in COLUMNS:
        for peer, equal in ROWS:
            for column in columns:
                for seed in SEEDS:
                    yield {
                        "peer": peer,
                        "task": column.task,
                        "demos": column.file,
                        "data": column.name,
                        "keep": column.keep,
                        "seconds": column.seconds if equal else None,
                        "budget": "equal seconds" if equal else "recommended",
                        "seed": seed,
                        "episodes": column.episodes,
                        "first-seed": column.first_seed,
                    }


def identity(run):
    return tuple(run[key] for key in ("peer", "task", "data", "budget", "seed", "episodes"))


def done(path):
    """The runs that the file has. Those that failed are done again."""
    if not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    settings = [(line["peer"], line["settings"]) for line in lines if line["error"] is None]
    return {(peer, *(s[key] for key in ("task", "data", "budget", "seed", "episodes"))) for peer, s in settings}


def command(run, folder):
    arguments = [run["peer"], run["task"], str(folder / run["demos"]), "--name", run["data"]]
    for key in ("keep", "seconds", "budget", "seed", "episodes", "first-seed"):
        if run[key] is not None:
            arguments += [f"--{key}", str(run[key])]
    return [sys.executable, str(HERE / "run.py"), *arguments]


def work(waiting, folder, path, lock):
    while True:
        with lock:
            if not waiting:
                return
            run = waiting.popleft()
        output = subprocess.run(command(run, folder), stdout=subprocess.PIPE, text=True).stdout
        with lock, path.open("a") as file:
            file.write(output)
        print("done" if output else "failed", *identity(run), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the demonstrations")
    parser.add_argument("--only", default="", help="runs whose peer, task, data and budget have this text, such as 'd3rlpy_bc pen'")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time; no more than idle cores")
    parser.add_argument("--list", action="store_true", help="only print the runs that are missing")
    options = parser.parse_args()
    have = done(options.results)
    missing = [run for run in runs() if identity(run) not in have and options.only in " ".join(map(str, identity(run)))]
    if options.list:
        for run in missing:
            print(*identity(run))
        return
    waiting, lock = deque(missing), threading.Lock()
    threads = [threading.Thread(target=work, args=(waiting, options.data, options.results, lock), daemon=True) for _ in range(options.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()

"""Trains a peer's policy on demonstrations, judges it as `mcnn eval` judges ours, and prints one line of JSON for `mcnn table`:

    python bench/peers/run.py PEER TASK DEMOS [--seconds S] [--seed N] [--episodes N] [--first-seed N]

PEER: a file of bench/peers/adapters. DEMOS: anything that `mcnn convert` reads. Without --seconds the peer trains for as long as its
documentation recommends, with it for S seconds of the processor (with one thread, what it takes on an idle machine). The Python
that runs this file needs the task's simulator (the lines tagged `worker` and `pusht` of python/requirements.txt); a peer has an
environment of its own, which install.sh makes: `d3rlpy_bc` and `d3rlpy_cql` have ENVIRONMENTS/d3rlpy.
A peer that is not installed, crashes or takes too long is a line with its reason.
"""

import argparse
import ast
import io
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
from pathlib import Path

HERE = Path(__file__).resolve().parent
ACT_SECONDS = 60.0  # for one action
END_SECONDS = 60.0  # for the end of a process that has closed its output
ERROR_LETTERS = 2000


class PeerFailed(Exception):
    """Why a peer has no score."""


class Peer:
    """A peer's process. Every answer has a deadline, and the process ends with all that it started."""

    def __init__(self, python, script, threads):
        if not Path(python).exists():
            raise PeerFailed(f"not installed: there is no {python}")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            bufsize=1,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE), "CUDA_VISIBLE_DEVICES": ""},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                self.lines.put(line)
        self.lines.put(None)

    def tell(self, message):
        try:
            print(json.dumps(message), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise PeerFailed(self._why()) from None

    def answer(self, seconds, doing):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise PeerFailed(f"exceeded {seconds:g} s when {doing}") from None
        if line is None:
            raise PeerFailed(self._why())
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            raise PeerFailed(f"an answer that is no JSON: {line[:200]!r}") from None

    def _why(self):
        """The status and the end of what the process wrote to stderr."""
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = "none (it closed its output)"
        self.errors.seek(0)
        said = self.errors.read().strip()
        return f"ended with status {status}: {said[-ERROR_LETTERS:]}"

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for stream in (self.process.stdin, self.errors):
            try:
                stream.close()
            except BrokenPipeError:
                pass  # what was not sent


def lines_of_code(script):
    """Lines of a Python file with code: what a user writes, without comments and docstrings."""
    source = Path(script).read_text()
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(code)


def user_lines(script):
    """Lines of code of an adapter and of the adapters beside it that it imports."""
    files, found = [Path(script)], []
    while files:
        found.append(files.pop())
        nodes = list(ast.walk(ast.parse(found[-1].read_text())))
        modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        modules += [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
        for file in [found[-1].with_name(f"{module}.py") for module in modules]:
            if file.is_file() and file not in found + files:
                files.append(file)
    return sum(map(lines_of_code, found))


def converted(data, episodes, folder, mcnn):
    """The demonstrations as .npz, and what `mcnn inspect` says of them."""
    npz = Path(folder) / "demonstrations.npz"
    chosen = ["--episodes", episodes] if episodes else []
    subprocess.run([mcnn, "convert", data, *chosen, "-o", npz], check=True, capture_output=True, text=True)
    shown = subprocess.run([mcnn, "inspect", npz, "--json"], check=True, capture_output=True, text=True)
    return npz, json.loads(shown.stdout)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def judged(peer, task, seeds, line):
    """Runs the episodes and writes their results into the line."""
    micros, successes = [], 0

    def act(observation):
        peer.tell({"obs": observation.tolist()})
        answer = peer.answer(ACT_SECONDS, "acting")
        micros.append(answer["us"])
        return answer["action"]

    for seed in seeds:
        peer.tell({"reset": True})
        total, success = task.episode(seed, act)
        line["returns"].append(total)
        successes += success
    random, expert = task.reference
    scores = [100 * (r - random) / (expert - random) for r in line["returns"]]
    line["eval"] = {
        "score": {"mean": sum(scores) / len(scores)},
        "success": {"share": successes / len(scores)},
        "latency_us": {"p50": percentile(micros, 0.5), "p99": percentile(micros, 0.99)},
    }


def run(options, task, npz, shown):
    """The line of a run. What goes wrong is in it."""
    script = HERE / "adapters" / f"{options.peer}.py" if options.script is None else Path(options.script)
    line = {
        "peer": options.peer,
        "settings": {
            "task": task.name,
            "data": options.name or Path(options.demos).name,
            "budget": options.budget or ("recommended" if options.seconds is None else f"{options.seconds:g} s"),
            "seed": options.seed,
            "episodes": options.episodes,
            "first_seed": options.first_seed,
        },
        "data": shown["fingerprint"],
        "demonstrations": shown["episodes"],
        "returns": [],
        "reference": list(task.reference),
        "eval": None,
        "trained_with": None,
        "versions": None,
        "training_seconds": None,
        "training_wall_seconds": None,
        "seconds": 0.0,
        "user_lines": user_lines(script),
        "error": None,
    }
    environment = Path(options.environments) / options.peer.split("_")[0]
    begun, peer = time.monotonic(), None
    try:
        peer = Peer(options.python or str(environment / "bin" / "python"), script, options.threads)
        peer.tell({"data": str(npz), "task": task.name, "seed": options.seed, "seconds": options.seconds})
        trained = peer.answer(options.limit, "training")
        line["training_seconds"], line["training_wall_seconds"] = trained["cpu"], trained["wall"]
        line["trained_with"], line["versions"] = trained["settings"], trained["versions"]
        judged(peer, task, range(options.first_seed, options.first_seed + options.episodes), line)
    except (PeerFailed, OSError, ValueError, KeyError, TypeError) as error:
        line["error"] = str(error) or repr(error)
    finally:
        if peer is not None:
            peer.close()
    line["seconds"] = time.monotonic() - begun
    return line


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peer")
    parser.add_argument("task")
    parser.add_argument("demos")
    parser.add_argument("--seconds", type=float, help="train for so long, in place of the recommended steps")
    parser.add_argument("--budget", help="name of the seconds in the result, the same for several tasks [default: their number]")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=1000, help="of the first episode")
    parser.add_argument("--keep", help="episodes of the demonstrations to train on, such as 0-4")
    parser.add_argument("--name", help="of the data in the result [default: the file's]")
    parser.add_argument("--threads", type=int, default=1, help="of the peer, as a run of mcnn sweep has [default: 1]")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which a training is ended")
    parser.add_argument("--environments", default=str(HERE / "environments"), help="folder of the peers' environments")
    parser.add_argument("--python", help="interpreter of the peer, in place of its environment's")
    parser.add_argument("--script", help="another adapter")
    parser.add_argument("--mcnn", default=os.environ.get("MCNN", "mcnn"), help="the program")
    return parser.parse_args(argv)


def main():
    from tasks import TASKS, Task

    options = arguments()
    if options.task not in TASKS:
        sys.exit(f"run.py: no such task: {options.task}; expected: {', '.join(TASKS)}")
    script = Path(options.script) if options.script else HERE / "adapters" / f"{options.peer}.py"
    if not script.is_file():
        sys.exit(f"run.py: no such adapter: {script}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            npz, shown = converted(options.demos, options.keep, folder, options.mcnn)
        except subprocess.CalledProcessError as error:
            sys.exit(error.stderr)
        except OSError as error:
            sys.exit(f"run.py: {options.mcnn} cannot be run: {error}")
        task = Task(options.task)
        task.scale_actions(npz)
        print(json.dumps(run(options, task, npz, shown)), flush=True)


if __name__ == "__main__":
    main()

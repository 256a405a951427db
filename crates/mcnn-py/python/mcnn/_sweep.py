"""Sweeps: every run of a plan, in this process or on a Ray cluster."""

import json
import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice

from ._mcnn import Error, StopFlag, SweepFile, sweep_run

_ENGINES = ("local", "ray")


def sweep(plan, results="results.jsonl", engine="local", *, workers=None, memory=None, retries=3, retry_failed=False, progress=None):
    """Makes every run of a plan that its results do not have yet, as `mcnn sweep` does, and appends each to the file of results when it is
    complete. So an interrupted sweep goes on with the same call, or with the program. Returns the results of the plan's runs, a list of
    dicts in the order of the plan.

    plan: a TOML file. results: the file of results; one process at a time writes it. engine: "local", with workers threads (None: the
    number of cores), or "ray": each run is a Ray task of one CPU and `memory` bytes (None: no request), started again up to `retries`
    times if its worker dies, at most workers tasks at a time (None: twice the CPUs of the cluster). Ray is started here unless it is
    initialized. All nodes must see the plan and its data under the same absolute path, and have this package.
    retry_failed: repeat runs that failed. progress: called as progress(done, total, error) after every run; error is its message or None.

    Raises `mcnn.Error` for a plan that cannot be used. The error of a run is part of its result.
    """
    if engine not in _ENGINES:
        raise Error(f"an argument that cannot be used\n  where: engine\n  expected: {', '.join(map(repr, _ENGINES))}\n  found: {engine!r}")
    if workers is not None and not 1 <= workers <= 100_000:
        raise Error(f"an argument that cannot be used\n  where: workers\n  expected: 1 to 100000\n  found: {workers}")
    file, plan = SweepFile(plan, results), os.path.abspath(plan)
    settings = file.runs()
    todo = [settings[i] for i in file.todo(retry_failed)]
    total = len(todo)
    lines = _ray(plan, todo, workers, memory, retries) if engine == "ray" else _local(plan, todo, workers)
    with closing(lines):  # also after an interruption, so that no run goes on
        for done, line in enumerate(lines, start=1):
            error = file.append(line)
            if progress:
                progress(done, total, error)
    return [json.loads(line) for line in file.lines()]


def _local(plan, todo, workers):
    """Lines of results of the runs, in the order in which they are complete."""
    stop = StopFlag()
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        pending = {pool.submit(sweep_run, plan, settings, stop) for settings in todo}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:  # an interruption, or an error of the caller
            stop.set()
            for future in pending:
                future.cancel()


def _run_task(plan, settings):
    return sweep_run(plan, settings, StopFlag())


def _ray(plan, todo, workers, memory, retries):
    """As `_local`, with Ray."""
    try:
        import ray  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise Error('Ray is not installed\n  where: engine="ray"\n  next: pip install "ray[default]"') from None
    if not todo:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    task = ray.remote(_run_task).options(num_cpus=1, memory=memory, max_retries=retries)
    most = workers or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting, pending = iter(todo), []
    try:
        while True:
            pending += [task.remote(plan, settings) for settings in islice(waiting, most - len(pending))]
            if not pending:
                return
            done, pending = ray.wait(pending)
            yield from ray.get(done)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)

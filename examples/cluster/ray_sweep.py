"""A sweep on a Ray cluster: ray_sweep.py PLAN RESULTS. Needs mcnn and ray on all nodes, which see the plan and its data under one path.

An interrupted sweep goes on with the same command. Under `ray job submit` or on the head node, RAY_ADDRESS or address="auto" finds the
cluster; without one, Ray is started on this machine.
"""

import sys

import mcnn


def progress(done, total, error):
    print(f"{done} of {total}" + (f", failed: {error.splitlines()[0]}" if error else ""), flush=True)


plan, results = sys.argv[1:]
lines = mcnn.sweep(plan, results, engine="ray", memory=2 * 1024**3, progress=progress)
failed = [line for line in lines if line["error"]]
print(f"{len(lines)} runs, {len(failed)} of them failed; mcnn table {results} shows them")

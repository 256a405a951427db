"""Sweeps from Python: the runs of the program, in this process and on a Ray cluster of which a node dies."""

import json
import subprocess
import sys
import time

import pytest

import mcnn

PLAN = """
task = "drive"
data = ["drive.npz"]
count = [30]
lambda = ["auto", "inf"]
seed = [0, 1, 2, 3]
hidden = [8]
steps = 40
batch = 16
episodes = 2
"""


def program(*arguments):
    done = subprocess.run([sys.executable, "-m", "mcnn", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def results(lines):
    """Without what time decides."""
    for line in lines:
        line["seconds"] = line["training_seconds"] = line["eval"]["latency_us"] = line["eval"]["queued_latency_us"] = None
    return sorted(lines, key=lambda line: json.dumps(line["settings"]))


def read(path):
    return results([json.loads(line) for line in path.read_text().splitlines()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    program("make", "drive", "--episodes", 3, "-o", folder / "drive.npz")
    (folder / "plan.toml").write_text(PLAN)
    program("sweep", folder / "plan.toml", "-o", folder / "program.jsonl")
    return folder


def test_a_sweep_in_this_process_is_that_of_the_program(folder):
    seen = []
    found = mcnn.sweep(folder / "plan.toml", folder / "own.jsonl", workers=2, progress=lambda *done: seen.append(done))
    assert seen == [(k, 8, None) for k in range(1, 9)]
    assert results(found) == read(folder / "own.jsonl") == read(folder / "program.jsonl")


def test_an_interrupted_sweep_goes_on(folder):
    def interrupt(done, total, error):
        if done == 3:
            raise KeyboardInterrupt

    path = folder / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        mcnn.sweep(folder / "plan.toml", path, workers=2, progress=interrupt)
    assert len(path.read_text().splitlines()) == 3
    seen = []
    mcnn.sweep(folder / "plan.toml", path, progress=lambda *done: seen.append(done))
    assert len(seen) == 5 and read(path) == read(folder / "program.jsonl")
    assert len(mcnn.sweep(folder / "plan.toml", path)) == 8


def test_a_failed_run_is_a_result_and_is_repeated_when_asked(folder):
    (folder / "failing.toml").write_text(PLAN.replace("[30]", "[100000]").replace('"auto", "inf"', '"auto"'))
    seen = []
    for again in (False, False, True):
        found = mcnn.sweep(
            folder / "failing.toml", folder / "failed.jsonl", retry_failed=again, progress=lambda *done: seen.append(done[2])
        )
        assert all("more memories than states" in line["error"] for line in found)
    assert len(seen) == 8 and all("more memories than states" in error for error in seen)


def test_what_cannot_be_swept_is_refused(folder, tmp_path):
    with pytest.raises(mcnn.Error, match="engine.*\n.*'local', 'ray'.*\n.*'spark'"):
        mcnn.sweep(folder / "plan.toml", tmp_path / "r.jsonl", engine="spark")
    with pytest.raises(mcnn.Error, match="workers"):
        mcnn.sweep(folder / "plan.toml", tmp_path / "r.jsonl", workers=0)
    with pytest.raises(mcnn.Error, match="nothing.toml"):
        mcnn.sweep(folder / "nothing.toml", tmp_path / "r.jsonl")
    with pytest.raises(mcnn.Error, match="nowhere"):
        mcnn.sweep(folder / "plan.toml", tmp_path / "nowhere" / "r.jsonl")
    file = mcnn._mcnn.SweepFile(folder / "plan.toml", tmp_path / "r.jsonl")
    with pytest.raises(mcnn.Error, match="another (process|sweep)"):
        mcnn.sweep(folder / "plan.toml", tmp_path / "r.jsonl")
    first = next(line for line in (folder / "program.jsonl").read_text().splitlines() if '"seed":0' in line)
    assert file.append(first) is None and file.append(first) is None and len(file.lines()) == 1
    for wrong in ("", "{}", first.replace('"seed":0', '"seed":77')):
        with pytest.raises(mcnn.Error, match="not a result of the plan"):
            file.append(wrong)
    with pytest.raises(mcnn.Error, match="no such run"):
        mcnn._mcnn.sweep_run(folder / "plan.toml", "{}", mcnn._mcnn.StopFlag())


def test_a_ray_worker_that_dies_loses_and_doubles_no_run(folder):
    pytest.importorskip("ray", reason="Ray is not installed (python/requirements.txt names the version)")
    import ray
    from ray.cluster_utils import Cluster

    (folder / "ray.toml").write_text(PLAN.replace("= 40", "= 200"))
    program("sweep", folder / "ray.toml", "-o", folder / "expected.jsonl")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        alive = lambda: sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())
        assert alive() == 2
        seen = []

        def kill_one(done, total, error):
            seen.append((done, total, error))
            if done == 2:
                cluster.remove_node(nodes[0], allow_graceful=False)

        found = mcnn.sweep(folder / "ray.toml", folder / "ray.jsonl", engine="ray", progress=kill_one)
        assert seen == [(k, 8, None) for k in range(1, 9)]
        # The head notices the death of a node by its silence, which may be after the last run.
        deadline = time.monotonic() + 120
        while alive() > 1 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert alive() == 1
        assert results(found) == read(folder / "ray.jsonl") == read(folder / "expected.jsonl")
        assert len(mcnn.sweep(folder / "ray.toml", folder / "ray.jsonl", engine="ray")) == 8  # nothing is left to do
    finally:
        ray.shutdown()
        cluster.shutdown()

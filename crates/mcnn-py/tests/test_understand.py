"""Understanding a policy: its page, its calibration, its memories as a frame, and suggestions."""

import html
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import STEPS, episodes

import mcnn


def program(*arguments):
    done = subprocess.run([sys.executable, "-m", "mcnn", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(page):
    return json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])


@pytest.fixture
def files(policy, demos, tmp_path):
    demos.save(tmp_path / "d.npz")
    policy.save(tmp_path / "p.safetensors")
    return tmp_path


def standardized(demos):
    std = demos.states.std(0)
    return demos.states / (std + 1e-3 * min(std.max(), 1))  # with the floor of the scale


def test_a_report_is_the_page_of_the_program(policy, demos, files):
    report = policy.report(demos)
    program("report", files / "p.safetensors", "--data", files / "d.npz", "-o", files / "r.html")
    own, page = contents(report.html), contents((files / "r.html").read_text(encoding="utf-8"))
    for key in ("map", "coverage", "episodes"):
        assert own[key] == page[key], key
    for key in ("fingerprint", "name", "lambda", "state_names", "action_names", "far", "steps"):
        assert own["about"][key] == page["about"][key], key
    assert [e["number"] for e in contents(policy.report(demos, episodes=[5, 2]).html)["episodes"]] == [5, 2]
    report.save(files / "own.html")
    assert (files / "own.html").read_text(encoding="utf-8") == report.html
    with pytest.raises(mcnn.Error, match="0 to 5"):
        policy.report(demos, episodes=[6])
    with pytest.raises(mcnn.Error, match="0 to 5"):
        policy.report(demos, episodes=[-1])
    with pytest.raises(mcnn.Error, match="dimensions"):
        policy.report(mcnn.Demonstrations(np.arange(4), np.zeros(4), [4]))


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(policy, demos):
    report = policy.report(demos)
    frame = report._repr_html_()
    assert frame.startswith("<iframe ") and "allow-same-origin" not in frame
    assert html.unescape(frame.split('srcdoc="')[1].split('"')[0]) == report.html


def test_suggestions_are_those_of_the_program(policy, demos, files):
    pool = mcnn.Demonstrations.from_episodes(episodes(5, seed=11))
    pool.save(files / "pool.npz")
    for memories, options, flags in [
        (policy, {"count": 3}, ["--count", 3]),
        (mcnn.learn(demos, 0.2), {"start_states": True}, ["--start-states"]),
    ]:
        memories.save(files / "m.safetensors")
        expected = json.loads(program("suggest", files / "pool.npz", files / "m.safetensors", "--json", *flags))
        found = mcnn.suggest(pool, memories, **options)
        assert found == {key: expected[key] for key in found} and len(found["suggestions"]) == options.get("count", 5)
        assert f"d_I {found['coverage']['max']:.4f}" in repr(found) and "<table>" in found._repr_html_()
    with pytest.raises(mcnn.Error, match="count"):
        mcnn.suggest(pool, policy, count=0)
    with pytest.raises(mcnn.Error, match="Memories or a Policy"):
        mcnn.suggest(pool, pool)
    with pytest.raises(mcnn.Error, match="dimensions"):
        mcnn.suggest(mcnn.Demonstrations(np.arange(4), np.zeros(4), [4]), policy)


def test_the_calibration_has_the_distances_to_other_episodes(policy, demos):
    rows, episode = standardized(demos), np.arange(demos.n_steps) // STEPS
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.where(episode[:, None] == episode, np.inf, 0)
    found = policy.calibration
    assert found["episodes"].tolist() == list(range(6))
    for k in range(6):
        np.testing.assert_allclose(found["distances"][k], np.sort(apart[episode == k].min(1)), rtol=1e-4)
    distance, probability = policy.threshold(0.9)
    every = np.concatenate(found["distances"])
    assert (every <= distance).mean() >= 0.9 > (every < distance).mean() and 0 < probability <= 1
    largest, _ = policy.threshold(1.0, of="episodes")
    assert largest == every.max()
    assert f"{distance:.3f}" in repr(policy.guard("warn", quantile=0.9))
    dropped = policy.drop_memories(episodes=[0])
    assert dropped.calibration is None
    with pytest.raises(mcnn.Error, match="calibration"):
        dropped.threshold()
    with pytest.raises(mcnn.Error, match="states"):
        policy.threshold(of="steps")


def test_memories_are_a_frame_with_their_uses(policy, demos):
    pytest.importorskip("pandas")
    new = mcnn.Demonstrations.from_episodes(episodes(3, seed=5))
    frame = policy.memory_frame(new)
    assert list(frame) == ["episode", "step", "x", "y", "time", "dx", "dy", "uses"]
    np.testing.assert_array_equal(frame[["x", "y", "time"]], policy.memories["states"])
    np.testing.assert_array_equal(frame[["dx", "dy"]], policy.memories["actions_in_data_units"])
    nearest = [policy.session().act(obs).memory for obs in new.states]
    np.testing.assert_array_equal(frame["uses"], np.bincount(nearest, minlength=policy.n_memories))
    assert "uses" not in policy.memory_frame()
    plain = mcnn.train(mcnn.Demonstrations.from_episodes(episodes(2)), lam=0, progress=False).memory_frame()
    assert list(plain) == ["episode", "step", "state_0", "state_1", "state_2", "action_0", "action_1"]

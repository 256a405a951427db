"""Other libraries: wrapped policies, adapters, evaluation in Gymnasium environments."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import episodes, expert

import mcnn

pytest.importorskip("gymnasium")
from point_env import Point


def test_returns_are_those_of_the_environment(policy):
    found = mcnn.evaluate(policy, Point(), episodes=8, seed=30, actions="environment")
    env = Point()
    for i in range(8):
        obs, _ = env.reset(seed=30 + i)
        total, done, length = 0.0, False, 0
        session = policy.session()
        while not done:
            obs, reward, _, done, info = env.step(np.clip(session.act(obs).action, -0.5, 0.5))
            total, length = total + reward, length + 1
        assert found.returns[i] == pytest.approx(total) and found.lengths[i] == length
    assert found.mean == pytest.approx(found.returns.mean())
    low, high = found.interval
    # Student's t with 7 degrees of freedom.
    half = 2.3646 * found.returns.std(ddof=1) / math.sqrt(8)
    assert (low + high) / 2 == pytest.approx(found.mean) and (high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert 0 <= found.success <= 1 and "8 episodes" in repr(found) and "<table>" in found._repr_html_()


def test_policies_are_compared_on_the_same_episodes(policy):
    class Still:
        def predict(self, obs, state=None, episode_start=None, deterministic=True):
            return np.zeros(2), state

    compared = mcnn.compare({"mcnn": policy, "expert": expert, "still": Still()}, Point(), episodes=10, actions="environment")
    assert compared["expert"].mean > compared["still"].mean
    assert [(d["a"], d["b"]) for d in compared.differences] == [("mcnn", "expert"), ("mcnn", "still"), ("expert", "still")]
    last = compared.differences[-1]
    assert last["mean"] == pytest.approx((compared["expert"].returns - compared["still"].returns).mean())
    assert last["p"] < 0.01 and last["p"] <= last["p_holm"] <= 3 * last["p"]
    assert "expert - still" in repr(compared)
    pandas = pytest.importorskip("pandas")
    assert len(compared.to_frame()) == 30 and isinstance(compared.to_frame(), pandas.DataFrame)


def test_actions_are_clipped_into_the_action_space():
    found = mcnn.evaluate(lambda obs: [9.0, -9.0], Point(), episodes=1)  # the environment asserts it
    assert found.lengths.tolist() == [20] and found.success == 0


@pytest.mark.parametrize("scale", [None, "range"])
def test_returns_are_those_of_the_program(tmp_path, scale):
    """Actions of data in [-1, 1] stand for the limits of the action space; scaled actions have the environment's units."""
    demos = mcnn.Demonstrations.from_episodes(episodes(6), action_scale=scale)
    policy = mcnn.train(demos, steps=60, members=1, hidden=[16], progress=False)
    assert bool(policy.action_units) == bool(policy.session().action_units) == (scale is not None)
    policy.save(tmp_path / "p.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "mcnn", "eval", tmp_path / "p.safetensors", "--task", "gym:point_env:Point-v0"]
        + ["--episodes", "4", "--seed", "30", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MCNN_PYTHON": sys.executable, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout)["returns"]
    if scale is None:
        with pytest.warns(UserWarning, match="limits"):
            found = mcnn.evaluate(policy, Point(), episodes=4, seed=30)
        same = mcnn.evaluate(policy.session(), Point(), episodes=4, seed=30, actions="limits")
        other = mcnn.evaluate(policy, Point(), episodes=4, seed=30, actions="environment")
        assert not np.allclose(other.returns, expected, rtol=1e-3)
    else:
        found, same = (mcnn.evaluate(p, Point(), episodes=4, seed=30) for p in (policy, policy.session()))
    np.testing.assert_allclose(found.returns, expected, rtol=1e-5)
    np.testing.assert_allclose(same.returns, expected, rtol=1e-5)


def test_observations_that_are_dicts_are_flattened_in_the_order_of_their_keys():
    class Dicts(Point):
        def observe(self):
            return {"time": np.float32([self.t / 20]), "place": {"y": self.at[1:], "x": self.at[:1]}}

    seen = []
    mcnn.evaluate(lambda obs: seen.append(obs) or obs[:2], Dicts(), episodes=1, seed=3)
    env = Point()
    np.testing.assert_array_equal(seen[0], env.reset(seed=3)[0])


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(mcnn.Error, match="No-Such-v0"):
        mcnn.evaluate(expert, "No-Such-v0", episodes=1)
    with pytest.raises(mcnn.Error, match="Box"):
        mcnn.evaluate(expert, "CartPole-v1", episodes=1)
    with pytest.raises(mcnn.Error, match="policy"):
        mcnn.evaluate(3, Point(), episodes=1)
    with pytest.raises(mcnn.Error, match="episodes"):
        mcnn.evaluate(expert, Point(), episodes=0)
    with pytest.raises(mcnn.Error, match="'environment'.*\n.*'raw'"):
        mcnn.evaluate(expert, Point(), episodes=1, actions="raw")
    unbounded = Point()
    unbounded.action_space = type(Point.action_space)(-np.inf, np.inf, (2,))
    with pytest.raises(mcnn.Error, match="infinite"):
        mcnn.evaluate(expert, unbounded, episodes=1, actions="limits")


def test_a_wrapped_policy_stays_in_the_box_and_is_the_policy_far_away(policy, demos):
    rough = lambda obs: np.array([0.9, -0.9])
    for memories in (mcnn.learn(demos, selection="all"), policy):
        wrapped = mcnn.wrap(rough, memories, lam=policy.lam)
        for obs in np.random.default_rng(0).uniform(-2, 2, (30, 3)):
            action, own = wrapped.act(obs), policy.session().act(obs)
            assert (action.memory, action.weight, action.quantile) == (own.memory, own.weight, own.quantile)
            np.testing.assert_array_equal(action.action, np.clip(np.float32([0.9, -0.9]), own.low, own.high))
        np.testing.assert_allclose(wrapped(np.full(3, 1e4)), [0.9, -0.9], atol=1e-6)
        mixed = mcnn.wrap(rough, memories, lam=0.7, form="mix").act(demos.states[0] + 0.1)
        weight = math.exp(-0.7 * mixed.distance)
        expected = weight * policy.memories["actions"][mixed.memory] + (1 - weight) * np.array([0.9, -0.9])
        np.testing.assert_allclose(mixed.action, expected, atol=1e-4)
    # "auto": a weight of 0.25 at the median distance to a memory of another episode.
    std = demos.states.std(0)
    rows = demos.states / (std + 1e-3 * min(std.max(), 1))  # with the floor of the scale
    episode = np.arange(120) // 20
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.where(episode[:, None] == episode, np.inf, 0)
    median = np.sort(apart.min(1))[60]
    for memories in (mcnn.learn(demos, selection="all"), policy):
        assert mcnn.wrap(rough, memories).lam == pytest.approx(math.log(4) / median, rel=1e-3)
    for wrong in ({"lam": "none"}, {"form": "cut"}):
        with pytest.raises(mcnn.Error):
            mcnn.wrap(rough, policy, **wrong)
    with pytest.raises(mcnn.Error, match="Memories or a Policy"):
        mcnn.wrap(rough, demos)
    with pytest.raises(mcnn.Error, match="action"):
        mcnn.wrap(lambda obs: [math.nan, 0], policy).act(np.zeros(3))
    with pytest.raises(mcnn.Error, match="action"):
        mcnn.wrap(lambda obs: [0, 0, 0], policy).act(np.zeros(3))


def test_a_wrapped_policy_acts_in_the_units_of_the_data():
    states = np.random.default_rng(1).uniform(0, 1, (50, 2))
    demos = mcnn.Demonstrations(states, 300 + 100 * states[:, :1], [25, 50])
    wrapped = mcnn.wrap(lambda obs: [10_000.0], mcnn.learn(demos, selection="all"), lam=3.0)
    low, high = demos.actions_in_data_units.min(), demos.actions_in_data_units.max()
    for obs in states + 0.05:
        action = wrapped.act(obs)
        memory = demos.actions[action.memory, 0]
        upper = min(math.exp(-3 * action.distance) * memory + 1 - math.exp(-3 * action.distance), 1.0)
        assert action.action[0] == pytest.approx(low + (upper + 1) / 2 * (high - low), rel=1e-4)


def test_adapters_have_the_methods_of_other_libraries(policy):
    batch = np.random.default_rng(2).uniform(-1, 1, (4, 3))
    np.testing.assert_array_equal(mcnn.adapt.d3rlpy(policy).predict(batch), policy.predict(batch)[0])
    with pytest.raises(mcnn.Error, match="n, 3"):
        mcnn.adapt.d3rlpy(policy).predict(batch[0])
    served = mcnn.adapt.openpi(policy)
    for obs in batch:
        found = served.infer({"observation/state": obs})
        np.testing.assert_array_equal(found["actions"], policy.predict(obs)[0][None])
    served.reset()
    assert served.metadata["n_act"] == 2
    with pytest.raises(mcnn.Error, match="observation/state"):
        served.infer({"state": batch[0]})

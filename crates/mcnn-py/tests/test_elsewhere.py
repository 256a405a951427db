"""Other libraries: wrapped policies, adapters, evaluation in Gymnasium environments."""

import math

import numpy as np
import pytest
from conftest import expert

import mcnn

gymnasium = pytest.importorskip("gymnasium")


class Point(gymnasium.Env):
    """The point of the demonstrations. The reward is minus the distance from the origin."""

    observation_space = gymnasium.spaces.Box(-10, 10, (3,))
    action_space = gymnasium.spaces.Box(-0.5, 0.5, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.t = self.np_random.uniform(-2, 2, 2), 0
        return self.observe(), {}

    def observe(self):
        return np.array([*self.at, self.t / 20], np.float32)

    def step(self, action):
        assert self.action_space.contains(action)
        self.at, self.t = self.at + action, self.t + 1
        distance = float(np.linalg.norm(self.at))
        return self.observe(), -distance, False, self.t == 20, {"is_success": distance < 0.3}


def test_returns_are_those_of_the_environment(policy):
    found = mcnn.evaluate(policy, Point(), episodes=8, seed=30)
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

    compared = mcnn.compare({"mcnn": policy, "expert": expert, "still": Still()}, Point(), episodes=10)
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


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(mcnn.Error, match="No-Such-v0"):
        mcnn.evaluate(expert, "No-Such-v0", episodes=1)
    with pytest.raises(mcnn.Error, match="Box"):
        mcnn.evaluate(expert, "CartPole-v1", episodes=1)
    with pytest.raises(mcnn.Error, match="policy"):
        mcnn.evaluate(3, Point(), episodes=1)
    with pytest.raises(mcnn.Error, match="episodes"):
        mcnn.evaluate(expert, Point(), episodes=0)


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

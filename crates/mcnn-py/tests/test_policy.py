"""Policies: acting, explaining, editing memories, errors."""

import copy
import math
import os
import pickle
import threading

import numpy as np
import pytest
from conftest import episodes, expert

import mcnn


def states(n, seed=7):
    return np.random.default_rng(seed).uniform(-2, 2, (n, 3)).astype(np.float32)


def nearest(policy, obs):
    """The distance to the nearest memory, and its number, recomputed."""
    memories = policy.memories["states"].astype(np.float64)
    demos = np.concatenate([s for s, _ in episodes(6)]).astype(np.float32).astype(np.float64)
    mean, std = demos.mean(0), demos.std(0)
    std += 1e-3 * min(std.max(), 1)  # the floor of the scale
    distances = np.linalg.norm((memories - mean) / std - (np.asarray(obs, np.float64) - mean) / std, axis=1)
    return distances.min(), distances.argmin()


def test_an_action_lies_in_the_box_of_the_nearest_memory(policy):
    session = policy.session()
    for obs in states(50):
        action = session.act(obs)
        distance, memory = nearest(policy, obs)
        assert action.memory == memory
        assert action.distance == pytest.approx(distance, rel=1e-4)
        weight = math.exp(-policy.lam * distance)
        assert action.weight == pytest.approx(weight, rel=1e-3)
        assert action.radius == pytest.approx(1 - weight, rel=1e-3)
        center = action.weight * policy.memories["actions"][memory]
        np.testing.assert_allclose(action.low, center - action.radius, atol=1e-5)
        np.testing.assert_allclose(action.high, center + action.radius, atol=1e-5)
        assert (action.low <= action.action).all() and (action.action <= action.high).all()
        episode, step = action.source
        assert (policy.memories["episodes"][memory], policy.memories["steps"][memory]) == (episode, step)
        assert 0 <= action.quantile <= 1 and not action.ood and action.member_std >= 0
        assert f"memory={memory}" in repr(action)


def test_a_batch_is_its_observations_one_by_one(policy):
    batch = states(20)
    together, state = policy.predict(batch)
    assert together.shape == (20, 2) and together.dtype == np.float32 and state is None
    for obs, action in zip(batch, together):
        alone, _ = policy.predict(obs)
        assert alone.shape == (2,)
        np.testing.assert_array_equal(alone, action)
        np.testing.assert_array_equal(policy.session().act(obs).action, action)
    for same in (batch.astype(np.float64), batch.tolist(), np.asfortranarray(batch), batch[::-1][::-1]):
        np.testing.assert_array_equal(policy.predict(same)[0], together)
    assert policy.predict(np.zeros((0, 3)))[0].shape == (0, 2)


def test_memories_alone_are_the_nearest_neighbor(demos):
    policy = mcnn.train(demos, lam=0, steps=1, progress=False)
    assert policy.name == "1-NN" and policy.members == 0
    for obs in states(10):
        _, memory = nearest(policy, obs)
        np.testing.assert_array_equal(policy.predict(obs)[0], policy.memories["actions"][memory])


def test_actions_are_in_the_units_of_the_data():
    pixels = [(s, 300 + 100 * a) for s, a in episodes(6)]
    policy = mcnn.train(mcnn.Demonstrations.from_episodes(pixels), steps=200, members=1, progress=False)
    obs = pixels[0][0][3]
    np.testing.assert_allclose(policy.predict(obs)[0], pixels[0][1][3], rtol=1e-5)
    action = policy.session().act(states(1)[0])
    assert (action.low <= action.action).all() and (action.action > 200).all()
    added = policy.add_memories(mcnn.Demonstrations.from_episodes([(s + 0.01, 300 + 99 * (a - 300) / 100) for s, a in pixels[:1]]))
    assert added.n_memories == policy.n_memories + 20


def test_a_state_of_predict_is_an_episode_for_each_row(chunked):
    batch = states(3)
    first, state = chunked.predict(batch)
    second, same = chunked.predict(batch, state=state)
    sessions = [chunked.session(seed=0) for _ in range(3)]
    for expected, actions in [(first, 0), (second, 1)]:
        np.testing.assert_array_equal(expected, [s.act(obs).action for s, obs in zip(sessions, batch)])
    third, _ = chunked.predict(batch, state=same, episode_start=np.array([True, False, True]))
    np.testing.assert_array_equal(third[[0, 2]], first[[0, 2]])
    np.testing.assert_array_equal(third[1], sessions[1].act(batch[1]).action)
    chunked.predict(batch, state=same, episode_start=True, deterministic=False)
    for wrong in ({"state": 3}, {"state": state, "episode_start": [True]}):
        with pytest.raises(mcnn.Error):
            chunked.predict(batch, **wrong)
    with pytest.raises(mcnn.Error, match="one for 3"):
        chunked.predict(batch[:2], state=state)


def test_a_session_starts_again(chunked):
    obs = states(4)
    session = chunked.session(seed=3)
    first = [session.act(o).action for o in obs]
    session.reset()
    np.testing.assert_array_equal(first, [session.act(o).action for o in obs])


def test_an_explanation_agrees_with_the_action(policy):
    obs = states(1)[0]
    explained, action = policy.explain(obs), policy.session().act(obs)
    assert explained["memory"]["memory"] == action.memory
    np.testing.assert_allclose([d["action"] for d in explained["dimensions"]], action.action, rtol=1e-6)
    np.testing.assert_allclose([d["low"] for d in explained["dimensions"]], action.low, rtol=1e-6)
    assert explained["weight"] == pytest.approx(action.weight)
    assert "<th>dx</th>" in explained._repr_html_()
    distances = policy.distance(states(5))
    assert distances.shape == (5,) and policy.distance(states(5)[2]) == distances[2]


def test_memories_are_added_and_dropped_in_a_copy(policy):
    states, actions = next(episodes(1, seed=50))
    more = mcnn.Demonstrations.from_episodes([(states, -actions)])
    added = policy.add_memories(more)
    assert (policy.n_memories, added.n_memories) == (120, 140)
    np.testing.assert_allclose(added.predict(states)[0], -actions, atol=1e-6)
    assert "added 20 steps" in added.edits[0]
    dropped = added.drop_memories(episodes=[6])
    np.testing.assert_array_equal(dropped.predict(states)[0], policy.predict(states)[0])
    fewer = policy.drop_memories(memories=[0, 5])
    np.testing.assert_array_equal(fewer.memories["states"], np.delete(policy.memories["states"], [0, 5], axis=0))
    for wrong in ({"episodes": [99]}, {"memories": [120]}, {}, {"episodes": range(6)}):
        with pytest.raises(mcnn.Error):
            policy.drop_memories(**wrong)
    with pytest.raises(mcnn.Error, match="dimensions"):
        policy.add_memories(mcnn.Demonstrations(np.arange(4), np.zeros(4), [4]))


def test_a_guard_acts_beyond_its_quantile(policy):
    far = np.array([50.0, 50, 50])
    near = policy.memories["states"][4]
    session = policy.guard("hold", quantile=0.99).session()
    held = session.act(near)
    assert not held.ood
    decided = session.act(far)
    assert decided.ood
    np.testing.assert_array_equal(decided.action, held.action)
    stopped = policy.guard("stop").session().act(far)
    assert stopped.stop and stopped.ood
    with pytest.raises(mcnn.Error, match="freeze"):
        policy.guard("freeze")
    with pytest.raises(mcnn.Error, match="quantile"):
        policy.guard("hold", quantile=1.5)
    with pytest.raises(mcnn.Error, match="calibration"):
        policy.drop_memories(episodes=[0]).guard("hold")


def test_files_pickles_and_copies_are_the_same_policy(policy, tmp_path):
    path = tmp_path / "p.safetensors"
    policy.save(path)
    batch = states(5)
    guarded = policy.guard("memory", quantile=0.9)
    for other in (mcnn.load(path), pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        np.testing.assert_array_equal(other.predict(batch)[0], policy.predict(batch)[0])
        assert other.to_bytes() == policy.to_bytes() == path.read_bytes()
    assert repr(pickle.loads(pickle.dumps(guarded))) == repr(guarded)
    with pytest.raises(mcnn.Error, match="not exist"):
        policy.save(path, overwrite=False)
    path.write_bytes(b"something else")
    with pytest.raises(mcnn.Error):
        mcnn.load(path)


def test_a_certificate_states_the_most_isolated_state(policy, demos):
    own = policy.certify(demos, horizon=20)
    assert own["distance"] == 0 and own["bound"] == 0 and own["region_width"] == 0
    new = mcnn.Demonstrations.from_episodes(episodes(3, seed=90))
    found = policy.certify(new, horizon=20)
    distances = policy.distance(new.states)
    assert found["distance"] == pytest.approx(distances.max())
    radius = 1 - math.exp(-policy.lam * found["distance"])
    assert found["region_width"] == pytest.approx(2 * radius, rel=1e-3)
    assert found["bound"] == pytest.approx(min(20, 20**2 * 2 * radius), rel=1e-3)


@pytest.mark.parametrize(
    ("obs", "parts"),
    [
        (np.zeros(4), ["obs", "[3]", "[n, 3]", "[4]"]),
        (np.zeros((2, 3, 3)), ["obs", "[2, 3, 3]"]),
        (np.float32(1), ["obs", "[]"]),
        ("abc", ["obs", "str"]),
        (None, ["obs", "NoneType"]),
        ([[1, 2, 3], [1]], ["obs", "list"]),
        (np.zeros(3, complex), ["obs", "complex128"]),
        (np.zeros(3, object), ["obs", "object"]),
        ({"a": 1}, ["obs", "object"]),
        ([0, math.nan, 0], ["obs", "dimension 1", "NaN"]),
        ([[0, 0, 0], [0, 0, math.inf]], ["obs, row 1", "dimension 2", "inf"]),
    ],
)
def test_observations_that_cannot_be_used_are_refused_by_name(policy, obs, parts):
    with pytest.raises(mcnn.Error) as caught:
        policy.predict(obs)
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in\n{caught.value}"
    for method in (policy.session().act, policy.explain, policy.distance):
        with pytest.raises(mcnn.Error):
            method(obs)


def test_threads_act_at_once(policy):
    batch = states(200)
    expected, _ = policy.predict(batch)
    shared, found = policy.session(), {}

    def act(k):
        found[k] = [policy.predict(obs)[0] for obs in batch]
        for obs in batch:
            shared.act(obs)

    threads = [threading.Thread(target=act, args=(k,)) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for k in range(8):
        np.testing.assert_array_equal(found[k], expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_learns_and_acts(policy, demos):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mcnn.learn(demos, 0.2)
            again = mcnn.train(demos, steps=3, progress=False)
            again.predict(states(3))
            policy.predict(states(3))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_the_expert_is_learned(policy):
    batch = np.concatenate([s for s, _ in episodes(3, seed=77)])
    assert np.abs(policy.predict(batch)[0] - expert(batch)).mean() < 0.1

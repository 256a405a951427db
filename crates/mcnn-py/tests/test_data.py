"""Demonstrations: arrays, files, selections, other packages' objects."""

import gc
import types

import numpy as np
import pytest
from conftest import STEPS, episodes

import mcnn


def test_arrays_are_those_given_and_share_memory_read_only(demos):
    given = list(episodes(6))
    np.testing.assert_array_equal(demos.states, np.concatenate([s for s, _ in given]).astype(np.float32))
    np.testing.assert_array_equal(demos.actions, np.concatenate([a for _, a in given]).astype(np.float32))
    assert demos.states.ctypes.data == demos.states.ctypes.data
    assert not demos.states.flags.writeable and not demos.states.flags.owndata
    with pytest.raises(ValueError):
        demos.states[0, 0] = 1
    with pytest.raises(ValueError):
        demos.states.flags.writeable = True
    assert demos.episode_ends.tolist() == [STEPS * (k + 1) for k in range(6)]
    assert demos.names == (["x", "y", "time"], ["dx", "dy"])
    assert (len(demos), demos.n_steps, demos.n_obs, demos.n_act) == (6, 6 * STEPS, 3, 2)
    assert demos.rewards is None


def test_views_keep_the_data_alive():
    views = []
    for k in range(50):
        demos = mcnn.Demonstrations(np.full((1000, 2), k), np.zeros((1000, 1)), [1000], rewards=np.full(1000, k))
        views.append((demos.states, demos.rewards))
        del demos
    gc.collect()
    for k, (states, rewards) in enumerate(views):
        assert (states == k).all() and (rewards == k).all()


def test_a_file_is_read_back_and_numpy_opens_it(demos, tmp_path):
    path = tmp_path / "d.npz"
    demos.save(path)
    again = mcnn.read(path)
    assert again.fingerprint == demos.fingerprint and again.names == demos.names
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["states"], demos.states)
        np.testing.assert_array_equal(arrays["episode_ends"], demos.episode_ends)
    some = mcnn.read(str(path), episodes=[1, 4])
    assert some.episode_numbers.tolist() == [1, 4]
    np.testing.assert_array_equal(some.states, demos[[1, 4]].states)
    part = mcnn.read(path, state="states:0-1")
    np.testing.assert_array_equal(part.states, demos.states[:, :2])


def test_episodes_are_selected_as_in_a_list(demos):
    order = list(range(6))
    for which in [slice(2, 5), slice(None, None, -2), slice(-1, None)]:
        assert demos[which].episode_numbers.tolist() == order[which]
    assert demos[-1].episode_numbers.tolist() == [5]
    assert demos[np.array([0, 3])].episode_numbers.tolist() == [0, 3]
    np.testing.assert_array_equal(demos[[3, 0]].states[:STEPS], demos.states[3 * STEPS : 4 * STEPS])
    with pytest.raises(IndexError):
        demos[6]
    for nothing in ([], slice(3, 3), "ab"):
        with pytest.raises(mcnn.Error):
            demos[nothing]


def test_actions_of_other_units_are_scaled_and_come_back():
    states, actions = zip(*episodes(3))
    pixels = [300 + 100 * a for a in actions]
    demos = mcnn.Demonstrations.from_episodes(zip(states, pixels))
    low, high = np.concatenate(pixels).min(0), np.concatenate(pixels).max(0)
    scaled = 2 * (np.concatenate(pixels) - low) / (high - low) - 1
    np.testing.assert_allclose(demos.actions, scaled, atol=1e-5)
    np.testing.assert_allclose(demos.actions_in_data_units, np.concatenate(pixels), rtol=1e-6)
    assert len(demos.action_units) == 2
    relative = mcnn.Demonstrations.from_episodes(zip(states, pixels), relative_to=[0, None])
    difference = np.concatenate(pixels)[:, 0] - np.concatenate(states)[:, 0]
    low, high = difference.min(), difference.max()
    np.testing.assert_allclose(relative.actions[:, 0], 2 * (difference - low) / (high - low) - 1, atol=1e-5)


def test_a_repr_says_what_there_is(demos):
    assert repr(demos).startswith("Demonstrations: 6 episodes, 120 steps (20 each)")
    assert "x, y, time" in repr(demos)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"states": np.zeros((4, 2, 2))}, ["states", "[4, 2, 2]"]),
        ({"states": np.array(["a"] * 4)}, ["states", "<U1"]),
        ({"states": None}, ["states", "NoneType"]),
        ({"states": np.zeros((4, 2), complex)}, ["states", "complex128"]),
        ({"states": np.array([[0, 1], [0, np.nan], [0, 0], [0, 0]])}, ["states, step 1, dimension 1", "NaN"]),
        ({"states": np.full((4, 2), 1e300)}, ["states", "inf"]),
        ({"actions": np.zeros(3)}, ["actions", "4 values", "3 values"]),
        ({"episode_ends": [2, 2, 4]}, ["episode ends"]),
        ({"episode_ends": [-1, 4]}, ["episode ends"]),
        ({"episode_ends": 4}, ["episode_ends", "int"]),
        ({"episode_ends": [4.5]}, ["episode_ends"]),
        ({"names": {"state": ["a", "b"]}}, ["names", "state"]),
        ({"names": (["a"], None)}, ["state_names", "2 names", "1 names"]),
        ({"action_scale": "wide"}, ["action_scale", "quantile", "wide"]),
        ({"relative_to": "me"}, ["relative_to", "me"]),
        ({"relative_to": [5]}, ["relative_to", "0 to 1", "5"]),
    ],
)
def test_data_that_cannot_be_used_are_refused_by_name(change, parts):
    good = {"states": np.arange(8).reshape(4, 2), "actions": np.linspace(-1, 1, 4), "episode_ends": [2, 4]}
    mcnn.Demonstrations(**good)
    with pytest.raises(mcnn.Error) as caught:
        mcnn.Demonstrations(**{**good, **change})
    assert isinstance(caught.value, ValueError)
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in\n{caught.value}"
    assert "--" not in str(caught.value)


def test_a_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(mcnn.Error, match="check the path"):
        mcnn.read(tmp_path / "nothing.npz")
    with pytest.raises(mcnn.Error, match="episodes"):
        mcnn.read(tmp_path / "nothing.npz", episodes=[-1])


def test_datasets_of_minari(demos):
    def of(states, actions):
        # One observation more than actions, as Minari has it.
        more = np.concatenate([states, states[-1:] + 1])
        return types.SimpleNamespace(observations=more, actions=actions, rewards=np.ones(len(actions)))

    dataset = types.SimpleNamespace(iterate_episodes=lambda: (of(s, a) for s, a in episodes(6)))
    found = mcnn.from_minari(dataset)
    assert found.fingerprint == demos.fingerprint and found.rewards.sum() == 120

    def goals(states, actions):
        return types.SimpleNamespace(
            observations={"goal": states[:, 2:], "at": states[:, :2]}, actions=actions, rewards=np.ones(len(actions))
        )

    dataset = types.SimpleNamespace(iterate_episodes=lambda: (goals(s, a) for s, a in episodes(6)))
    assert mcnn.from_minari(dataset, observation=["at", "goal"]).fingerprint == demos.fingerprint
    with pytest.raises(mcnn.Error, match="goal, at"):
        mcnn.from_minari(dataset)


@pytest.mark.filterwarnings("ignore::UserWarning:minari")
def test_datasets_of_minari_itself(demos, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    from minari.data_collector import EpisodeBuffer

    spaces = pytest.importorskip("gymnasium").spaces
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    buffers = []
    for k, (states, actions) in enumerate(episodes(6)):
        more, n = np.concatenate([states, states[-1:]]), len(actions)
        ends = [False] * (n - 1) + [True]
        buffers.append(
            EpisodeBuffer(id=k, observations=list(more), actions=list(actions), rewards=[1.0] * n, terminations=ends, truncations=[False] * n)
        )
    box = lambda n: spaces.Box(-10, 10, (n,), np.float64)
    dataset = minari.create_dataset_from_buffers("point/test-v0", buffers, observation_space=box(3), action_space=box(2))
    found = mcnn.from_minari(dataset)
    assert found.fingerprint == demos.fingerprint and found.rewards.tolist() == [1] * 120


def test_objects_of_other_types_are_refused(demos):
    for make in (mcnn.from_minari, mcnn.from_lerobot):
        for wrong in (3, None, "d.npz", demos, np.zeros((3, 2))):
            with pytest.raises(TypeError, match="dataset"):
                make(wrong)
    with pytest.raises(TypeError, match="frame"):
        mcnn.from_frame(np.zeros((3, 2)), state="x", action="y")


class Frame(dict):
    """What pandas and polars have in common."""

    columns = property(lambda self: list(self))
    __len__ = lambda self: len(next(iter(self.values())))


def test_data_frames(demos):
    states, actions = (np.concatenate(part) for part in zip(*episodes(6)))
    columns = {"x": states[:, 0], "y": states[:, 1], "time": states[:, 2], "dx": actions[:, 0], "dy": actions[:, 1]}
    frame = Frame(columns, run=np.repeat(["f", "e", "d", "c", "b", "a"], STEPS))
    arguments = {"state": ["x", "y", "time"], "action": ["dx", "dy"]}
    found = mcnn.from_frame(frame, **arguments, episode="run")
    assert found.fingerprint == demos.fingerprint and found.names == demos.names
    assert len(mcnn.from_frame(frame, **arguments)) == 1
    with pytest.raises(mcnn.Error, match="missing column"):
        mcnn.from_frame(frame, **arguments, episode="episode")
    frame["run"] = np.tile(["a", "b"], 60)
    with pytest.raises(mcnn.Error, match="apart"):
        mcnn.from_frame(frame, **arguments, episode="run")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_of_other_libraries(demos, library):
    states = dict(zip(["x", "y", "time"], demos.states.T))
    frame = pytest.importorskip(library).DataFrame(
        {**states, "dx": demos.actions[:, 0], "dy": demos.actions[:, 1], "episode": np.repeat(range(6), STEPS)}
    )
    found = mcnn.from_frame(frame, state=["x", "y", "time"], action=["dx", "dy"], episode="episode")
    assert found.fingerprint == demos.fingerprint

"""Demonstrations of a task that numpy alone describes: a point is moved to the origin."""

import faulthandler

import numpy as np
import pytest

import mcnn

faulthandler.enable()

STEPS = 20


def expert(obs):
    """The expert of the task: a step towards the origin, of at most 0.5 in each dimension."""
    return np.clip(-0.4 * np.asarray(obs)[..., :2], -0.5, 0.5)


def episodes(n, seed=0):
    """Episodes of the expert: (states [20, 3], actions [20, 2]). The third dimension of the state is the time."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        at, states, actions = rng.uniform(-2, 2, 2), [], []
        for t in range(STEPS):
            states.append([*at, t / STEPS])
            actions.append(expert(at))
            at = at + actions[-1] + rng.normal(0, 0.02, 2)
        yield np.array(states), np.array(actions)


@pytest.fixture(scope="session")
def demos():
    return mcnn.Demonstrations.from_episodes(episodes(6), names=(["x", "y", "time"], ["dx", "dy"]))


@pytest.fixture(scope="session")
def policy(demos):
    return mcnn.train(demos, steps=200, members=2, progress=False, hidden=[32])


@pytest.fixture(scope="session")
def chunked(demos):
    """A policy that predicts chunks and samples."""
    return mcnn.train(demos, backbone="bet", steps=2, progress=False, batch=8)

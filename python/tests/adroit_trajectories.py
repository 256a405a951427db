"""Writes what crates/adroit/tests/against_gymnasium.rs expects: plain Gymnasium stepping through whole episodes.

Arguments: an output folder, and optionally the folder of the expert networks. For each task and kind of actions one file
TASK-KIND.f64 of raw little-endian float64, episode after episode: the seed, the first observation, and for each step the
action, the observation, Gymnasium-Robotics' reward, D4RL's reward (its palm term taken from the simulation's sites and
bodies, not from the observation), success (0 or 1), the joints' positions and their velocities.
"""

import pathlib
import sys

import gymnasium
import gymnasium_robotics
import numpy

gymnasium.register_envs(gymnasium_robotics)
# Few bits and many; float64 represents each exactly.
SEEDS = [0, 1, 2, 3, 4, 5, 6, 2**32 + 5, 2**53 - 1, 2**63]
HORIZONS = {"door": 200, "hammer": 200, "pen": 100, "relocate": 200}


def reach(name, env):
    """Distance from the palm to what the reward's first term is about."""
    if name == "pen":
        return 0.0
    thing = env.data.site("S_handle") if name == "door" else env.data.body("Object")
    return numpy.linalg.norm(env.data.site("S_grasp").xpos - thing.xpos)


def random(name, n, rng):
    return lambda observation: rng.uniform(-1, 1, n)


def smooth(name, n, rng):
    """Noise that carries over from step to step, so that the hand goes somewhere."""
    state = numpy.zeros(n)

    def act(observation):
        state[:] = 0.95 * state + 0.3 * rng.standard_normal(n)
        return state

    return act


def expert(folder):
    def of(name, n, rng):
        net = {key: value.astype(float) for key, value in numpy.load(folder / f"{name}.npz").items()}

        def act(o):
            h = (o - net["in_shift"]) / (net["in_scale"] + 1e-8)
            for k in ("0", "1"):
                h = numpy.tanh(net["w" + k] @ h + net["b" + k])
            return (net["w2"] @ h + net["b2"]) * net["out_scale"] + net["out_shift"]

        return act

    return of


def episode(name, env, seed, act):
    observation, _ = env.reset(seed=seed)
    yield [seed], observation
    for _ in range(HORIZONS[name]):
        action = numpy.clip(act(observation), -1, 1).astype(numpy.float32)
        observation, reward, _, _, info = env.step(action)
        rewards = [reward, reward - 0.2 * reach(name, env.unwrapped), info["success"]]
        data = env.unwrapped.data
        yield action, observation, rewards, data.qpos, data.qvel


def main():
    out = pathlib.Path(sys.argv[1])
    kinds = {"random": random, "smooth": smooth}
    if len(sys.argv) > 2:
        kinds["expert"] = expert(pathlib.Path(sys.argv[2]))
    for name in HORIZONS:
        env = gymnasium.make(f"AdroitHand{name.capitalize()}-v1")
        for kind, make in kinds.items():
            with open(out / f"{name}-{kind}.f64", "wb") as file:
                for seed in SEEDS:
                    act = make(name, env.action_space.shape[0], numpy.random.default_rng(seed))
                    for parts in episode(name, env, seed, act):
                        file.write(numpy.concatenate(parts).astype("<f8").tobytes())


if __name__ == "__main__":
    main()

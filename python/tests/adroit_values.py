"""Prints what tests/task_worker.rs expects of the Adroit tasks: plain Gymnasium stepping, the reward's palm term taken
from the simulation's sites and bodies, not from the observation."""

import gymnasium
import gymnasium_robotics
import numpy

gymnasium.register_envs(gymnasium_robotics)


def reach(name, env):
    model, data = env.model, env.data
    palm = data.site("S_grasp").xpos
    return {
        "Door": lambda: numpy.linalg.norm(palm - data.site("S_handle").xpos),
        "Hammer": lambda: numpy.linalg.norm(palm - data.body("Object").xpos),
        "Relocate": lambda: numpy.linalg.norm(palm - data.body("Object").xpos),
        "Pen": lambda: 0.0,
    }[name]()


for name in ("Door", "Hammer", "Pen", "Relocate"):
    env = gymnasium.make(f"AdroitHand{name}-v1")
    observation, _ = env.reset(seed=11)
    n = env.action_space.shape[0]
    total, ended = 0.0, None
    for t in range(60):
        # Values that f32 represents exactly, so that both sides use the same actions.
        action = numpy.array([((7 * i + 3 * t) % 17 - 8) / 16 for i in range(n)], dtype=env.action_space.dtype)
        observation, reward, *_ = env.step(action)
        total += reward - 0.2 * reach(name, env.unwrapped)
        if name == "Pen" and env.unwrapped.data.body("Object").xpos[2] < 0.075:
            ended = t
            break
    print(name, "steps", t + 1, "return", repr(float(total)), "sum", repr(float(observation.astype(numpy.float32).astype(float).sum())))

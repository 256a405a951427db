"""Prints what tests/task_pusht.rs expects of Push-T: plain gym-pusht, which knows nothing of ours. For each seed given, a line with
the states of an episode (agent x, y, block x, y, angle) and the coverage after each step; then a line with the coverage of the
goal by the block in each pose of POSES."""

import json
import os
import sys

os.environ["SDL_VIDEODRIVER"] = "dummy"
import gym_pusht  # registers the environment
import gymnasium
import numpy

STEPS = 120
POSES = [(256, 256, numpy.pi / 4), (257, 256, numpy.pi / 4), (258, 256, numpy.pi / 4), (300, 256, numpy.pi / 4)]

env = gymnasium.make("gym_pusht/PushT-v0", obs_type="state", disable_env_checker=True)
for seed in map(int, sys.argv[1:]):
    state, _ = env.reset(seed=seed)
    states, coverages = [list(state)], []
    for t in range(STEPS):
        # From side to side through the middle, where the block is; f32 represents the values exactly.
        action = numpy.array([256 + 200 * (-1) ** (t // 10), 156 + 2 * t], numpy.float32)
        state, _, terminated, _, info = env.step(action)
        assert not terminated
        states.append(list(state))
        coverages.append(info["coverage"])
    print(json.dumps({"seed": seed, "states": states, "coverages": coverages}))
of_poses = []
for x, y, angle in POSES:
    env.reset(seed=0)
    inner = env.unwrapped
    inner.agent.position = (20, 20)
    inner.block.angle = angle
    inner.block.position = (x, y)
    of_poses.append(inner._get_coverage())
print(json.dumps({"poses": POSES, "coverages": of_poses}))

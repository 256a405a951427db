"""What tests/task_robots.rs expects of kitchen: plain Gymnasium stepping of the actions on stdin (JSON: seed, actions).
Prints a JSON list of [reward, bits of completed parts, observation in f32] for the reset and each step."""

import json
import sys
import types

import gymnasium
import gymnasium_robotics
import mujoco
import numpy
from gymnasium_robotics.utils import mujoco_utils

gymnasium.register_envs(gymnasium_robotics)
# This MuJoCo's joint types do not equal the model's numbers: the two that are asked for, as numbers.
plain = types.SimpleNamespace(**{name: getattr(mujoco, name) for name in dir(mujoco)})
plain.mjtJoint = types.SimpleNamespace(mjJNT_FREE=0, mjJNT_BALL=1, mjJNT_SLIDE=2, mjJNT_HINGE=3)
mujoco_utils.mujoco = plain

PARTS = ["microwave", "kettle", "light switch", "slide cabinet"]
asked = json.load(sys.stdin)
env = gymnasium.make("FrankaKitchen-v1", tasks_to_complete=PARTS)
observation, _ = env.reset(seed=asked["seed"])
said = [[0.0, 0, observation["observation"].astype(numpy.float32).tolist()]]
left = set(PARTS)
for action in asked["actions"]:
    observation, reward, terminated, _, info = env.step(numpy.array(action))
    left -= set(info["step_task_completions"])
    bits = sum(1 << k for k, part in enumerate(PARTS) if part not in left)
    said.append([reward, bits, observation["observation"].astype(numpy.float32).tolist()])
    if terminated:
        break
json.dump(said, sys.stdout)

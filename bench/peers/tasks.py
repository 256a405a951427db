"""The tasks by mcnn's rules, for policies of any kind: the environments of mcnn's worker, and D4RL's rules for Adroit as in
crates/mcnn/src/task/adroit.rs. A test compares returns with those of `mcnn eval`."""

import types
from pathlib import Path

import numpy as np

PYTHON = Path(__file__).resolve().parents[2] / "python"

# Environment, options, mean returns of random actions and of the expert (d4rl/infos.py).
ADROIT = {
    "door": ("AdroitHandDoor-v1", {}, (-56.512833, 2880.5693087298737)),
    "hammer": ("AdroitHandHammer-v1", {}, (-274.856578, 12794.134825156867)),
    "pen": ("AdroitHandPen-v1", {"max_episode_steps": 100}, (96.262799, 3076.8331017826877)),
    "relocate": ("AdroitHandRelocate-v1", {}, (-6.425911, 4233.877797728884)),
}
TASKS = [*ADROIT, "pusht"]
PIXELS = 512  # of a side of Push-T's area


def worker():
    """The environments of mcnn's worker, as a module."""
    module = types.ModuleType("mcnn_worker")
    for name in ("environments.py", "pusht.py", "poses.py", "racing.py"):
        exec(compile((PYTHON / name).read_text(), str(PYTHON / name), "exec"), module.__dict__)
    return module


def palm_distance(task, o):
    """The distance that D4RL's reward subtracts 0.1 times and Gymnasium-Robotics' adds 0.1 times."""
    between = {"door": lambda: o[35:38], "hammer": lambda: o[33:36] - o[36:39], "relocate": lambda: o[30:33]}
    return float(np.linalg.norm(between[task]())) if task in between else 0.0


class Task:
    """A task by its name. An action has one number in [-1, 1] for each dimension; of `pusht`, -1 and 1 are the ends of the area."""

    def __init__(self, name):
        self.name = name
        environment, options, self.reference = ADROIT.get(name, ("mcnn/PushT-v0", {"observation": "keypoint"}, (0.0, 1.0)))
        program = worker()
        program.prepare()
        plan = {"id": environment, "options": options, "key": None, "parts": [], "pictures": False, "expert_action": False}
        self.copy = program.Copy(plan)
        spec = self.copy.spec()
        self.n_obs, self.n_act = spec["n_obs"], spec["n_act"]

    def scale_actions(self, path):
        """Rewrites the actions of an .npz of demonstrations as the task takes them. Those of Push-T are points in pixels."""
        if self.name != "pusht":
            return
        with np.load(path) as file:
            arrays = dict(file)
        arrays["actions"] = arrays["actions"] / np.float32(PIXELS / 2) - 1
        np.savez(path, **arrays)

    def episode(self, seed, act):
        """Runs an episode. `act`: observation to action. Returns its return and whether it succeeded."""
        observation = self.copy.reset(seed)[4]
        total, reached = 0.0, 0
        while True:
            action = np.clip(np.asarray(act(observation), np.float64).ravel(), -1.0, 1.0)
            if action.shape != (self.n_act,) or not np.isfinite(action).all():
                raise ValueError(f"an action that is not {self.n_act} finite numbers: {action}")
            flags, _, reward, _, observation = self.copy.step(action)
            total += reward - 0.2 * palm_distance(self.name, observation)
            reached += flags & 8 == 8
            dropped = self.name == "pen" and observation[26] < 0.075
            if flags & 3 or dropped:
                needed = {"pusht": 0, "pen": 20}.get(self.name, 25)
                return total, reached > needed


def goal_reached(task, states):
    """Whether each state [n, n_obs] has the goal reached, by the rules of the Adroit environments. Of pen and relocate, whose
    observations say it."""
    if task == "relocate":
        return np.linalg.norm(states[:, 36:39], axis=1) < 0.1  # ball and target
    if task == "pen":
        near = np.linalg.norm(states[:, 39:42], axis=1) < 0.075
        return near & ((states[:, 33:36] * states[:, 36:39]).sum(1) > 0.95)
    raise ValueError(f"the observations of {task} do not say whether its goal is reached")

"""The task of the demonstrations as an environment: a point is moved to the origin. Imported, it is registered as Point-v0."""

import gymnasium
import numpy as np


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


gymnasium.register("Point-v0", entry_point=Point)

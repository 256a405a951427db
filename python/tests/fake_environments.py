"""Environments that misbehave on purpose, for the worker's tests: `gymnasium.make("fake_environments:NAME")`."""

import os
import sys

import gymnasium
import numpy
from gymnasium.spaces import Box, Dict, Discrete


class Fake(gymnasium.Env):
    """Observations in a nested Dict, actions of low (-1, 0) and high (1, 10). Seed s starts at s; each step adds the
    action's second number, and the third step does whatever `kind` says."""

    def __init__(self, kind):
        self.kind = kind
        self.t = 0
        self.observation_space = Dict(
            {
                "z": Box(-numpy.inf, numpy.inf, (1,)),
                "a": Dict({"y": Box(-numpy.inf, numpy.inf, (2, 1)), "x": Box(-numpy.inf, numpy.inf, (1,))}),
            }
        )
        low, high = numpy.array([-1, 0], numpy.float32), numpy.array([1, 10], numpy.float32)
        self.action_space = Discrete(3) if kind == "discrete" else Box(low, high)
        if kind == "unbounded":
            self.action_space = Box(-numpy.inf, numpy.inf, (2,))
        if kind == "image":
            self.observation_space = Discrete(4)

    def observe(self):
        # In another order than the keys', on purpose.
        return {"z": numpy.array([self.value]), "a": {"y": numpy.array([[self.t], [7.0]]), "x": self.last[:1]}}

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.value, self.last = 0, float(seed), numpy.zeros(2)
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        self.last = action
        self.value += action[1]
        reward = 1.0
        if self.kind == "prints":
            print("noise on stdout " * 100)
            os.write(1, b"more of it, past Python\n")
            os.system("echo and from a child")
        if self.t == 3:
            if self.kind == "raises":
                raise ValueError("the moon is in the wrong house")
            if self.kind == "nan":
                self.value = float("nan")
            if self.kind == "nan-reward":
                reward = float("nan")
            if self.kind == "exits":
                print("last words", file=sys.stderr)
                sys.stderr.flush()
                os._exit(7)
            if self.kind == "kills":
                os.kill(os.getpid(), 9)
        return self.observe(), reward, self.t == 5, False, {"success": self.t == 2}


for kind in "plain prints raises nan nan-reward exits kills discrete unbounded image".split():
    gymnasium.register(id=f"Fake-{kind}-v0", entry_point=Fake, kwargs={"kind": kind}, disable_env_checker=True)

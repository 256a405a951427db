"""Environments that misbehave on purpose, for the worker's tests: `gymnasium.make("fake_environments:NAME")`."""

import ctypes
import os
import sys
import time

import gymnasium
import numpy
from gymnasium.spaces import Box, Dict, Discrete


class Fake(gymnasium.Env):
    """Observations in a nested Dict, actions of low (-1, 0) and high (1, 10). Seed s starts at s; each step adds the
    action's second number, and the third step does what `kind` says: of every episode, or where there is a `/`
    after the kind, of those with a seed that ends on the digit after it."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, kind, render_mode=None):
        self.kind, _, self.only = kind.partition("/")
        self.render_mode = render_mode
        kind, self.broken = self.kind, False
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
        return {"z": numpy.array([self.value]).ravel(), "a": {"y": numpy.array([[self.t], [7.0]]), "x": self.last[:1]}}

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        if self.broken:
            raise RuntimeError("used after it broke")
        self.t, self.value, self.last = 0, float(seed), numpy.zeros(2)
        self.chosen = not self.only or seed % 10 == int(self.only)
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
        if self.t == 3 and self.chosen:
            self.broken = self.kind not in ("plain", "prints")
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
            if self.kind == "crashes":
                ctypes.string_at(0)
            if self.kind == "hangs":
                time.sleep(3600)
            if self.kind == "complex":
                self.value = 1j
            if self.kind == "text":
                reward = "much"
            if self.kind == "wide":
                self.value = numpy.zeros(2)
            if self.kind == "leaves":
                sys.exit(3)
            if self.kind == "closes":
                os.closerange(0, 64)
        return self.observe(), reward, self.t == 5, False, {"success": self.t == 2}


    def render(self):
        drawn = numpy.zeros((2, 3, 3), numpy.uint8)
        drawn[0, 1] = [int(self.value), self.t, 255]
        return drawn.astype(float) if self.kind == "floats" else drawn


class Bytes(gymnasium.Env):
    """Observations of bytes: the seed and the step; of floats, against what its space says, where it is told to."""

    def __init__(self, form, render_mode=None):
        self.form = form
        self.observation_space, self.action_space = Box(0, 255, (2,), numpy.uint8), Box(-1, 1, (1,))

    def observe(self):
        return numpy.array([self.start, self.t], self.form)

    def reset(self, seed=None, options=None):
        self.start, self.t = seed, 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), 1.0, False, False, {}


class Camera(gymnasium.Env):
    """A frame and a state: the seed in every pixel, the step and its negative."""

    def __init__(self, render_mode=None):
        frame, numbers = Box(0, 255, (2, 3, 3), numpy.uint8), lambda n: Box(-numpy.inf, numpy.inf, (n,), numpy.float32)
        self.observation_space = gymnasium.spaces.Dict({"agent": numbers(1), "pixels": frame, "zero": numbers(2)})
        self.action_space = Box(-1, 1, (1,))

    def observe(self):
        state = {"agent": numpy.float32([self.t]), "zero": numpy.float32([-self.t, 0.5])}
        return {**state, "pixels": numpy.full((2, 3, 3), self.start, numpy.uint8)}

    def reset(self, seed=None, options=None):
        self.start, self.t = seed, 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), 1.0, False, False, {}


class Slow(Fake):
    """Takes long to be made, from the second copy in a process on."""

    made = 0

    def __init__(self, **others):
        Slow.made += 1
        if Slow.made > 1:
            time.sleep(3600)
        super().__init__(**others)


ALWAYS = "plain prints raises nan nan-reward exits kills crashes complex text wide leaves closes discrete unbounded image floats"
for kind in ALWAYS.split() + ["hangs", *(f"{k}/{n}" for k in "raises exits hangs nan wide".split() for n in "37")]:
    name = f"Fake-{kind}-v0".replace("/", "-on-")
    gymnasium.register(id=name, entry_point=Fake, kwargs={"kind": kind}, disable_env_checker=True)
for name, form in (("bytes", "u1"), ("no-bytes", "f4")):
    gymnasium.register(id=f"Fake-{name}-v0", entry_point=Bytes, kwargs={"form": form}, disable_env_checker=True)
gymnasium.register(
    id="fake_environments/Fake-spaced-v0", entry_point=Fake, kwargs={"kind": "plain"}, disable_env_checker=True
)
gymnasium.register(id="Fake-camera-v0", entry_point=Camera, max_episode_steps=4, disable_env_checker=True)
gymnasium.register(id="Fake-slow-v0", entry_point=Slow, kwargs={"kind": "plain"}, disable_env_checker=True)

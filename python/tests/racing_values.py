"""Prints what tests/task_racing.rs expects of CarRacing: plain Gymnasium stepping, which knows nothing of ours. A line for
each seed given: the seed, then for the state after the reset's 50 steps and each of `STEPS` more the SHA-256 of the frame,
and the rewards, in which the first has those of the 50."""

import hashlib
import json
import os
import sys

os.environ["SDL_VIDEODRIVER"] = "dummy"
import gymnasium
import numpy

STEPS = 40

env = gymnasium.make("CarRacing-v3")
for seed in map(int, sys.argv[1:]):
    env.reset(seed=seed)
    early = 0.0
    for _ in range(50):
        frame, reward, *_ = env.step(numpy.zeros(3, numpy.float32))
        early += reward
    frames, rewards = [frame], []
    for t in range(STEPS):
        # Values that f32 represents exactly, so that both sides use the same actions.
        steering, pedal = ((7 * i + 3 * t) % 17 / 16 - 0.375 for i in range(2))
        action = numpy.array([steering, max(pedal, 0), max(-pedal, 0)], numpy.float32)
        frame, reward, *_ = env.step(action)
        frames.append(frame)
        rewards.append(reward + early)
        early = 0.0
    hashes = [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames]
    print(json.dumps({"seed": seed, "frames": hashes, "rewards": rewards}))

"""What all adapters share. An adapter is a program that trains one peer's policy on demonstrations and then acts for run.py. It
imports the peer in its `train`, so that the file can be read without it.

Lines of JSON. In: the job, then {"reset": true} or {"obs": [...]}. Out: {"cpu": seconds, "wall": seconds, ...} after the training, then
{"action": [...], "us": microseconds} for each observation.
"""

import importlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np


@dataclass
class Demonstrations:
    """Episodes one after another: states [n, n_obs], actions [n, n_act] in [-1, 1], rewards [n] (0 where none were recorded: cloning does
    not read them), ends [episodes], exclusive."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray

    @classmethod
    def read(cls, path):
        with np.load(path) as file:
            states = file["states"]
            rewards = file["rewards"] if "rewards" in file else np.zeros(len(states), np.float32)
            return cls(states, file["actions"], rewards, file["episode_ends"])

    def episodes(self):
        """The slice of each episode."""
        return [slice(a, b) for a, b in zip([0, *self.ends[:-1]], self.ends)]

    def last_steps(self):
        """[n], 1 at the last step of each episode."""
        last = np.zeros(len(self.states), np.float32)
        last[self.ends - 1] = 1
        return last


class Clock:
    """The time a job may train: seconds of the processor, which are wall-clock time where one thread has a core for itself, and do
    not depend on other work of the machine. `is_over()` is false for ever where the peer's own number of steps decides."""

    def __init__(self, seconds):
        self.seconds, self.begun, self.wall = seconds, time.process_time(), time.monotonic()

    def elapsed(self):
        """Seconds of the processor, and of the wall clock."""
        return time.process_time() - self.begun, time.monotonic() - self.wall

    def is_over(self):
        return self.seconds is not None and self.elapsed()[0] >= self.seconds


def own_pipes():
    """Reserves stdin and stdout; what the peer prints goes to stderr."""
    lines_in, lines_out = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return lines_in, lines_out


def end_with_parent():
    """Ends this process when the driver has ended, also in the middle of a training."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve(train, packages, modules):
    """Runs an adapter. train(demonstrations, job, clock) gives (act, reset, settings): a function from an observation [n_obs] to an
    action [n_act], one that starts an episode, and what the peer trained with. `packages`: those whose versions are in the result.
    `modules`: what is imported before the clock of the training starts."""
    end_with_parent()
    lines_in, lines_out = own_pipes()
    job = json.loads(lines_in.readline())
    demonstrations = Demonstrations.read(job["data"])
    versions = {name: version(name) for name in packages}
    for module in modules:
        importlib.import_module(module)
    clock = Clock(job["seconds"])
    act, reset, settings = train(demonstrations, job, clock)
    cpu, wall = clock.elapsed()
    print(json.dumps({"cpu": cpu, "wall": wall, "settings": settings, "versions": versions}), file=lines_out)
    for line in lines_in:
        message = json.loads(line)
        if "reset" in message:
            reset()
            continue
        observation = np.array(message["obs"], np.float32)
        began = time.perf_counter()
        action = act(observation)
        us = 1e6 * (time.perf_counter() - began)
        print(json.dumps({"action": np.asarray(action, float).ravel().tolist(), "us": us}), file=lines_out)

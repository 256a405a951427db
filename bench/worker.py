"""Steps a second of environments in worker processes, by lanes, against Gymnasium's vector environments; and what a frame
costs on its way, as bytes and as float64.

Run by bench/run.sh. All sides step the same environment with random actions on two processes (SyncVectorEnv: one), in
alternating rounds. One line a side: median, lowest and highest steps a second, and the same of the ratios to
AsyncVectorEnv of 2 within a round, since the machine's other load moves from round to round.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np

import table

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 3
EPISODES = 1000 if QUICK else 2000  # runs of seconds: the second process takes half of one to start
TARGET = table.TARGET
THREADS = 2


class Still(gym.Env):
    """The same frame again and again, so that nothing but its way costs anything."""

    def __init__(self, form):
        low, high = (0, 255) if form == "u1" else (0.0, 255.0)
        self.observation_space = gym.spaces.Box(low, high, (96, 96, 3), form)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,))
        self.frame = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(form)

    def reset(self, seed=None, options=None):
        return self.frame, {}

    def step(self, action):
        return self.frame, 0.0, False, False, {}


for form in ("u1", "f8"):
    made = {"entry_point": Still, "kwargs": {"form": form}, "max_episode_steps": 200, "disable_env_checker": True}
    gym.register(id=f"Still-{form}-v0", **made)


def ours(env, lanes, episodes, threads=THREADS):
    command = [f"{TARGET}/release/examples/bench_worker", sys.executable, env, threads, lanes, episodes]
    path = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}  # where `worker:Still-...` is found
    out = subprocess.run(list(map(str, command)), check=True, capture_output=True, env=path)
    return json.loads(out.stdout)


def vector(kind, env, n, steps):
    envs = kind([lambda: gym.make(env)] * n)
    envs.reset(seed=0)
    shape = envs.action_space.shape
    rng = np.random.default_rng(0)
    low, high = envs.action_space.low, envs.action_space.high
    drawn = rng.random((steps // n + 50, *shape))  # beforehand: drawing is not stepping
    actions = (low + (high - low) * drawn).astype(envs.action_space.dtype)
    for action in actions[:50]:
        envs.step(action)
    start = time.perf_counter()
    for action in actions[50:]:
        envs.step(action)
    rate = steps // n * n / (time.perf_counter() - start)
    envs.close()
    return rate


def main():
    table.build()
    env, horizon = "Pendulum-v1", 200
    lanes = [1, 4, 16]
    found, returns = {}, {}
    for turn in range(ROUNDS):
        sides = [(f"ours, {THREADS} x {k} lanes", lambda k=k: ours(env, k, EPISODES)) for k in lanes]
        steps = EPISODES * horizon // 4  # seconds as well
        sides += [
            ("AsyncVectorEnv(2)", lambda: vector(gym.vector.AsyncVectorEnv, env, 2, steps)),
            ("SyncVectorEnv(2)", lambda: vector(gym.vector.SyncVectorEnv, env, 2, steps)),
            ("SyncVectorEnv(16)", lambda: vector(gym.vector.SyncVectorEnv, env, 16, steps)),
        ]
        for name, side in sides if turn % 2 == 0 else sides[::-1]:
            answer = side()
            if isinstance(answer, dict):
                returns[name] = answer["return"]
                answer = answer["steps_per_second"]
            found.setdefault(name, []).append(answer)
    assert len(set(returns.values())) == 1, f"results depend on the lanes: {returns}"
    peer = found["AsyncVectorEnv(2)"]
    print(f"\n## Steps a second, {env} ({horizon} steps an episode), {ROUNDS} rounds\n")
    print("| side | steps/s | lowest to highest | to AsyncVectorEnv(2) |\n|---|---|---|---|")
    for name, rates in found.items():
        ratios = [rate / other for rate, other in zip(rates, peer)]
        range_of = lambda values, form: f"{min(values):{form}} to {max(values):{form}}"
        print(
            f"| {name} | {statistics.median(rates):,.0f} | {range_of(rates, ',.0f')}"
            f" | {statistics.median(ratios):.1f} ({range_of(ratios, '.1f')}) |"
        )
    for name in [name for name in found if name.startswith("ours")]:
        for other in ("AsyncVectorEnv(2)", "SyncVectorEnv(16)"):
            work = f"{env}, {name}; {other}"
            table.row(work, found[name], found[other], "steps/s", error="the returns of all lanes are the same")
    print(f"\n## A frame of 96 x 96 x 3 from a worker, one thread and lane, {ROUNDS} alternating rounds\n")
    print("| form | us a step, median | lowest to highest |\n|---|---|---|")
    micros = {"u1": [], "f8": []}
    for turn in range(ROUNDS):
        for form in ("u1", "f8") if turn % 2 == 0 else ("f8", "u1"):
            episodes = (400 if form == "u1" else 60) // (1 + QUICK)  # seconds each
            rate = ours(f"worker:Still-{form}-v0", 1, episodes, threads=1)["steps_per_second"]
            micros[form].append(1e6 / rate)
    table.row("a frame of 96 x 96 x 3 from a worker, as bytes; as float64", micros["u1"], micros["f8"], "us", error="the same frame")
    for form, times in micros.items():
        print(f"| {form} | {statistics.median(times):.0f} | {min(times):.0f} to {max(times):.0f} |")


if __name__ == "__main__":
    main()

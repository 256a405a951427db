"""Steps a second of the four Adroit tasks: crate adroit against Gymnasium, in alternating rounds of the same actions.

The actions are noise that carries over from step to step, in episodes of D4RL's horizon from seeds 0, 1, 2 and so on. All
do the same steps (those of two at once do them twice over); the table shows medians over the rounds. The answer is
checked: the largest difference of any number observed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import gymnasium
import gymnasium_robotics
import numpy as np

import table

gymnasium.register_envs(gymnasium_robotics)
TARGET = table.TARGET
HORIZONS = {"door": 200, "hammer": 200, "pen": 100, "relocate": 200}


class Ours:
    """The Rust program, doing a round for each line it is sent."""

    def __init__(self, name, actions):
        self.rest = []  # of a step beside the physics, round by round
        self.program = subprocess.Popen(
            [f"{TARGET}/release/examples/bench_adroit", name, actions],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MCNN_PYTHON": sys.executable},
        )

    def round(self, work):
        """Microseconds a step."""
        self.program.stdin.write(work + "\n")
        self.program.stdin.flush()
        line = self.program.stdout.readline()
        if not line:
            sys.exit("bench_adroit stopped; its message is above")
        answer = json.loads(line)
        if "rest" in answer:
            self.rest.append(answer["rest"] * 1e6)
        return answer["seconds"] / answer["steps"] * 1e6

    def close(self):
        self.program.stdin.close()
        self.program.wait()


def single(env, episodes, seen=None):
    start = time.perf_counter()
    for seed, actions in enumerate(episodes):
        env.reset(seed=seed)
        for action in actions:
            observation = env.step(action)[0]
            if seen is not None:
                seen.append(observation)
    return (time.perf_counter() - start) / sum(map(len, episodes)) * 1e6


def vector(envs, episodes):
    start = time.perf_counter()
    for seed, actions in enumerate(episodes):
        envs.reset(seed=[seed, seed])
        for action in actions:
            envs.step(np.stack([action, action]))
    return (time.perf_counter() - start) / (2 * sum(map(len, episodes))) * 1e6


def bench(name, rounds, count):
    make = f"AdroitHand{name.capitalize()}-v1"
    env = gymnasium.make(make)
    envs = gymnasium.vector.AsyncVectorEnv([lambda: gymnasium.make(make)] * 2)
    rng, state = np.random.default_rng(0), np.zeros(env.action_space.shape[0])
    actions = []
    for _ in range(count):
        state = 0.95 * state + 0.3 * rng.standard_normal(len(state))
        actions.append(np.clip(state, -1, 1).astype(np.float32))
    episodes = [actions[i : i + HORIZONS[name]] for i in range(0, count, HORIZONS[name])]
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, file) for file in ("actions.f32", "answers.f64")]
        np.concatenate(actions).tofile(files[0])
        ours = Ours(name, files[0])
        seen = []
        single(env, episodes, seen)
        ours.round(f"answers {files[1]}")
        error = np.abs(np.fromfile(files[1]).reshape(len(seen), -1) - np.array(seen)).max()
        works = {
            "physics": lambda: ours.round("physics"),
            "ours": lambda: ours.round("ours 1"),
            "ours, 2 threads": lambda: ours.round("ours 2"),
            "Gymnasium": lambda: single(env, episodes),
            "AsyncVectorEnv of 2": lambda: vector(envs, episodes),
            "our worker": lambda: ours.round("worker"),
        }
        times = {work: [] for work in works}
        for turn in range(rounds + 1):
            for work in list(works) if turn % 2 else reversed(works):
                us = works[work]()
                if turn > 0:  # the first round is for the caches
                    times[work].append(us)
        ours.close()
    env.close()
    envs.close()
    us = {work: statistics.median(rounds) for work, rounds in times.items()}
    cells = [f"{1e6 / us[work]:.0f}" for work in works if work != "physics"]
    floor = f"{us['physics']:.0f} us | {statistics.median(ours.rest):.1f} us"
    for side, other in (("ours", "Gymnasium"), ("ours, 2 threads", "AsyncVectorEnv of 2")):
        rates = [[1e6 / us for us in times[work]] for work in (side, other)]
        threads = 2 if "2" in side else 1
        most = threads * 1e6 / us["physics"]
        table.row(f"Adroit {name}, {side}; {other}", *rates, "steps/s", most, f"largest difference {error:.1e}")
    print(f"| {name} | {floor} | {' | '.join(cells)} | {us['Gymnasium'] / us['ours']:.2f} | {error:.1e} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 400 steps")
    args = parser.parse_args()
    rounds, count = (3, 400) if args.quick else (5, 1000)
    # With the program, so that the dependencies have the same features as ever.
    build = ["cargo", "build", "--release", "--quiet", "-p", "mcnn-cli", "-p", "adroit", "--bins", "--examples"]
    subprocess.run(build, check=True)
    print(f"{rounds} alternating rounds of {count} steps; steps a second")
    print("| task | floor: 5 frames of MuJoCo | ours on top | ours | ours, 2 threads | Gymnasium | AsyncVectorEnv of 2 |"
          " our worker | ours / Gymnasium | largest difference |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in HORIZONS:
        bench(name, rounds, count)


if __name__ == "__main__":
    main()

"""Tests of run.py with peers of a few lines; none of the real ones is needed. Run by crates/mcnn-cli/tests/peers.rs, or:

    MCNN=target/release/mcnn python bench/peers/test_run.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import run

# A peer that knows the answer: the action is half the observation.
GOOD = '''"""A peer.

Of a few lines."""

import adapter  # a comment


def train(demonstrations, job, clock):
    """Trains nothing."""
    print("what a peer prints is no answer")
    settings = {"episodes": len(demonstrations.ends), "seed": job["seed"], "is_over": clock.is_over()}
    return (lambda observation: observation[:2] / 2), (lambda: None), settings


adapter.serve(train, ["numpy"], ["numpy"])
'''


class Push:
    """A task of three steps with observations [step, seed, 1]."""

    name, n_act, reference = "push", 2, (0.0, 10.0)

    def episode(self, seed, act):
        actions = [act(np.array([step, seed, 1.0])) for step in range(3)]
        return float(np.sum(actions)), seed % 2 == 0


class Driver(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.npz = Path(self.folder.name) / "d.npz"
        np.savez(self.npz, states=np.ones((4, 3)), actions=np.ones((4, 2)), rewards=np.ones(4), episode_ends=np.array([2, 4]))

    def line(self, script, *more):
        path = Path(self.folder.name) / "peer.py"
        path.write_text(script)
        argv = ["fake_bc", "push", "d.npz", "--episodes", "2", "--first-seed", "8", "--python", sys.executable, "--script", str(path), *more]
        return run.run(run.arguments(argv), Push(), self.npz, {"fingerprint": "ab", "episodes": 2})

    def test_a_run_is_a_line_with_all_that_a_table_needs(self):
        line = self.line(GOOD, "--seed", "3", "--seconds", "0")
        self.assertIsNone(line["error"])
        # Three steps: half of 0 + 1 + 2, and half of the seed each.
        self.assertEqual(line["returns"], [1.5 + 3 * 4, 1.5 + 3 * 4.5])
        self.assertAlmostEqual(line["eval"]["score"]["mean"], 10 * (13.5 + 15) / 2)
        self.assertEqual(line["eval"]["success"]["share"], 0.5)
        self.assertGreater(line["eval"]["latency_us"]["p50"], 0)
        self.assertEqual(line["trained_with"], {"episodes": 2, "seed": 3, "is_over": True})
        self.assertEqual(line["versions"], {"numpy": np.__version__})
        self.assertEqual((line["settings"]["budget"], line["settings"]["seed"], line["demonstrations"]), ("0 s", 3, 2))
        self.assertEqual(line["user_lines"], 6)
        beside = Path(self.folder.name) / "other_peer.py"
        beside.write_text('"""Part of it."""\n\nFACTOR = 2  # of the observation\n')
        imports = self.line(GOOD.replace("import adapter", "import adapter\nfrom other_peer import FACTOR"))
        self.assertEqual((imports["user_lines"], imports["error"]), (8, None))
        self.assertEqual(self.line(GOOD)["settings"]["budget"], "recommended")
        self.assertFalse(self.line(GOOD)["trained_with"]["is_over"])

    def test_a_peer_that_fails_is_a_line_with_its_reason(self):
        crash = GOOD.replace('print("what a peer prints is no answer")', 'raise RuntimeError("no such layer")')
        cases = {
            "no such layer": self.line(crash),
            "status -9": self.line(GOOD.replace("observation[:2] / 2", '__import__("os").kill(__import__("os").getpid(), 9)')),
            "exceeded 0.5 s when training": self.line(GOOD.replace("settings = {", "__import__('time').sleep(60); settings = {"), "--limit", "0.5"),
            "not installed": self.line(GOOD, "--python", "/nowhere/python"),
            "No module named": self.line("import a_package_that_is_not_here\n"),
            "no JSON": self.line('print("hello")\ninput()\n'),
        }
        for reason, line in cases.items():
            self.assertIn(reason, line["error"])
            self.assertEqual((line["returns"], line["eval"]), ([], None), reason)
            self.assertEqual(line["settings"]["seed"], 0)

    def test_no_process_is_left(self):
        marker = Path(self.folder.name) / "pid"
        stuck = f"""
import subprocess, time
child = subprocess.Popen(['sleep', '600'])
open({str(marker)!r}, 'w').write(str(child.pid))
print('no answer', flush=True)
time.sleep(600)
"""
        self.assertIn("no JSON", self.line(stuck)["error"])
        child = Path("/proc") / marker.read_text() / "stat"
        deadline = time.monotonic() + 60
        while child.exists() and child.read_text().split()[2] != "Z":
            self.assertLess(time.monotonic(), deadline, "a process is left")
            time.sleep(0.05)


class Rows(unittest.TestCase):
    def test_a_run_that_the_file_has_is_not_done_again(self):
        import rows

        wanted = list(rows.runs())
        self.assertEqual(len(wanted), len(set(map(rows.identity, wanted))))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "r.jsonl"
            self.assertEqual(rows.done(path), set())
            lines = []
            # Those of run.py itself, so that its arguments and its lines are held together.
            for one, error in [(wanted[0], None), (wanted[20], None), (wanted[1], "crashed")]:
                options = run.arguments(rows.command(one, Path("data"))[2:] + ["--python", "/nowhere/python"])
                task = SimpleNamespace(name=options.task, reference=(0.0, 1.0))
                lines.append(run.run(options, task, "d.npz", {"fingerprint": "ab", "episodes": 5}) | {"error": error})
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
            self.assertEqual(rows.done(path), {rows.identity(wanted[0]), rows.identity(wanted[20])})


class PushT(unittest.TestCase):
    """Its data have points in pixels as actions, and no rewards."""

    def test_the_agent_goes_where_a_demonstrated_action_points(self):
        try:
            import gym_pusht  # noqa: F401
        except ImportError:
            self.skipTest("needs gym-pusht")
        from adapter import Demonstrations
        from tasks import Task

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "d.npz"
            np.savez(path, states=np.zeros((1, 20)), actions=np.float32([[100, 400]]), episode_ends=np.array([1]))
            task, seen = Task("pusht"), []
            task.scale_actions(path)
            demonstrations = Demonstrations.read(path)

        def act(observation):
            seen.append(observation[18:20])
            return demonstrations.actions[0]

        task.episode(100_000, act)
        np.testing.assert_allclose(seen[50], [100, 400], atol=1)
        np.testing.assert_array_equal(demonstrations.rewards, [0.0])


class Rules(unittest.TestCase):
    """The rules of the tasks, against the program's."""

    def setUp(self):
        experts = Path(os.environ.get("MCNN_SHARED", HERE.parents[2] / "shared")) / "data/experts"
        if not experts.is_dir() or "MCNN" not in os.environ:
            self.skipTest(f"needs MCNN, the program, and the experts' networks in {experts}")
        try:
            import gymnasium_robotics  # noqa: F401
        except ImportError:
            self.skipTest("needs gymnasium-robotics")
        self.experts = experts

    def expert(self, name):
        e = np.load(self.experts / f"{name}.npz")

        def act(observation):
            x = (observation - e["in_shift"]) / (e["in_scale"] + 1e-8)
            x = np.tanh(e["w1"] @ np.tanh(e["w0"] @ x + e["b0"]) + e["b1"])
            return np.clip((e["w2"] @ x + e["b2"]) * e["out_scale"] + e["out_shift"], -1, 1)

        return act

    def test_returns_are_those_of_mcnn_eval(self):
        from tasks import ADROIT, Task

        for name in ADROIT:
            said = subprocess.run(
                [os.environ["MCNN"], "eval", self.experts / f"{name}.npz", "--task", name, "--episodes", "2", "--seed", "1000", "--json"],
                check=True,
                capture_output=True,
                text=True,
            )
            wanted, task = json.loads(said.stdout), Task(name)
            ours = [task.episode(seed, self.expert(name)) for seed in (1000, 1001)]
            returns, successes = zip(*ours)
            # Networks in f32 against f64, and contact makes small differences larger.
            self.assertLess(abs(np.mean(returns) / wanted["return"]["mean"] - 1), 1e-2, name)
            self.assertEqual(np.mean(successes), wanted["success"]["share"], name)

    def test_the_goal_that_observations_say_is_the_environments(self):
        from tasks import Task, goal_reached

        for name in ("pen", "relocate"):
            task, seen, reached = Task(name), [], []
            act = self.expert(name)
            step = task.copy.step

            def noted(action):
                outcome = step(action)
                seen.append(outcome[4])
                reached.append(outcome[0] & 8 == 8)
                return outcome

            task.copy = SimpleNamespace(step=noted, reset=task.copy.reset)
            for seed in (1000, 1001):
                task.episode(seed, act)
            np.testing.assert_array_equal(goal_reached(name, np.array(seen)), reached, err_msg=name)
            self.assertTrue(0 < sum(reached) < len(reached), name)


if __name__ == "__main__":
    unittest.main()

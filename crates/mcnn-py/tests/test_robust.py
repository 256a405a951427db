"""Random calls never end the interpreter, and importing starts nothing."""

import math
import random
import subprocess
import sys

import numpy as np

import mcnn

CALLS = 10_000


def test_random_calls_give_results_or_exceptions(policy, chunked, demos, tmp_path):
    draw = random.Random(0)
    memories = mcnn.learn(demos, 0.2)
    state = chunked.predict(np.zeros((2, 3)))[1]
    values = [
        None, True, 0, 1, -1, 3, 2**40, 2**70, 0.5, -0.5, math.nan, math.inf, 1e300, "", "mlp", "auto", "hold", b"x", [], [1], [0, 3],
        [[1.0, 2, 3]], {}, {"states": ["a"]}, (), slice(0, 2), object(), lambda *a: 0, np.zeros(3), np.zeros((4, 3)), np.zeros((0, 3)),
        np.zeros((2, 3), np.float32)[:, ::-1], np.full(3, np.nan), np.zeros(3, ">f4"), np.zeros((3, 0)), np.array("a"),
        np.array([1, 2, 3], object), demos, memories, policy, state, str(tmp_path), str(tmp_path / "none"), range(3),
    ]
    session, trainer = policy.session(), mcnn.Trainer(demos, steps=3, members=1)
    guarded = chunked.guard("hold")
    # `steps` and `members` of a run that could take long are not drawn.
    of = lambda thing, *names: [getattr(thing, name) for name in names]
    calls = [
        mcnn.Demonstrations, mcnn.Demonstrations.from_episodes, mcnn.read, mcnn.load, mcnn.wrap, mcnn.from_frame, mcnn.from_minari,
        mcnn.from_lerobot, mcnn.suggest, lambda *a, **k: mcnn.suggest(demos, policy, *a, **k), lambda plan, *a, **k: mcnn.sweep(plan, tmp_path / "r.jsonl", *a, **k),
        lambda *a, **k: mcnn.learn(demos, *a, **k), mcnn.learn, mcnn.evaluate, mcnn.Memories.load, demos.__getitem__,
        *of(policy, "predict", "explain", "distance", "guard", "add_memories", "drop_memories", "certify", "session"),
        *of(policy, "report", "threshold", "memory_frame"),
        *of(chunked, "predict", "explain", "distance"), *of(guarded, "predict", "guard"), *of(session, "act", "reset"),
        *of(trainer, "advance", "policy", "validation_loss"), *of(mcnn._mcnn, "mean_interval", "paired_difference", "corrected"),
        mcnn._mcnn._policy_from_bytes, mcnn._mcnn._memories_from_bytes, mcnn.adapt.d3rlpy(policy).predict, mcnn.adapt.openpi(policy).infer,
    ]
    words = ["state", "obs", "episode_start", "deterministic", "seed", "episodes", "memories", "quantile", "horizon", "names", "lam"]
    refused = 0
    for _ in range(CALLS):
        arguments = [draw.choice(values) for _ in range(draw.randrange(5))]
        named = {draw.choice(words): draw.choice(values)} if draw.random() < 0.3 else {}
        try:
            draw.choice(calls)(*arguments, **named)
        except Exception as error:
            # A panic of Rust is a BaseException, which fails the test.
            refused += 1
            assert str(error) is not None
    assert CALLS / 3 < refused < CALLS


def test_importing_starts_no_thread_and_imports_little():
    code = (
        "import sys, os, mcnn\n"
        "threads = len(os.listdir('/proc/self/task')) if os.path.exists('/proc/self/task') else 1\n"
        "print(threads, [m for m in ('pandas', 'gymnasium', 'torch') if m in sys.modules])"
    )
    # numpy may start threads of its own: those of its linear algebra.
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"OPENBLAS_NUM_THREADS": "1"})
    assert found.stdout.strip() == "1 []", found


def test_damaged_files_are_errors(policy, tmp_path):
    whole, draw = policy.to_bytes(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(min(len(damaged), 4000))] = draw.randrange(256)
        del damaged[draw.choice([len(damaged), draw.randrange(len(damaged))]) :]
        try:
            mcnn._mcnn._policy_from_bytes(bytes(damaged)).predict(np.zeros(3))
        except mcnn.Error:
            pass

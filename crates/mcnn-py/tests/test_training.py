"""Choosing memories and training: the same bytes as the program, interruption, resuming."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import episodes

import mcnn


def program(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "mcnn", *map(str, arguments)], capture_output=True, text=True, **options)


@pytest.mark.parametrize("backbone", ["mlp", "retrieval", "diffusion"])
def test_the_same_seed_gives_the_bytes_of_the_program(demos, tmp_path, backbone):
    data, memories, policy = tmp_path / "d.npz", tmp_path / "m.safetensors", tmp_path / "p.safetensors"
    demos.save(data)
    learned = program("learn", data, "--fraction", 0.3, "--seed", 4, "-o", memories)
    assert learned.returncode == 0, learned.stderr
    options = ["--backbone", backbone, "--steps", 15, "--seed", 5, "--hidden", "16,16"]
    done = program("train", data, memories, *options, "-o", policy)
    assert done.returncode == 0, done.stderr
    read = mcnn.read(data)
    chosen = mcnn.learn(read, 0.3, seed=4)
    chosen.save(tmp_path / "own.safetensors")
    assert (tmp_path / "own.safetensors").read_bytes() == memories.read_bytes()
    trained = mcnn.train(read, chosen, backbone=backbone, steps=15, seed=5, hidden=[16, 16], progress=False)
    assert trained.to_bytes() == policy.read_bytes()
    default = tmp_path / "default.safetensors"
    assert program("train", data, *options, "-o", default).returncode == 0
    out = tmp_path / "out.safetensors"
    mcnn.train(read, backbone=backbone, steps=15, seed=5, hidden=[16, 16], progress=False, out=out)
    assert out.read_bytes() == default.read_bytes()


def test_default_steps_are_those_of_the_program(demos):
    assert mcnn.Trainer(demos).steps == 300


def test_memories_are_steps_of_the_demonstrations(demos):
    memories = mcnn.learn(demos, count=30, selection="kcenter")
    arrays = memories.arrays()
    assert len(memories) == 30 and arrays["states"].shape == (30, 3)
    rows = arrays["episodes"] * 20 + arrays["steps"]
    np.testing.assert_array_equal(arrays["states"], demos.states[rows])
    np.testing.assert_array_equal(arrays["actions"], demos.actions[rows])
    assert "30 of 120" in repr(memories)
    for wrong in ({"fraction": 2.0}, {"count": 0}, {"fraction": 0.1, "count": 3}, {"selection": "best"}, {"ignore": [3]}):
        with pytest.raises(mcnn.Error):
            mcnn.learn(demos, **wrong)


def test_a_trainer_is_stepped_and_resumed(demos, tmp_path):
    memories = mcnn.learn(demos, 0.5)
    whole = mcnn.train(demos, memories, steps=12, members=2, progress=False)
    trainer = mcnn.Trainer(demos, memories, steps=12, members=2)
    seen = []
    for step, loss in trainer:
        seen.append(step)
        assert loss > 0
        if step == 5:
            trainer.save_checkpoint(tmp_path / "c.safetensors")
            assert trainer.step == 5 and not trainer.done
            trainer.policy().predict(np.zeros(3))
    assert seen == list(range(1, 13)) and trainer.done
    assert trainer.policy().to_bytes() == whole.to_bytes()
    assert trainer.validation_loss() > 0
    again = mcnn.Trainer(demos, memories, steps=12, members=2, resume=tmp_path / "c.safetensors")
    assert [step for step, _ in again] == list(range(6, 13))
    assert again.policy().to_bytes() == whole.to_bytes()
    with pytest.raises(mcnn.Error, match="another seed"):
        mcnn.Trainer(demos, memories, steps=12, members=2, seed=1, resume=tmp_path / "c.safetensors")


def test_a_callback_sees_every_step_and_ends_training(demos):
    seen = []
    policy = mcnn.train(demos, steps=50, progress=False, callback=lambda step, loss: seen.append(step) or step < 7)
    assert seen == list(range(1, 8))
    assert policy.to_bytes() != mcnn.train(demos, steps=50, progress=False).to_bytes()

    def broken(step, loss):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mcnn.train(demos, progress=False, callback=broken)


def test_an_interrupted_run_is_continued_from_its_checkpoint(demos, tmp_path):
    def interrupt(step, loss):
        if step == 5:
            raise KeyboardInterrupt

    out = tmp_path / "p.safetensors"
    settings = {"steps": 12, "members": 2, "hidden": [16], "progress": False}
    with pytest.raises(KeyboardInterrupt) as caught:
        mcnn.train(demos, callback=interrupt, out=out, **settings)
    assert not out.exists() and "after step 5" in caught.value.__notes__[0]
    resumed = mcnn.train(demos, resume=f"{out}.checkpoint", **settings)
    assert resumed.to_bytes() == mcnn.train(demos, **settings).to_bytes()
    with pytest.raises(KeyboardInterrupt):
        mcnn.train(demos, callback=interrupt, **settings)


def test_other_threads_run_during_training_and_ctrl_c_ends_it(demos):
    counted = 0
    ended = threading.Event()

    def count():
        nonlocal counted
        while not ended.is_set():
            counted += 1
            time.sleep(0.001)

    def interrupt():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threads = [threading.Thread(target=count), threading.Thread(target=interrupt)]
    [t.start() for t in threads]
    with pytest.raises(KeyboardInterrupt):
        mcnn.train(demos, steps=10**7, progress=False)
    ended.set()
    [t.join() for t in threads]
    assert counted > 5


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"backbone": "cnn"}, ["backbone", "mlp", "cnn"]),
        ({"members": 0}, ["members", "1 to 100"]),
        ({"lam": -1}, ["lam", "-1"]),
        ({"lam": "weight:2"}, ["lam", "weight:2"]),
        ({"lam": None, "form": "cut"}, ["form", "cut"]),
        ({"validation_fraction": 1.0}, ["validation_fraction"]),
        ({"hidden": [0]}, ["hidden"]),
        ({"lr": 0.0}, ["lr"]),
        ({"batch": 0}, ["batch"]),
        ({"threads": 0}, ["threads"]),
        ({"amplitude": 0.0}, ["amplitude"]),
        ({"backbone": "diffusion", "backbone_options": {"buckets": 3}}, ["backbone_options", "diffusion_steps", "buckets"]),
        ({"backbone": "diffusion", "backbone_options": {"diffusion_steps": "many"}}, ["diffusion_steps"]),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(demos, settings, parts):
    with pytest.raises(mcnn.Error) as caught:
        mcnn.train(demos, progress=False, **{"steps": 1, **settings})
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in\n{caught.value}"


def test_memories_of_other_data_are_refused(demos):
    other = mcnn.learn(mcnn.Demonstrations.from_episodes(episodes(6, seed=3)))
    with pytest.raises(mcnn.Error, match="other data"):
        mcnn.train(demos, other, progress=False)


def test_the_program_is_in_the_package():
    assert program("--version").stdout.startswith("mcnn ")
    help = program("train", "--help")
    assert help.returncode == 0 and "Usage: mcnn train" in help.stdout
    wrong = program("inspect", "nothing.npz")
    assert wrong.returncode == 2 and "nothing.npz" in wrong.stderr

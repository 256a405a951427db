"""Training in one call."""

import os
import sys
import time

from ._mcnn import Error, Policy, Trainer


def _in_notebook():
    """Whether Jupyter shows what is printed: then a carriage return overwrites the line, as in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def train(
    demos,
    memories=None,
    backbone="mlp",
    members=None,
    steps=None,
    lam="auto",
    seed=0,
    validation_fraction=None,
    progress=True,
    callback=None,
    out=None,
    **settings,
) -> Policy:
    """Trains a policy. The same data, settings and seed give the same bytes as `mcnn train`.

    demos: Demonstrations. memories: Memories of the same data; None for every state (of more than 20,000 states, 20,000 by gas).
    backbone: mlp, diffusion, bet, unet, resmlp, retrieval or ibc. members: networks of the ensemble; None for the backbone's default.
    steps: gradient steps; None for the backbone's default. lam: lambda of the memory weight exp(-lambda distance): a number of 0 or
    more, math.inf (behavior cloning), "weight:W", or "auto" (weight:0.25). validation_fraction: share of the episodes held out
    (None: 0.1). progress: whether a line on stderr tells the progress, in terminals and notebooks.
    callback: called as callback(step, loss) after every step; training ends where it returns False. out: file to write.
    settings: those of `Trainer`, such as hidden, batch, lr, form, backbone_options, threads, resume.

    Other Python threads run meanwhile, and Ctrl-C is obeyed within a few gradient steps; with out, an interrupted run is saved as
    the checkpoint out.checkpoint, which resume="out.checkpoint" continues. Raises `mcnn.Error` for settings out of range.
    """
    trainer = Trainer(demos, memories, backbone, members, steps, lam, seed, validation_fraction, **settings)
    try:
        _run(trainer, progress, callback)
    except KeyboardInterrupt as interruption:
        if out is not None:
            _keep(trainer, f"{os.fspath(out)}.checkpoint", interruption)
        raise
    policy = trainer.policy()
    if out is not None:
        policy.save(out)
    return policy


def _keep(trainer, path, interruption):
    """Writes a checkpoint of an interrupted run, unless it has none: without a network there is nothing to continue."""
    try:
        trainer.save_checkpoint(path)
    except Error as error:
        interruption.add_note(f"no checkpoint was written: {error}")
    else:
        interruption.add_note(f"interrupted after step {trainer.step}; resume={path!r} continues the run")


def _run(trainer, progress, callback):
    """Takes all steps of a run, or those until the callback ends it."""
    shown = progress and sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())
    next_line = time.monotonic() + 0.2
    while True:
        stepped = trainer.advance(0 if callback else 50)
        if stepped is None:
            break
        step, loss = stepped
        if callback and callback(step, loss) is False:
            break
        if shown and time.monotonic() > next_line:
            print(f"\rtraining: step {step} of {trainer.steps}, loss {loss:.5f}", end="", file=sys.stderr, flush=True)
            next_line = time.monotonic() + 0.2
    if shown:
        print("\r" + " " * 72 + "\r", end="", file=sys.stderr, flush=True)

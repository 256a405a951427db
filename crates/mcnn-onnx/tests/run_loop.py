"""Runs the loop of examples/onnx/diffusion.py on observations, with given noise."""

import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))
from diffusion import OnnxDiffusion

noise = np.fromfile(folder / "noise", np.float32)


def normal(shape):
    global noise
    values, noise = np.split(noise, [np.prod(shape)])
    return values.reshape(shape)


members = iter(np.fromfile(folder / "members", np.float32).astype(int))
policy = OnnxDiffusion(folder / "step.onnx", folder / "constrain.onnx", normal, lambda count: next(members))
width = policy.constrain.get_inputs()[0].shape[1]
rows = [np.hstack(policy.act(row)) for row in np.fromfile(folder / "observations", np.float32).reshape(-1, width)]
assert not len(noise)
np.float32(rows).tofile(folder / "found")

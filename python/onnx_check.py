"""Runs graphs of `mcnn export` with onnxruntime on the arrays in a folder, and writes the outputs there.

The arrays are raw little-endian numbers; request.json has their shapes. The library compares the outputs with its own actions.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

OUTPUTS = ["action", "distance", "weight", "memory"]


def load(folder, name):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])


def batches(count, size):
    return [slice(first, first + size) for first in range(0, count, size)]


def run_policy(folder, observations, size):
    """All observations, `[rows, n_obs]`."""
    graph = load(folder, "policy")
    runs = [graph.run(OUTPUTS, {"observation": observations[rows]}) for rows in batches(len(observations), size)]
    return [np.concatenate(of) for of in zip(*runs)]


def run_windows(folder, observations, lengths, size):
    """All windows, `[rows, window, n_obs]`, of which the last `lengths` observations exist."""
    graph, window = load(folder, "policy"), observations.shape[1]
    results = None
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for part in batches(len(rows), size):
            run = graph.run(OUTPUTS, {"observations": observations[rows[part], window - length :]})
            if results is None:
                results = [np.empty((len(lengths), *of.shape[1:]), of.dtype) for of in run]
            for result, of in zip(results, run):
                result[rows[part]] = of
    return results


def run_denoising(folder, request, arrays, size):
    """Chunks from noise, and then their constrained actions, one for each row."""
    step, constrain = load(folder, "step"), load(folder, "constrain")
    observations, noise, steps = arrays["observations"], arrays["noise"], request["steps"]
    name = step.get_inputs()[0].name
    members = arrays["member"].astype(int) if "member" in arrays else np.full(len(observations), -1)
    chunks = [None] * len(observations)
    for member in np.unique(members):
        of_member = np.flatnonzero(members == member)
        for rows in (of_member[part] for part in batches(len(of_member), size)):
            inputs = {name: observations[rows], "noisy": noise[0][:, rows]}
            if member >= 0:
                inputs["member"] = np.array(member)
            for k in range(steps):
                inputs |= {"noise": noise[k + 1][:, rows], "step": np.array(steps - 1 - k)}
                inputs["noisy"], found = step.run(["denoised", "network_action"], inputs)
            for row, chunk in zip(rows, found):
                chunks[row] = chunk
    chunks = np.stack(chunks)
    prediction, chunk_step = arrays["prediction"].astype(int), arrays["chunk_step"].astype(int)
    whole = request["whole_chunks"]
    actions = chunks if whole or chunks.ndim == 2 else chunks[prediction, chunk_step]
    newest = arrays["chunk_observation"] if whole else arrays["newest"]
    runs = [
        constrain.run(OUTPUTS, {"observation": newest[rows], "network_action": actions[rows]})
        for rows in batches(len(newest), size)
    ]
    results = [np.concatenate(of) for of in zip(*runs)]
    if whole:
        action, *others = results
        results = [action[prediction, chunk_step], *(of[prediction] for of in others)]
    return results


def main(folder):
    request = json.loads((folder / "request.json").read_text())
    arrays = {
        name: np.fromfile(folder / name, np.float32).reshape(shape) for name, shape in request["arrays"].items()
    }
    size = request["batch"]
    if "noise" in arrays:
        results = run_denoising(folder, request, arrays, size)
    elif "lengths" in arrays:
        results = run_windows(folder, arrays["observations"], arrays["lengths"].astype(int), size)
    else:
        results = run_policy(folder, arrays["observations"], size)
    for name, values in zip(OUTPUTS, results):
        values.astype(np.float64).tofile(folder / f"{name}.f64")


main(pathlib.Path(sys.argv[1]))

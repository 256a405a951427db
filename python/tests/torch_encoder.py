"""The small encoder of frames and its training, by PyTorch alone, with weights and frames that a formula gives.

Prints the JSON kept in crates/mcnn/src/encoder/torch_encoder.json: the gradients of the first batch, the losses of some
steps of Adam, and embeddings before and after them.
    python python/tests/torch_encoder.py > crates/mcnn/src/encoder/torch_encoder.json
"""

import json
import math
import zlib

import numpy as np
import torch
from torch import nn

SIZE, N, ACT, WIDTH, HEAD, BATCH, STEPS, LR = (21, 13), 12, 2, 5, 128, 18, 20, 2e-3
CHANNELS = (3, 32, 32, 64, 64)


def uniform(name, count):
    """Numbers on [-1, 1) that are a function of a name and their place: a counter, mixed, as 24 bits."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return torch.from_numpy((x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1))


frames = ((uniform("frames", N * SIZE[0] * SIZE[1] * 3) + 1) * 127.5).floor().reshape(N, *SIZE, 3)
actions = uniform("actions", N * ACT).reshape(N, ACT)
mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
images = ((frames / 255 - mean) / std).permute(0, 3, 1, 2)


def row(step, k):
    """The frame of a place in a batch, and its shift down and to the right."""
    return (5 * step + 3 * k) % N, ((step + k) % 5 - 2, (step + 2 * k) % 3 - 1)


def shifted(image, shift):
    for axis, by in zip((1, 2), shift):
        side = image.shape[axis]
        image = image.index_select(axis, (torch.arange(side) - by).clamp(0, side - 1))
    return image


def network(outputs):
    layers = []
    for i, o in zip(CHANNELS, CHANNELS[1:]):
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.ReLU()]
    last = 64 * math.ceil(SIZE[0] / 16) * math.ceil(SIZE[1] / 16)
    layers += [nn.Flatten(), nn.Linear(last, WIDTH), nn.Linear(WIDTH, HEAD), nn.ReLU(), nn.Linear(HEAD, outputs)]
    net = nn.Sequential(*layers)
    for k, layer in enumerate(part for part in net if hasattr(part, "weight")):
        scale = math.sqrt(6 / layer.weight[0].numel())
        with torch.no_grad():
            layer.weight.copy_(uniform(f"weight{k}", layer.weight.numel()).reshape(layer.weight.shape) * scale)
            layer.bias.copy_(uniform(f"bias{k}", layer.bias.numel()) * 0.1)
    return net


def probe(values):
    values = values.detach().flatten()
    at = [0, len(values) // 3, len(values) // 2, len(values) - 1]
    return {"at": at, "values": values[at].tolist(), "mean": values.abs().double().mean().item()}


def quarter(batch):
    return nn.functional.avg_pool2d(batch, 4, ceil_mode=True, count_include_pad=False).permute(0, 2, 3, 1).flatten(1)


def train(by):
    outputs = ACT if by == "action" else quarter(images).shape[1]
    net = network(outputs)
    adam = torch.optim.Adam(net.parameters(), lr=LR)
    found = {"outputs": outputs, "losses": [], "before": net[:10](images).flatten().tolist()}
    for step in range(STEPS):
        rows = [row(step, k) for k in range(BATCH)]
        batch = torch.stack([shifted(images[i], shift) for i, shift in rows])
        targets = actions[[i for i, _ in rows]] if by == "action" else quarter(batch)
        loss = nn.functional.mse_loss(net(batch), targets)
        adam.zero_grad()
        loss.backward()
        if step == 0:
            found["gradients"] = [probe(p.grad) for p in net.parameters()]
        adam.step()
        found["losses"].append(loss.item())
    found["weights"] = [probe(p) for p in net.parameters()]
    found["after"] = net[:10](images).flatten().tolist()
    return found


print(json.dumps({by: train(by) for by in ("action", "reconstruction")}))

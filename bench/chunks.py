"""Diffusion over chunks of actions (Chi et al., 2023) in PyTorch eager, for any network: a training step, and a prediction."""

import math

import torch

import networks

OBS, ACT, WINDOW, HORIZON, STEPS = 45, 24, 2, 16, 100
f = torch.cos((torch.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2
ABAR = torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


def step(make, optimizer, threads):
    """Milliseconds of a training step. `make` gives the network, `optimizer` that of its parameters."""
    net = make()
    return networks.denoising_step(net, optimizer(net.parameters()), ABAR, WINDOW * OBS, [HORIZON, ACT], threads, (3, 13))


def predictor(make):
    """Makes a function that samples a chunk in ten steps of DDIM, with every prediction constrained."""
    net = make()
    times = [torch.tensor([t]) for t in range(9, STEPS, 10)]

    def predict(x, constrain):
        observations, noisy = torch.cat([x, x], 1), torch.randn(1, HORIZON, ACT)
        for k in reversed(range(len(times))):
            constrained = constrain(net(noisy, times[k], observations))
            if k == 0:
                return constrained
            now, before = ABAR[times[k]], ABAR[times[k - 1]]
            noise = (noisy - now.sqrt() * constrained) / (1 - now).sqrt()
            noisy = before.sqrt() * constrained + (1 - before).sqrt() * noise

    return predict

"""The residual MLP over chunks of actions in PyTorch eager: what bench/policy.py compares with."""

import torch
from torch import nn

from chunks import ACT, HORIZON, OBS, WINDOW

WIDTH, BLOCKS, WAVES = 512, 3, 32


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.LayerNorm(WIDTH), nn.Mish(), nn.Linear(WIDTH, WIDTH), nn.Mish(), nn.Linear(WIDTH, WIDTH)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class ResidualMlp(nn.Module):
    def __init__(self):
        super().__init__()
        inputs = HORIZON * ACT + WAVES + WINDOW * OBS
        blocks = [Block() for _ in range(BLOCKS)]
        self.layers = nn.Sequential(nn.Linear(inputs, WIDTH), *blocks, nn.Mish(), nn.Linear(WIDTH, HORIZON * ACT))
        self.frequency = 10_000 ** (-torch.arange(WAVES // 2) / (WAVES // 2 - 1))

    def forward(self, noisy, t, observations):
        angle = t[:, None] * self.frequency
        return self.layers(torch.cat([noisy.flatten(1), angle.sin(), angle.cos(), 0.4 * observations], 1)).view_as(noisy)

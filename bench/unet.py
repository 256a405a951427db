"""The U-Net over chunks of actions (Chi et al., 2023) in PyTorch eager: what bench/policy.py compares with."""

import torch
from torch import nn

from chunks import ACT, OBS, WINDOW

WIDTHS = [32, 64, 128]


def block(i, o):
    return nn.Sequential(nn.Conv1d(i, o, 5, padding=2), nn.GroupNorm(8, o), nn.Mish())


class Residual(nn.Module):
    def __init__(self, i, o, condition):
        super().__init__()
        self.first, self.second = block(i, o), block(o, o)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * o))
        self.shortcut = nn.Conv1d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, condition):
        scale, shift = self.film(condition)[:, :, None].chunk(2, 1)
        return self.second(scale * self.first(x) + shift) + self.shortcut(x)


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        waves, pairs = WIDTHS[0], list(zip(WIDTHS, WIDTHS[1:]))
        residual = lambda i, o: Residual(i, o, waves + WINDOW * OBS)
        self.time = nn.Sequential(nn.Linear(waves, 4 * waves), nn.Mish(), nn.Linear(4 * waves, waves))
        self.down = nn.ModuleList(nn.ModuleList([residual(i, o), residual(o, o)]) for i, o in zip([ACT, *WIDTHS], WIDTHS))
        self.downsample = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in WIDTHS[:-1])
        self.middle = nn.ModuleList(residual(WIDTHS[-1], WIDTHS[-1]) for _ in range(2))
        self.up = nn.ModuleList(nn.ModuleList([residual(2 * o, i), residual(i, i)]) for i, o in pairs)
        self.upsample = nn.ModuleList(nn.ConvTranspose1d(i, i, 4, stride=2, padding=1) for i, _ in pairs)
        self.end = nn.Sequential(block(WIDTHS[0], WIDTHS[0]), nn.Conv1d(WIDTHS[0], ACT, 1))
        self.frequency = 10_000 ** (-torch.arange(waves // 2) / (waves // 2 - 1))

    def forward(self, noisy, t, observations):
        angle = t[:, None] * self.frequency
        condition = torch.cat([self.time(torch.cat([angle.sin(), angle.cos()], 1)), observations], 1)
        x, skips = noisy.transpose(1, 2), []
        for k, pair in enumerate(self.down):
            for part in pair:
                x = part(x, condition)
            skips.append(x)
            x = self.downsample[k](x) if k < len(self.downsample) else x
        for part in self.middle:
            x = part(x, condition)
        for k in reversed(range(len(self.up))):
            x = torch.cat([x, skips.pop()], 1)
            for part in self.up[k]:
                x = part(x, condition)
            x = self.upsample[k](x)
        return self.end(x).transpose(1, 2)

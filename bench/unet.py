"""The U-Net over chunks of actions (Chi et al., 2023) in PyTorch eager: what bench/policy.py compares with."""

import math

import torch
from torch import nn

import networks

WIDTHS, OBS, ACT, HORIZON, STEPS = [32, 64, 128], 45, 24, 16, 100
f = torch.cos((torch.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2
ABAR = torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


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
        residual = lambda i, o: Residual(i, o, waves + 2 * OBS)
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


def step(threads):
    """Milliseconds of a training step, batch 256, with the EMA of the weights."""
    torch.set_num_threads(threads)
    n = 2500
    x, a = torch.randn(n, 2 * OBS), torch.rand(n, HORIZON, ACT) * 2 - 1
    c, r = torch.rand(n, HORIZON, ACT) - 0.5, torch.rand(n, 1, 1)
    net = Unet()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    ema = [p.detach().clone() for p in net.parameters()]

    def steps(count):
        for _ in range(count):
            i, t = torch.randint(n, (256,)), torch.randint(STEPS, (256,))
            alpha_bar = ABAR[t][:, None, None]
            noisy = alpha_bar.sqrt() * a[i] + (1 - alpha_bar).sqrt() * torch.randn(256, HORIZON, ACT)
            loss = ((c[i] + r[i] * net(noisy, t, x[i]).clamp(-1, 1) - a[i]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 0.005)
            loss.item()

    return networks.milliseconds(steps, 3, 13)


def predictor():
    """Makes a function that samples a chunk in ten steps of DDIM, with every prediction constrained."""
    net = Unet()
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

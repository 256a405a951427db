"""The U-Net backbone under the envelope: its output, first gradients and a training trajectory, by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/train/torch_unet.json. Written from the description of the network (Chi et al.,
2023) and the equations of the papers (Ho et al., 2020; the cosine schedule of Nichol and Dhariwal, 2021; AdamW of Loshchilov
and Hutter, 2019; equation 3 of MCNN):
    python python/tests/torch_unet.py > crates/mcnn/src/train/torch_unet.json
"""

import copy
import json
import math

import torch
from torch import nn

torch.manual_seed(2)

ENDS, OBS, ACT, WINDOW, HORIZON, WIDTHS, GROUPS, KERNEL = [9, 12], 2, 2, 2, 8, [4, 4, 6], 2, 5
T, STEPS, LAMBDA, LR, WARM_UP, DECAY, BETAS, DRAWS = 100, 40, 0.7, 1e-2, 10, 0.1, (0.95, 0.999), 5
N = ENDS[-1]
states = torch.randn(N, OBS) * torch.tensor([1.0, 20.0]) + torch.tensor([0.0, 5.0])
actions = (torch.randn(N, ACT) * 0.6).clamp(-1, 1)
memories = [1, 4, 7, 10]  # rows that are memories
scaled = (states - states.mean(0)) / states.std(0, unbiased=False)

f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * math.pi / 2) ** 2
abar = torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0).float()
draws = [(torch.randint(T, (N,)), torch.randn(N, HORIZON, ACT)) for _ in range(DRAWS)]


class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(i, o, KERNEL, padding=KERNEL // 2), nn.GroupNorm(GROUPS, o)

    def forward(self, x):
        return nn.functional.mish(self.norm(self.conv(x)))


class Residual(nn.Module):
    def __init__(self, i, o, condition):
        super().__init__()
        self.first, self.second = Block(i, o), Block(o, o)
        self.film = nn.Linear(condition, 2 * o)
        self.around = nn.Conv1d(i, o, 1) if i != o else None

    def forward(self, x, condition):
        scale, shift = self.film(nn.functional.mish(condition))[:, :, None].chunk(2, 1)
        y = self.second(scale * self.first(x) + shift)
        return y + (x if self.around is None else self.around(x))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        waves, ends = WIDTHS[0], [ACT, *WIDTHS]
        condition = waves + WINDOW * OBS
        self.time = nn.Sequential(nn.Linear(waves, 4 * waves), nn.Mish(), nn.Linear(4 * waves, waves))
        residual = lambda i, o: Residual(i, o, condition)
        self.down = nn.ModuleList(nn.ModuleList([residual(i, o), residual(o, o)]) for i, o in zip(ends, WIDTHS))
        self.halve = nn.ModuleList(nn.Conv1d(w, w, 3, stride=2, padding=1) for w in WIDTHS[:-1])
        self.middle = nn.ModuleList(residual(WIDTHS[-1], WIDTHS[-1]) for _ in range(2))
        pairs = list(zip(WIDTHS, WIDTHS[1:]))
        self.up = nn.ModuleList(nn.ModuleList([residual(2 * o, i), residual(i, i)]) for i, o in pairs)
        self.twice = nn.ModuleList(nn.ConvTranspose1d(i, i, 4, stride=2, padding=1) for i, _ in pairs)
        self.end = nn.ModuleList([Block(WIDTHS[0], WIDTHS[0]), nn.Conv1d(WIDTHS[0], ACT, 1)])

    def forward(self, noisy, step, observations):
        half = WIDTHS[0] // 2
        angle = step[:, None].float() * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        condition = torch.cat([self.time(torch.cat([angle.sin(), angle.cos()], 1)), observations], 1)
        x, skips = noisy.transpose(1, 2), []
        for k, pair in enumerate(self.down):
            for part in pair:
                x = part(x, condition)
            skips.append(x)
            if k < len(self.halve):
                x = self.halve[k](x)
        for part in self.middle:
            x = part(x, condition)
        for k in reversed(range(len(self.up))):
            x = torch.cat([x, skips.pop()], 1)
            for part in self.up[k]:
                x = part(x, condition)
            x = self.twice[k](x)
        return self.end[1](self.end[0](x)).transpose(1, 2)


def arrays(net, of=lambda p: p):
    """All parameters (or `of` each) by the names and in the layout of the Rust side: [taps, in, out]."""
    found = {}

    def conv(name, layer):
        weight = of(layer.weight)
        if isinstance(layer, nn.ConvTranspose1d):
            weight = weight.permute(2, 0, 1)
        elif isinstance(layer, nn.Conv1d):
            weight = weight.permute(2, 1, 0)
        else:
            weight = weight.T[None]
        found[f"{name}.weight"], found[f"{name}.bias"] = weight, of(layer.bias)

    def block(name, part):
        conv(name, part.conv)
        found[f"{name}.gamma"], found[f"{name}.beta"] = of(part.norm.weight), of(part.norm.bias)

    residuals = [(f"down.{k}.{j}", p) for k, pair in enumerate(net.down) for j, p in enumerate(pair)]
    residuals += [(f"middle.{j}", p) for j, p in enumerate(net.middle)]
    residuals += [(f"up.{k}.{j}", net.up[k][j]) for k in reversed(range(len(net.up))) for j in range(2)]
    for name, part in residuals:
        block(f"{name}.first", part.first)
        block(f"{name}.second", part.second)
        if part.around is not None:
            conv(f"{name}.around", part.around)
    for k in range(len(net.up)):
        conv(f"down.{k}.halve", net.halve[k])
        conv(f"up.{k}.double", net.twice[k])
    block("end.0", net.end[0])
    conv("end.1", net.end[1])
    conv("time.0", net.time[0])
    conv("time.1", net.time[2])
    # The FiLM layers of all residual blocks, concatenated in the order of the forward pass.
    found["film.weight"] = torch.cat([of(part.film.weight).T for _, part in residuals], 1)[None]
    found["film.bias"] = torch.cat([of(part.film.bias) for _, part in residuals])
    return {name: [list(value.shape), value.flatten().tolist()] for name, value in found.items()}


def squash(u, slope, activation):
    if activation == "tanh":
        return torch.tanh(u)
    half = (u + 1) / 2
    return 2 * (torch.nn.functional.leaky_relu(half, slope) - (1 - slope) * torch.relu(half - 1)) - 1


def chunk(i):
    """Steps of the chunk that begins at step i, padded with the last of its episode, and the mask of the steps that are no padding."""
    end = next(e for e in ENDS if i < e)
    return [min(i + k, end - 1) for k in range(HORIZON)], [i + k < end for k in range(HORIZON)]


def window(i):
    start = max(s for s in [0, *ENDS] if s <= i)
    return torch.cat([scaled[max(i - k, start)] for k in reversed(range(WINDOW))])


observations = torch.stack([window(i) for i in range(N)])
targets = torch.stack([actions[chunk(i)[0]] for i in range(N)])
real = torch.tensor([chunk(i)[1] for i in range(N)])
memory_actions = torch.stack([actions[chunk(i)[0]] for i in memories])
distance, nearest = torch.cdist(scaled.double(), scaled[memories].double()).float().min(1)
weight = torch.exp(-LAMBDA * distance)[:, None, None]


def loss_of(net, k, activation, prediction):
    step, noise = draws[k % DRAWS]
    alpha_bar = abar[step][:, None, None]
    noisy = alpha_bar.sqrt() * targets + (1 - alpha_bar).sqrt() * noise
    output = net(noisy, step, observations)
    clean = output if prediction == "sample" else (noisy - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
    slope = max(0.0, 0.99 * (1 - (k // 10) / 10))
    constrained = memory_actions[nearest] * weight + (1 - weight) * squash(clean, slope, activation)
    if prediction == "sample":
        return output, ((constrained - targets)[real] ** 2).mean()
    # The noise that the constrained action implies, compared with the sampled noise.
    implied = (noisy - alpha_bar.sqrt() * constrained) / (1 - alpha_bar).sqrt()
    return output, ((implied - noise)[real] ** 2).mean()


START = Network()
with torch.no_grad():
    for p in START.parameters():
        p.add_(torch.randn_like(p) * 0.05)  # no gamma is 1 and no beta 0
        p.copy_((p * 1000).round() / 1000)  # few digits


def run(activation, prediction):
    net = copy.deepcopy(START)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, betas=BETAS, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda k: k / WARM_UP if k < WARM_UP else 0.5 * (1 + math.cos(math.pi * (k - WARM_UP) / (STEPS - WARM_UP))),
    )
    losses = []
    for k in range(STEPS):
        output, loss = loss_of(net, k, activation, prediction)
        optimizer.zero_grad()
        loss.backward()
        if k == 0:
            first, gradients = output.flatten().tolist(), arrays(net, lambda p: p.grad)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return {
        "activation": activation,
        "prediction": prediction,
        "output": first,
        "gradients": {name: values for name, (_, values) in gradients.items()},
        "losses": losses,
        "end": {name: values for name, (_, values) in arrays(net).items() if name.endswith("bias")},
    }


def rounded(value):
    """An f32 has at least seven significant digits."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


values = {
    "torch": torch.__version__,
    "states": [float(f"{v:.9g}") for v in states.flatten().tolist()],
    "actions": [float(f"{v:.9g}") for v in actions.flatten().tolist()],
    "ends": ENDS,
    "memories": memories,
    "lambda": LAMBDA,
    "lr": LR,
    "widths": WIDTHS,
    "horizon": HORIZON,
    "window": WINDOW,
    "kernel": KERNEL,
    "groups": GROUPS,
    "warm_up": WARM_UP,
    "weight_decay": DECAY,
    "betas": BETAS,
    "steps": [step.tolist() for step, _ in draws],
    "noise": [noise.flatten().tolist() for _, noise in draws],
    "start": arrays(START),
    "runs": [run("clamp", "sample"), run("tanh", "epsilon")],
}
print(json.dumps(rounded({k: v for k, v in values.items() if k not in ("states", "actions")}) | {k: values[k] for k in ("states", "actions")}))

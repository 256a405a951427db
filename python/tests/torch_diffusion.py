"""The diffusion backbone under the envelope: its output, first gradients and a training trajectory, by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/train/torch_diffusion.json. Written from the equations of the papers (Ho et al.,
2020; the variance-preserving schedule as Xiao et al., 2022, have it; equation 3 of MCNN):
    python python/tests/torch_diffusion.py > crates/mcnn/src/train/torch_diffusion.json
"""

import copy
import json
import math

import torch

torch.manual_seed(1)

N, OBS, ACT, HIDDEN, STEPS, LAMBDA, LR, T, DRAWS = 12, 3, 2, [6, 5], 50, 0.7, 1e-2, 5, 5
states = torch.randn(N, OBS) * torch.tensor([1.0, 20.0, 0.1]) + torch.tensor([0.0, 5.0, -3.0])
actions = (torch.randn(N, ACT) * 0.6).clamp(-1, 1)
memories = [1, 4, 7, 10]  # rows that are memories
scaled = (states - states.mean(0)) / states.std(0, unbiased=False)

t = torch.arange(1, T + 1, dtype=torch.float64)
betas = 1 - torch.exp(-0.1 / T - 0.5 * (10 - 0.1) * (2 * t - 1) / T**2)
abar = torch.cumprod(1 - betas, 0).float()
draws = [(torch.randint(T, (N,)), torch.randn(N, ACT)) for _ in range(DRAWS)]


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        linear, mish = torch.nn.Linear, torch.nn.Mish
        self.time = torch.nn.Sequential(linear(16, 32), mish(), linear(32, 16))
        widths = [ACT + 16 + OBS, *HIDDEN, ACT]
        layers = [part for i, o in zip(widths, widths[1:]) for part in (linear(i, o), mish())]
        self.body = torch.nn.Sequential(*layers[:-1])

    def forward(self, noisy, step, x):
        frequency = torch.exp(torch.arange(8) * -(math.log(10000) / 7))
        angle = step[:, None].float() * frequency[None, :]
        time = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        return self.body(torch.cat([noisy, time, x], 1))


def squash(u, slope, activation):
    if activation == "tanh":
        return torch.tanh(u)
    half = (u + 1) / 2
    return 2 * (torch.nn.functional.leaky_relu(half, slope) - (1 - slope) * torch.relu(half - 1)) - 1


def loss_of(net, k, activation, prediction):
    step, noise = draws[k % DRAWS]
    alpha_bar = abar[step][:, None]
    noisy = alpha_bar.sqrt() * actions + (1 - alpha_bar).sqrt() * noise
    output = net(noisy, step, scaled)
    clean = output if prediction == "sample" else (noisy - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
    d, nearest = torch.cdist(scaled.double(), scaled[memories].double()).float().min(1, keepdim=True)
    weight = torch.exp(-LAMBDA * d)
    slope = max(0.0, 0.99 * (1 - (k // 10) / 10))
    constrained = actions[memories][nearest[:, 0]] * weight + (1 - weight) * squash(clean, slope, activation)
    if prediction == "sample":
        return output, ((constrained - actions) ** 2).mean()
    # The noise that the constrained action implies, compared with the sampled noise.
    implied = (noisy - alpha_bar.sqrt() * constrained) / (1 - alpha_bar).sqrt()
    return output, ((implied - noise) ** 2).mean()


def parts(net, of=lambda p: p):
    return {
        name: [[of(p.weight).T.flatten().tolist(), of(p.bias).tolist()] for p in chain if isinstance(p, torch.nn.Linear)]
        for name, chain in (("time", net.time), ("body", net.body))
    }


START = Network()


def run(activation, prediction):
    net = copy.deepcopy(START)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    losses = []
    for k in range(STEPS):
        output, loss = loss_of(net, k, activation, prediction)
        optimizer.zero_grad()
        loss.backward()
        if k == 0:
            first, gradients = output.flatten().tolist(), parts(net, lambda p: p.grad)
        optimizer.step()
        losses.append(loss.item())
    return {
        "activation": activation,
        "prediction": prediction,
        "output": first,
        "gradients": gradients["body"],
        "time_gradients": [bias for _, bias in gradients["time"]],
        "losses": losses,
        "end": parts(net)["body"],
    }


def rounded(value):
    """An f32 has at most nine significant digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


values = {
    "torch": torch.__version__,
    "states": states.flatten().tolist(),
    "actions": actions.flatten().tolist(),
    "memories": memories,
    "lambda": LAMBDA,
    "lr": LR,
    "hidden": HIDDEN,
    "steps": [step.tolist() for step, _ in draws],
    "noise": [noise.flatten().tolist() for _, noise in draws],
    "start": parts(START),
    "runs": [run("clamp", "sample"), run("tanh", "sample"), run("tanh", "epsilon")],
}
print(json.dumps(rounded(values)))

"""The residual MLP over chunks: its output, first gradients and a training trajectory, computed by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/backbone/resmlp/torch_resmlp.json. Written from the definition,
x + linear(mish(linear(mish(layer norm(x))))) for each block, and the noise of Ho et al., 2020, with the cosine schedule:
    python python/tests/torch_resmlp.py > crates/mcnn/src/backbone/resmlp/torch_resmlp.json
"""

import json
import math

import torch
from torch import nn

torch.manual_seed(5)

ROWS, OBS, ACT, WINDOW, HORIZON, WIDTH, BLOCKS, TIME = 6, 3, 2, 2, 4, 21, 2, 32
T, STEPS, LR, DECAY, DRAWS = 100, 20, 1e-2, 0.1, 3

f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * math.pi / 2) ** 2
abar = torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0).float()
observations = torch.randn(ROWS, WINDOW * OBS)
actions = torch.rand(ROWS, HORIZON * ACT) * 2 - 1
draws = [(torch.randint(T, (ROWS,)), torch.randn(ROWS, HORIZON * ACT)) for _ in range(DRAWS)]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        mish = nn.functional.mish
        return x + self.second(mish(self.first(mish(self.norm(x)))))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = nn.Linear(HORIZON * ACT + TIME + WINDOW * OBS, WIDTH)
        self.block = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.output = nn.Linear(WIDTH, HORIZON * ACT)

    def forward(self, noisy, step, observations):
        half = TIME // 2
        angle = step[:, None].float() * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        x = self.input(torch.cat([noisy, angle.sin(), angle.cos(), observations * 0.4], 1))
        for block in self.block:
            x = block(x)
        return self.output(nn.functional.mish(x))


def arrays(net, of=lambda p: p):
    """All parameters (or `of` each) by the names and in the layout of the Rust side: weights [in, out]."""
    found = {}
    for name, p in net.named_parameters():
        name = name.replace("norm.weight", "norm.scale").replace("norm.bias", "norm.shift")
        value = of(p).T if p.dim() == 2 else of(p)
        found[name] = [list(value.shape), value.flatten().tolist()]
    return found


net = Network()
with torch.no_grad():
    for p in net.parameters():
        p.add_(torch.randn_like(p) * 0.05)  # no scale is 1 and no shift 0
        p.copy_((p * 1000).round() / 1000)  # few digits
start = arrays(net)
weights = [p for p in net.parameters() if p.dim() == 2]
others = [p for p in net.parameters() if p.dim() == 1]
optimizer = torch.optim.AdamW([{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0}], lr=LR)
losses = []
for k in range(STEPS):
    step, noise = draws[k % DRAWS]
    alpha_bar = abar[step][:, None]
    output = net(alpha_bar.sqrt() * actions + (1 - alpha_bar).sqrt() * noise, step, observations)
    loss = ((output - actions) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    if k == 0:
        first, gradients = output.flatten().tolist(), arrays(net, lambda p: p.grad)
    optimizer.step()
    losses.append(loss.item())


def rounded(value):
    """An f32 has at least seven significant digits; inputs have nine."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


nine = lambda tensor: [float(f"{v:.9g}") for v in tensor.flatten().tolist()]
values = {
    "torch": torch.__version__,
    "widths": [OBS, ACT],
    "window": WINDOW,
    "horizon": HORIZON,
    "lr": LR,
    "weight_decay": DECAY,
    "start": rounded(start),
    "output": rounded(first),
    "gradients": rounded({name: value for name, (_, value) in gradients.items()}),
    "losses": rounded(losses),
    "end": rounded({name: value for name, (_, value) in arrays(net).items()}),
    "observations": nine(observations),
    "actions": nine(actions),
    "steps": [step.tolist() for step, _ in draws],
    "noise": [nine(noise) for _, noise in draws],
}
print(json.dumps(values))

"""The behavior transformer under the envelope: its outputs, first gradients and a training trajectory, by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/train/torch_bet.json. The transformer is PyTorch's own encoder layer with the norm
first and a causal mask; the losses are written from the equations of the papers (Shafiullah et al., 2022; Lin et al., 2017;
equation 3 of MCNN):
    python python/tests/torch_bet.py > crates/mcnn/src/train/torch_bet.json
"""

import copy
import json

import torch

torch.manual_seed(2)

OBS, ACT, ENDS, WINDOW = 3, 2, [6, 12, 14], 4
LAYERS, HEADS, WIDTH, BUCKETS, GAMMA, WEIGHT = 2, 2, 8, 3, 2.0, 1000.0
STEPS, LAMBDA, LR, DECAY, CLIP = 25, 0.7, 1e-2, 0.1, 1.0
N = ENDS[-1]
states = torch.randn(N, OBS) * torch.tensor([1.0, 20.0, 0.1]) + torch.tensor([0.0, 5.0, -3.0])
actions = (torch.randn(N, ACT) * 0.6).clamp(-1, 1)
memories = [1, 4, 7, 10]  # rows that are memories
centers = torch.tensor([[0.5, 0.4], [-0.6, 0.1], [0.2, -0.7]])
scaled = (states - states.mean(0)) / states.std(0, unbiased=False)

# Windows inside one episode. A shorter episode has one window, padded with its last step; padding is masked.
windows, real = [], []
for start, end in zip([0, *ENDS], ENDS):
    for first in range(start, max(end - WINDOW, start) + 1):
        windows.append([min(i, end - 1) for i in range(first, first + WINDOW)])
        real.append([i < end for i in range(first, first + WINDOW)])
windows, real = torch.tensor(windows), torch.tensor(real).flatten()


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Linear(OBS, WIDTH)
        self.positions = torch.nn.Parameter(torch.randn(WINDOW, WIDTH))
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = torch.nn.TransformerEncoder(layer, LAYERS, norm=torch.nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.logits = torch.nn.Linear(WIDTH, BUCKETS)
        self.offsets = torch.nn.Linear(WIDTH, BUCKETS * ACT)
        for p in self.parameters():  # so that no gradient is near 0 and no two layers are alike
            torch.nn.init.normal_(p, p.mean().item(), 0.3)

    def forward(self, x):
        mask = torch.nn.Transformer.generate_square_subsequent_mask(WINDOW)
        tokens = self.body(self.embed(x) + self.positions, mask=mask, is_causal=True)
        return self.logits(tokens).flatten(0, 1), self.offsets(tokens).flatten(0, 1)


def squash(u, slope):
    half = (u + 1) / 2
    return 2 * (torch.nn.functional.leaky_relu(half, slope) - (1 - slope) * torch.relu(half - 1)) - 1


def loss_of(net, k):
    logits, offsets = net(scaled[windows])
    target = actions[windows].flatten(0, 1)
    bucket = torch.cdist(target.double(), centers.double()).argmin(1)
    log_p = logits.log_softmax(1).gather(1, bucket[:, None])[:, 0]
    focal = (-((1 - log_p.exp()) ** GAMMA) * log_p)[real].mean()
    offset = offsets.view(-1, BUCKETS, ACT)[torch.arange(len(bucket)), bucket]
    d, nearest = torch.cdist(scaled.double(), scaled[memories].double()).float().min(1, keepdim=True)
    weight = torch.exp(-LAMBDA * d)[windows].flatten(0, 1)
    memory_action = actions[memories][nearest[:, 0]][windows].flatten(0, 1)
    slope = max(0.0, 0.99 * (1 - (k // 10) / 10))
    constrained = memory_action * weight + (1 - weight) * squash(centers[bucket] + offset, slope)
    return logits, centers[bucket] + offset, focal + WEIGHT * ((constrained - target)[real] ** 2).mean()


def arrays(net, of=lambda p: p):
    found = {"positions": net.positions, "norm.scale": net.body.norm.weight, "norm.shift": net.body.norm.bias}
    linears = {"embed": net.embed, "logits": net.logits}
    for k, layer in enumerate(net.body.layers):
        for i, part in enumerate((layer.norm1, layer.norm2)):
            found |= {f"blocks.{k}.norm{i + 1}.scale": part.weight, f"blocks.{k}.norm{i + 1}.shift": part.bias}
        linears |= {f"blocks.{k}.mix": layer.self_attn.out_proj, f"blocks.{k}.up": layer.linear1}
        linears |= {f"blocks.{k}.down": layer.linear2}
    found |= {f"{name}.weight": layer.weight for name, layer in linears.items()}
    found |= {f"{name}.bias": layer.bias for name, layer in linears.items()}
    found = {name: of(p) for name, p in found.items()}
    for k, layer in enumerate(net.body.layers):
        weights, biases = of(layer.self_attn.in_proj_weight).chunk(3), of(layer.self_attn.in_proj_bias).chunk(3)
        for part, weight, bias in zip(("query", "key", "value"), weights, biases):
            found |= {f"blocks.{k}.{part}.weight": weight, f"blocks.{k}.{part}.bias": bias}
    shaped = {name: p.T if name.endswith(".weight") else p for name, p in found.items()}
    shaped["offsets.weight"] = of(net.offsets.weight).view(BUCKETS, ACT, WIDTH).transpose(1, 2)
    shaped["offsets.bias"] = of(net.offsets.bias).view(BUCKETS, ACT)
    return {name: [list(p.shape), p.flatten().tolist()] for name, p in sorted(shaped.items())}


def decays(name):
    """Whether weight decay applies, as in minGPT: to the weights of linear layers, including the embedding of the observation."""
    return name.endswith("weight") and "norm" not in name


START = Network()


def run():
    net = copy.deepcopy(START)
    named = list(net.named_parameters())
    groups = [
        {"params": [p for name, p in named if decays(name)], "weight_decay": DECAY},
        {"params": [p for name, p in named if not decays(name)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95))
    losses, norms = [], []
    for k in range(STEPS):
        logits, network_output, loss = loss_of(net, k)
        optimizer.zero_grad()
        loss.backward()
        if k == 0:
            first = {"logits": logits.flatten().tolist(), "proposal": network_output.flatten().tolist()}
            first["gradients"] = arrays(net, lambda p: p.grad.clone())
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP).item())
        optimizer.step()
        losses.append(loss.item())
    return first | {"losses": losses, "norms": norms, "end": arrays(net)}


def rounded(value):
    """An f32 has at most nine significant digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


start = arrays(START)
start["centers"] = [list(centers.shape), centers.flatten().tolist()]
values = {
    "torch": torch.__version__,
    "states": states.flatten().tolist(),
    "actions": actions.flatten().tolist(),
    "ends": ENDS,
    "memories": memories,
    "lambda": LAMBDA,
    "lr": LR,
    "decay": DECAY,
    "clip": CLIP,
    "bet": {"layers": LAYERS, "heads": HEADS, "width": WIDTH, "window": WINDOW, "buckets": BUCKETS, "dropout": 0.0},
    "windows": windows.flatten().tolist(),
    "start": start,
    **run(),
}
print(json.dumps(rounded(values)))

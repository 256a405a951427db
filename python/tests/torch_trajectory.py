"""The constrained action and one training trajectory, computed by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/train/torch_values.json. Written from the paper's equations:
    python python/tests/torch_trajectory.py > crates/mcnn/src/train/torch_values.json
"""

import json

import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float32)

N, OBS, ACT, HIDDEN, STEPS, LAMBDA, L, LR = 12, 3, 2, [5, 4], 130, 0.7, 1.0, 1e-2
states = torch.randn(N, OBS) * torch.tensor([1.0, 20.0, 0.1]) + torch.tensor([0.0, 5.0, -3.0])
actions = (torch.randn(N, ACT) * 0.6).clamp(-1, 1)
memories = [1, 4, 7, 10]  # rows that are memories; rows 0-5 are one episode, 6-11 the other

mean, std = states.mean(0), states.std(0, unbiased=False)
scaled = (states - mean) / std


def constrained_action(net, x, slope, activation):
    distance = torch.cdist(x.double(), scaled[memories].double()).float()
    d, nearest = distance.min(1, keepdim=True)
    memory_action = actions[memories][nearest[:, 0]]
    weight = torch.exp(-LAMBDA * d)
    u = net(x)
    if activation == "tanh":
        s = torch.tanh(u)
    else:  # the leaky clamp: identity inside [-1, 1], slope outside
        half = (u + 1) / 2
        c = torch.nn.functional.leaky_relu(half, slope) - (1 - slope) * torch.relu(half - 1)
        s = 2 * c - 1
    return memory_action * weight + L * (1 - weight) * s


def run(activation):
    widths = [OBS, *HIDDEN, ACT]
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        net[-1].bias.mul_(6)  # far enough out that some outputs leave [-1, 1]
    linears = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    parameters = lambda: [[p.weight.T.flatten().tolist(), p.bias.tolist()] for p in linears]
    start = parameters()
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    losses = []
    for step in range(STEPS):
        slope = max(0.0, 0.99 * (1 - (step // 10) / 10))
        loss = ((constrained_action(net, scaled, slope, activation) - actions) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    probes = torch.randn(6, OBS) * 2
    with torch.no_grad():
        acts = constrained_action(net, probes, 0.0, activation)
    return {
        "activation": activation,
        "start": start,
        "losses": losses,
        "end": parameters(),
        "probes": (probes * std + mean).tolist(),
        "actions": acts.tolist(),
    }


print(
    json.dumps(
        {
            "torch": torch.__version__,
            "states": states.flatten().tolist(),
            "actions": actions.flatten().tolist(),
            "memories": memories,
            "lambda": LAMBDA,
            "lr": LR,
            "hidden": HIDDEN,
            "runs": [run("clamp"), run("tanh")],
        }
    )
)

"""A training trajectory of the retrieval-conditioned network, and its predictions, computed by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/backbone/retrieval/torch_retrieval.json. Written from the definition,
p_j(x) = a_j + F(x, x - s_j, a_j) and g(x) = mean of clamp(p_j(x), -1, 1) over the nearest memories j:
    python python/tests/torch_retrieval.py > crates/mcnn/src/backbone/retrieval/torch_retrieval.json
"""

import json

import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float32)

N, OBS, ACT, HIDDEN, STEPS, PAIRS, NEAREST, LR = 16, 3, 2, [9, 7], 130, 3, 4, 1e-2
states = torch.randn(N, OBS)
actions = (states @ torch.randn(OBS, ACT) * 0.6 + 0.1 * torch.randn(N, ACT)).clamp(-1, 1)
episodes = torch.arange(N) // 8  # every step is a memory

linear, relu = torch.nn.Linear, torch.nn.ReLU
net = torch.nn.Sequential(
    linear(2 * OBS + ACT, HIDDEN[0]), relu(), linear(HIDDEN[0], HIDDEN[1]), relu(), linear(HIDDEN[1], ACT)
)
torch.nn.init.zeros_(net[-1].weight)
torch.nn.init.zeros_(net[-1].bias)


def predict(x, j):
    return actions[j] + net(torch.cat([x, x - states[j], actions[j]], -1))


def numbers():
    return [[p.weight.T.flatten().tolist(), p.bias.tolist()] for p in net if isinstance(p, linear)]


distances = torch.cdist(states, states).masked_fill(episodes[:, None] == episodes, torch.inf)
near = distances.topk(PAIRS, largest=False).indices
i, j = torch.arange(N).repeat_interleave(PAIRS), near.flatten()
start, losses = numbers(), []
optimizer = torch.optim.Adam(net.parameters(), lr=LR)
for _ in range(STEPS):
    loss = ((predict(states[i], j) - actions[i]) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

probes = torch.randn(8, OBS) * 1.5
neighbors = torch.cdist(probes, states).topk(NEAREST, largest=False).indices
with torch.no_grad():
    each = predict(probes[:, None].expand(-1, NEAREST, -1), neighbors)
    predictions = each.clamp(-1, 1).mean(1)
assert (each.abs() > 1).any() and (each.abs() < 1).any()

print(
    json.dumps(
        {
            "torch": torch.__version__,
            "widths": [OBS, ACT],
            "states": states.flatten().tolist(),
            "actions": actions.flatten().tolist(),
            "pairs": torch.stack([i, j], 1).tolist(),
            "lr": LR,
            "hidden": HIDDEN,
            "start": start,
            "losses": losses,
            "end": numbers(),
            "probes": probes.tolist(),
            "neighbors": neighbors.tolist(),
            "predictions": predictions.tolist(),
        }
    )
)

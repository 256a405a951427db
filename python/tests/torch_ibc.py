"""Training trajectories of implicit behavior cloning, computed by PyTorch alone.

Prints the JSON kept in crates/mcnn/src/backbone/ibc/torch_ibc.json. Written from the paper (Florence et al., 2021): InfoNCE with given
counterexamples, without and with the gradient penalty (the largest dimension, margin 1); and Langevin dynamics
without noise:
    python python/tests/torch_ibc.py > crates/mcnn/src/backbone/ibc/torch_ibc.json
"""

import json

import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float32)

N, OBS, ACT, HIDDEN, STEPS, NEGATIVES, LR, CHAIN = 10, 3, 2, [9, 7], 30, 4, 1e-2, 20
states = torch.randn(N, OBS)
actions = (states @ torch.randn(OBS, ACT) * 0.6).clamp(-1, 1)
negatives = (torch.rand(STEPS, N, NEGATIVES, ACT) * 2048).round() / 1024 - 1  # few digits
linear, relu = torch.nn.Linear, torch.nn.ReLU


def network():
    net = torch.nn.Sequential(
        linear(OBS + ACT, HIDDEN[0]), relu(), linear(HIDDEN[0], HIDDEN[1]), relu(), linear(HIDDEN[1], 1)
    )
    with torch.no_grad():  # steep enough for the penalty to matter
        for layer in net:
            if isinstance(layer, linear):
                layer.weight *= 5
    return net


def weights(net):
    return [[p.weight.T.flatten().tolist(), p.bias.tolist()] for p in net if isinstance(p, linear)]


def train(penalized):
    torch.manual_seed(1)
    net = network()
    start, losses, penalties = weights(net), [], []
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    for step in range(STEPS):
        a = torch.cat([actions[:, None], negatives[step]], 1)
        x = states[:, None].expand(-1, NEGATIVES + 1, -1)
        energies = net(torch.cat([x, a], -1))[..., 0]
        loss = torch.nn.functional.cross_entropy(-energies, torch.zeros(N, dtype=torch.long))
        if penalized:
            tried = negatives[step].clone().requires_grad_()
            energy = net(torch.cat([x[:, 1:], tried], -1)).sum()
            (slope,) = torch.autograd.grad(energy, tried, create_graph=True)
            penalty = ((slope.abs().amax(-1) - 1).clamp(min=0) ** 2).mean()
            penalties.append(penalty.item())
            loss = loss + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert not penalized or penalties[0] > 0.1
    return {"start": start, "losses": losses, "end": weights(net)}, net


def chain(net):
    """Langevin dynamics from the first counterexamples, without noise, at the step sizes of the authors' schedule."""
    tried = negatives[0].clone()
    x = states[:, None].expand(-1, NEGATIVES, -1)
    for k in range(CHAIN):
        size = (0.1 - 1e-5) * (1 - k / CHAIN) ** 2 + 1e-5
        tried.requires_grad_()
        (slope,) = torch.autograd.grad(net(torch.cat([x, tried], -1)).sum(), tried)
        tried = (tried.detach() - (size * 0.5 * slope).clamp(-0.1, 0.1)).clamp(-1, 1)
    return tried


plain, _ = train(False)
penalized, net = train(True)
print(
    json.dumps(
        {
            "torch": torch.__version__,
            "widths": [OBS, ACT],
            "hidden": HIDDEN,
            "n_negatives": NEGATIVES,
            "lr": LR,
            "states": states.flatten().tolist(),
            "actions": actions.flatten().tolist(),
            "negatives": negatives.flatten().tolist(),
            "plain": plain,
            "penalized": penalized,
            "chain_steps": CHAIN,
            "chain": chain(net).flatten().tolist(),
        }
    )
)

"""The constraint of memories around an existing network: a PyTorch module, unchanged. Needs mcnn, numpy and torch.

Far from the demonstrations a network may do anything. Wrapped, its action stays near what was demonstrated in the nearest state, every
action names the step it comes from, and a distance says how unusual the state is.
"""

import numpy as np
import torch

import mcnn

# Demonstrations: a point is moved to the origin.
rng = np.random.default_rng(0)
episodes = []
for _ in range(10):
    at, states, actions = rng.uniform(-2, 2, 2), [], []
    for _ in range(25):
        states.append(at)
        actions.append(np.clip(-0.4 * at, -0.5, 0.5))
        at = at + actions[-1] + rng.normal(0, 0.02, 2)
    episodes.append((np.array(states), np.array(actions)))
demos = mcnn.Demonstrations.from_episodes(episodes)

# Behavior cloning in PyTorch.
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
x, y = torch.from_numpy(np.array(demos.states)), torch.from_numpy(np.array(demos.actions))
for _ in range(300):
    loss = torch.nn.functional.mse_loss(network(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"training loss of the network: {loss.item():.5f}")


@torch.no_grad()
def act(observation):
    return network(torch.tensor(observation, dtype=torch.float32)).numpy()


wrapped = mcnn.wrap(act, mcnn.learn(demos, selection="all"))
for observation in np.array([[1.0, -1.0], [0.2, 0.1], [1.9, 1.9]]):
    decided = wrapped.act(observation)
    print(f"{observation}: network {act(observation).round(3)}, wrapped {decided.action.round(3)}, from step {decided.source}")
    np.testing.assert_allclose(decided.action, np.clip(act(observation), decided.low, decided.high), atol=1e-5)

# A network that was damaged is kept within the demonstrated actions where there are memories.
with torch.no_grad():
    network[2].bias += 5
memory = demos.states[7]
assert np.abs(act(memory)).max() > 4
np.testing.assert_allclose(wrapped(memory), demos.actions[7], atol=1e-5)

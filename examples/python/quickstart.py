"""From demonstrations in arrays to a policy that explains its actions. Needs mcnn and numpy."""

import tempfile
from pathlib import Path

import numpy as np

import mcnn

# Demonstrations: a point is moved to the origin.
rng = np.random.default_rng(0)
episodes = []
for _ in range(8):
    at, states, actions = rng.uniform(-2, 2, 2), [], []
    for _ in range(25):
        states.append(at)
        actions.append(np.clip(-0.4 * at, -0.5, 0.5))
        at = at + actions[-1] + rng.normal(0, 0.02, 2)
    episodes.append((np.array(states), np.array(actions)))
demos = mcnn.Demonstrations.from_episodes(episodes, names=(["x", "y"], ["dx", "dy"]))
print(demos)

# Training: every step is a memory, and five small networks act together.
policy = mcnn.train(demos, steps=300)
print(policy)

# Acting: as in Stable-Baselines3, or in a session that says how an action was decided.
action, state = policy.predict([1.0, -1.0])
session = policy.session()
decided = session.act([1.0, -1.0])
print(decided)
assert np.all(decided.low <= decided.action) and np.all(decided.action <= decided.high)

# A state far from all memories is recognized by its distance.
guarded = policy.guard("memory", quantile=0.99).session()
assert guarded.act([30.0, 30.0]).ood and not guarded.act(episodes[0][0][3]).ood

# A correction needs no training: these memories are added.
corrected = policy.add_memories(mcnn.Demonstrations([[3.0, 3.0]], [[-1.0, -1.0]], [1]))
print(corrected.predict([3.0, 3.0])[0])

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "policy.safetensors"
    corrected.save(path)
    assert mcnn.load(path).n_memories == 201

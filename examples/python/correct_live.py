"""Correcting a policy while it runs: a person takes over where they see it fail, and what they do is remembered at once, without training.
Needs mcnn and numpy.
"""

import numpy as np

import mcnn


def step(at, action):
    """Moves the point by an action. Beyond x = 1 there is a wind to the right, which no demonstration shows."""
    wind = np.array([0.3 if at[0] > 1 else 0.0, 0.0])
    return at + np.clip(action, -0.5, 0.5) + wind


def demonstrated(at):
    """The demonstrator knows no wind, and goes to the origin without haste."""
    return np.clip(-0.15 * at, -0.5, 0.5)


def person(at):
    """The person fights the wind."""
    return np.array([-0.5, -0.1 * at[1]])


def run(policy, start, has_person):
    """An episode. Where the wind would push the point away, the person acts. Returns the final distance, and what the person did."""
    session, at, states, actions = policy.session(), np.array(start), [], []
    for _ in range(60):
        decided = session.act(at)
        action = decided.action
        if has_person and at[0] > 1 and step(at, action)[0] > at[0] - 0.1:
            action = person(at)
            states.append(at)
            actions.append(action)
        at = step(at, action)
    return float(np.linalg.norm(at)), states, actions


rng, episodes = np.random.default_rng(0), []
for _ in range(10):
    at, states, actions = rng.uniform([-2, -1], [0.9, 1], 2), [], []
    for _ in range(25):
        states.append(at)
        actions.append(demonstrated(at))
        at = step(at, actions[-1]) + rng.normal(0, 0.02, 2)
    episodes.append((np.array(states), np.array(actions)))
policy = mcnn.train(mcnn.Demonstrations.from_episodes(episodes), steps=300, members=2, hidden=[64])
guarded = policy.guard("warn", quantile=0.99).session()
assert guarded.act([1.6, 0.0]).ood and not guarded.act(episodes[0][0][5]).ood  # the policy itself says that it does not know the place

starts = list(zip(rng.uniform(1.4, 1.8, 6), rng.uniform(-0.3, 0.3, 6)))
alone = [run(policy, start, has_person=False)[0] for start in starts]
print(f"without corrections the point ends {np.mean(alone):.2f} from the origin")

corrections = []
for start in starts:
    distance, states, actions = run(policy, start, has_person=True)
    corrections.append(len(states))
    if states:  # remembered from the next step on
        policy = policy.add_memories(mcnn.Demonstrations(states, actions, [len(states)]))
    print(f"{len(states)} corrected steps; ends {distance:.2f} from the origin; {policy.n_memories} memories")

after = [run(policy, start, has_person=False)[0] for start in starts]
print(f"with {sum(corrections)} corrected steps as memories, and no person, it ends {np.mean(after):.2f} from the origin")
assert np.mean(after) < 0.6 < 5 < np.mean(alone)

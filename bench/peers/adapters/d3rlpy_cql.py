"""CQL of d3rlpy on a sparse reward: 1 in a step whose next state has the goal reached, else 0. The settings are those of its
reproductions/offline/cql.py: conservative weight 5, a threshold of 10, 500,000 steps."""

import math

import adapter
from d3rlpy_bc import fit


def train(demonstrations, job, clock):
    import d3rlpy
    import numpy as np
    from tasks import goal_reached

    reached = goal_reached(job["task"], demonstrations.states).astype(np.float32)
    # The state after the last step of an episode is not recorded: its own state stands for it.
    rewards = np.append(reached[1:], reached[-1])
    rewards[demonstrations.ends - 1] = reached[demonstrations.ends - 1]
    timeouts = demonstrations.last_steps()
    d3rlpy.seed(job["seed"])
    dataset = d3rlpy.dataset.MDPDataset(
        demonstrations.states, demonstrations.actions, rewards, terminals=np.zeros_like(timeouts), timeouts=timeouts
    )
    encoder = d3rlpy.models.VectorEncoderFactory([256, 256])
    algorithm = d3rlpy.algos.CQLConfig(
        actor_learning_rate=1e-4,
        critic_learning_rate=3e-4,
        temp_learning_rate=1e-4,
        alpha_learning_rate=3e-4,
        initial_alpha=math.e,
        actor_encoder_factory=encoder,
        critic_encoder_factory=encoder,
        batch_size=256,
        n_action_samples=10,
        alpha_threshold=10,
        conservative_weight=5.0,
    ).create(device=False)
    steps = fit(algorithm, dataset, clock, 500_000)
    settings = {"method": "CQL", "steps": steps, "batch": 256, "rewarded_share": float(rewards.mean())}
    return lambda observation: algorithm.predict(observation[None])[0], lambda: None, settings


if __name__ == "__main__":
    adapter.serve(train, ["d3rlpy", "torch"], ["torch._dynamo", "d3rlpy"])

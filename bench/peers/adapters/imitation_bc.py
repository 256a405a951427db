"""Behavior cloning of imitation (HumanCompatibleAI), with the settings of its benchmark (benchmarking/bc_seals_hopper_best_hp_eval.json,
the one with most passes: 20). It has none for Adroit or Push-T. Observations are normalized, as there."""

import adapter


def train(demonstrations, job, clock):
    import gymnasium
    import numpy as np
    import torch
    from imitation.algorithms import bc
    from imitation.data.types import Transitions
    from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor

    torch.manual_seed(job["seed"])
    n_obs, n_act = demonstrations.states.shape[1], demonstrations.actions.shape[1]
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (n_obs,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (n_act,), np.float32)
    policy = FeedForward32Policy(
        observation_space, action_space, lr_schedule=lambda _: 1.0, features_extractor_class=NormalizeFeaturesExtractor
    )
    states = demonstrations.states
    transitions = Transitions(
        obs=states,
        acts=demonstrations.actions,
        infos=np.array([{}] * len(states)),
        next_obs=np.append(states[1:], states[-1:], axis=0),  # which cloning does not look at
        dones=demonstrations.last_steps().astype(bool),
    )
    trainer = bc.BC(
        observation_space=observation_space,
        action_space=action_space,
        rng=np.random.default_rng(job["seed"]),
        policy=policy,
        demonstrations=transitions,
        batch_size=64,
        l2_weight=1.3610189916104634e-6,
        optimizer_kwargs={"lr": 0.0007172435323620212},
    )
    epochs = 0
    while not clock.is_over() and (job["seconds"] is not None or epochs < 20):
        trainer.train(n_epochs=1, progress_bar=False, log_interval=10**9)
        epochs += 1

    def act(observation):
        return trainer.policy.predict(observation, deterministic=True)[0]

    return act, lambda: None, {"method": "BC", "epochs": epochs, "batch": 64, "hidden": [32, 32]}


if __name__ == "__main__":
    adapter.serve(train, ["imitation", "stable-baselines3", "torch"], ["torch._dynamo", "imitation.algorithms.bc", "imitation.policies.base"])

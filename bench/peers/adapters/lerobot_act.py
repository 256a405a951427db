"""ACT of LeRobot, with its defaults (100 actions at a time, a transformer of width 512) and those of its `lerobot-train` (100,000
steps of batches of 8). It needs images or an environment's state beside the robot's, so the observations are split in two."""

import adapter

# The dimensions of an observation that are the robot's own; the others are the environment's.
ROBOT = {"door": slice(0, 27), "hammer": slice(0, 26), "pen": slice(0, 24), "relocate": slice(0, 30), "pusht": slice(-2, None)}


def split(observations, task):
    """LeRobot's two inputs: the robot's state and the environment's."""
    import numpy as np

    environment = np.ones(observations.shape[-1], bool)
    environment[ROBOT[task]] = False
    return {"observation.state": observations[..., ~environment], "observation.environment_state": observations[..., environment]}


def statistics(values):
    """What LeRobot normalizes with."""
    import torch

    values = torch.as_tensor(values, dtype=torch.float32)
    return {"mean": values.mean(0), "std": values.std(0), "min": values.amin(0), "max": values.amax(0)}


def windows(demonstrations, offsets):
    """[steps, offsets]: the steps at these offsets from each step, such as the 100 next, and whether they are past an end of its
    episode, where the step at this end stands for them."""
    import numpy as np

    rows, past = [], []
    for episode in demonstrations.episodes():
        wanted = np.arange(episode.start, episode.stop)[:, None] + np.array(offsets)
        rows.append(wanted.clip(episode.start, episode.stop - 1))
        past.append(wanted != rows[-1])
    return np.concatenate(rows), np.concatenate(past)


def starts(demonstrations, left_out):
    """The steps to train on: all but the last ones of each episode that a policy leaves out."""
    import numpy as np

    return np.concatenate([np.arange(e.start, max(e.stop - left_out, e.start + 1)) for e in demonstrations.episodes()])


def fit(policy_class, config_class, demonstrations, job, clock, recommended=100_000, batch_size=8):
    """Trains a policy of LeRobot. With a number of seconds the rate of learning stays constant: LeRobot's schedule has 500 steps of
    warm-up, more than are made in the seconds, and needs to know the number of steps."""
    import numpy as np
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import make_pre_post_processors

    torch.manual_seed(job["seed"])
    rng = np.random.default_rng(job["seed"])
    inputs = split(demonstrations.states, job["task"])
    kinds = {"observation.state": FeatureType.STATE, "observation.environment_state": FeatureType.ENV}
    config = config_class(
        device="cpu",
        input_features={key: PolicyFeature(kinds[key], (value.shape[1],)) for key, value in inputs.items()},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (demonstrations.actions.shape[1],))},
    )
    # By default an environment's state would not be normalized.
    config.normalization_mapping["ENV"] = config.normalization_mapping["STATE"]
    policy = policy_class(config)
    measured = {key: statistics(value) for key, value in {**inputs, "action": demonstrations.actions}.items()}
    before, after = make_pre_post_processors(config, dataset_stats=measured)

    actions, past = windows(demonstrations, config.action_delta_indices)
    seen, _ = windows(demonstrations, config.observation_delta_indices or [0])
    seen = seen if config.observation_delta_indices else seen[:, 0]
    chosen = starts(demonstrations, getattr(config, "drop_n_last_frames", 0))
    preset = config.get_optimizer_preset()
    optimizer = preset.build(policy.get_optim_params())
    schedule = config.get_scheduler_preset() if job["seconds"] is None else None
    schedule = schedule.build(optimizer, recommended) if schedule else None
    policy.train()
    steps = 0
    while not clock.is_over() and (job["seconds"] is not None or steps < recommended):
        rows = rng.choice(chosen, batch_size)
        batch = {key: torch.as_tensor(value[seen[rows]], dtype=torch.float32) for key, value in inputs.items()}
        batch["action"] = torch.as_tensor(demonstrations.actions[actions[rows]], dtype=torch.float32)
        batch["action_is_pad"] = torch.as_tensor(past[rows])
        loss, _ = policy.forward(before(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), preset.grad_clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if schedule:
            schedule.step()
        steps += 1

    def act(observation):
        parts = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in split(observation, job["task"]).items()}
        return after(policy.select_action(before(parts))).numpy()

    weights = sum(p.numel() for p in policy.parameters())
    return act, policy.reset, {"method": policy.name, "steps": steps, "batch": batch_size, "parameters": weights}


def train(demonstrations, job, clock):
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    return fit(ACTPolicy, ACTConfig, demonstrations, job, clock)


if __name__ == "__main__":
    adapter.serve(train, ["lerobot", "torch"], ["torch._dynamo", "lerobot.policies.act.modeling_act", "lerobot.policies.factory"])

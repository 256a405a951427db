"""BC-RNN of robomimic, with the settings of its paper for states of human demonstrations (scripts/generate_paper_configs.py): an LSTM
of two layers of 400, a mixture of five Gaussians, sequences of 10, 2,000 epochs of 100 batches of 100. Observations are not normalized, as there."""

import adapter


def write_dataset(path, demonstrations):
    """The demonstrations in robomimic's format: an HDF5 group of each episode."""
    import h5py

    with h5py.File(path, "w") as file:
        for number, episode in enumerate(demonstrations.episodes()):
            group = file.create_group(f"data/demo_{number}")
            group.attrs["num_samples"] = episode.stop - episode.start
            group["obs/state"] = demonstrations.states[episode]
            group["actions"] = demonstrations.actions[episode]
            group["rewards"] = demonstrations.rewards[episode]
            group["dones"] = demonstrations.last_steps()[episode]


def train(demonstrations, job, clock):
    import tempfile

    import numpy as np
    import torch
    from robomimic.algo import RolloutPolicy, algo_factory
    from robomimic.config import config_factory
    from robomimic.scripts.generate_paper_configs import modify_bc_rnn_config_for_dataset, modify_config_for_default_low_dim_exp
    from robomimic.utils import obs_utils, train_utils

    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    config = modify_config_for_default_low_dim_exp(config_factory("bc"))
    config = modify_bc_rnn_config_for_dataset(config, task_name="lift", dataset_type="ph", hdf5_type="low_dim")
    with config.values_unlocked():
        config.observation.modalities.obs.low_dim = ["state"]
    obs_utils.initialize_obs_utils_with_config(config)
    with tempfile.NamedTemporaryFile(suffix=".hdf5") as file:
        write_dataset(file.name, demonstrations)
        dataset = train_utils.dataset_factory(config, obs_keys=["state"], dataset_path=file.name)
    shapes = {"state": [demonstrations.states.shape[1]]}
    model = algo_factory("bc", config, shapes, demonstrations.actions.shape[1], torch.device("cpu"))
    batches = torch.utils.data.DataLoader(dataset, batch_size=config.train.batch_size, shuffle=True, drop_last=True)
    model.set_train()
    steps, per_epoch = 0, config.experiment.epoch_every_n_steps
    recommended = config.train.num_epochs * per_epoch
    while not clock.is_over() and (job["seconds"] is not None or steps < recommended):
        for batch in batches:
            epoch = 1 + steps // per_epoch
            prepared = model.postprocess_batch_for_training(model.process_batch_for_training(batch), obs_normalization_stats=None)
            model.train_on_batch(prepared, epoch)
            steps += 1
            if steps % per_epoch == 0:
                model.on_epoch_end(epoch)
            if clock.is_over() or (job["seconds"] is None and steps == recommended):
                break
    policy = RolloutPolicy(model)
    settings = {"method": "BC-RNN, GMM", "steps": steps, "batch": config.train.batch_size, "hidden": [config.algo.rnn.hidden_dim] * 2}
    return lambda observation: policy({"state": observation}), policy.start_episode, settings


if __name__ == "__main__":
    adapter.serve(train, ["robomimic", "torch"], ["torch._dynamo", "robomimic.algo", "robomimic.utils.train_utils"])

"""Checks the plugin with the real LeRobot, on the CPU. Run by crates/mcnn-py/tests/test_lerobot.py, in an environment with lerobot."""

import sys
from pathlib import Path

import gymnasium
import mcnn
import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from lerobot.scripts.lerobot_eval import rollout
from lerobot.utils.import_utils import register_third_party_plugins

FOLDER = Path(sys.argv[1])


def dataset():
    """A LeRobot dataset of a point that is moved to the origin, and the arrays in it."""
    names = {"observation.state": ["x", "y", "time"], "action": ["dx", "dy"]}
    features = {key: {"dtype": "float32", "shape": (len(n),), "names": n} for key, n in names.items()}
    made = LeRobotDataset.create("local/point", fps=10, features=features, root=FOLDER / "point", use_videos=False)
    rng, episodes = np.random.default_rng(0), []
    for k in range(5):
        at, states, actions = rng.uniform(-2, 2, 2), [], []
        for t in range(15 + k):
            states.append(np.float32([*at, t / 20]))
            actions.append(np.float32(40 * np.clip(-0.4 * at, -0.5, 0.5)))  # not in [-1, 1]
            made.add_frame({"observation.state": states[-1], "action": actions[-1], "task": "go home"})
            at = at + actions[-1] / 40 + rng.normal(0, 0.02, 2)
        made.save_episode()
        episodes.append((np.array(states), np.array(actions)))
    made.finalize()
    return episodes


def check_data(episodes):
    expected = mcnn.Demonstrations.from_episodes(episodes, names=(["x", "y", "time"], ["dx", "dy"]))
    whole = mcnn.from_lerobot(LeRobotDataset("local/point", root=FOLDER / "point"))
    assert whole.names == expected.names and whole.fingerprint == expected.fingerprint
    assert mcnn.read(FOLDER / "point").fingerprint == expected.fingerprint
    some = mcnn.from_lerobot(LeRobotDataset("local/point", root=FOLDER / "point", episodes=[1, 3]))
    np.testing.assert_array_equal(some.states, np.concatenate([episodes[1][0], episodes[3][0]]))
    for wrong in ({"state": "observation.images.top"}, {"action": ["action", "torque"]}):
        try:
            mcnn.from_lerobot(LeRobotDataset("local/point", root=FOLDER / "point"), **wrong)
        except mcnn.Error as error:
            assert "missing feature" in str(error) and "observation.state" in str(error)
        else:
            raise AssertionError(wrong)
    return whole


def check_registration():
    register_third_party_plugins()
    assert "mcnn" in PreTrainedConfig.get_known_choices()
    return get_policy_class("mcnn")


def check_acting(cls, policy, states):
    """A saved policy acts as the policy of mcnn, alone and through LeRobot's factories."""
    folder = FOLDER / f"saved-{policy.name.split()[0]}"
    cls.from_mcnn(policy).save_pretrained(folder)
    assert mcnn.load(folder / "model.safetensors").to_bytes() == policy.to_bytes()
    loaded = cls.from_pretrained(folder)
    config = PreTrainedConfig.from_pretrained(folder)
    config.pretrained_path = folder
    meta = LeRobotDataset("local/point", root=FOLDER / "point").meta
    made = make_policy(config, ds_meta=meta)
    before, after = make_pre_post_processors(made.config, dataset_stats=meta.stats)
    before.save_pretrained(folder), after.save_pretrained(folder)
    before, after = make_pre_post_processors(made.config, pretrained_path=str(folder))
    sessions = [policy.session() for _ in range(4)]
    for _ in range(2):
        loaded.reset(), made.reset()
        [session.reset() for session in sessions]
        for rows in states.reshape(-1, 4, 3)[:6]:
            expected = np.array([session.act(row).action for session, row in zip(sessions, rows)])
            found = loaded.select_action({"observation.state": torch.from_numpy(rows)})
            assert found.shape == (4, 2) and found.dtype == torch.float32
            np.testing.assert_array_equal(found.numpy(), expected)
            np.testing.assert_array_equal(after(made.select_action(before({"observation.state": torch.from_numpy(rows)}))), expected)
    single = before({"observation.state": torch.from_numpy(states[0])})
    made.reset()
    assert made.predict_action_chunk(single).shape == (1, 1, 2)
    for refused in (made.forward, lambda batch: made.get_optim_params()):
        try:
            refused(single)
        except NotImplementedError as error:
            assert "mcnn.train" in str(error)
        else:
            raise AssertionError("training is refused")
    return loaded, before, after


class Point(gymnasium.Env):
    """The point of the dataset, with the observation that LeRobot's evaluation expects."""

    observation_space = gymnasium.spaces.Dict({"agent_pos": gymnasium.spaces.Box(-10, 10, (3,), np.float32)})
    action_space = gymnasium.spaces.Box(-20, 20, (2,), np.float32)
    _max_episode_steps, task, task_description = 15, "point", "go home"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.t = self.np_random.uniform(-2, 2, 2), 0
        return {"agent_pos": np.float32([*self.at, 0])}, {}

    def step(self, action):
        self.at, self.t = self.at + np.clip(action, -20, 20) / 40, self.t + 1
        distance, done = float(np.linalg.norm(self.at)), self.t == self._max_episode_steps
        return {"agent_pos": np.float32([*self.at, self.t / 20])}, -distance, done, False, {"is_success": distance < 0.3}


def check_rollout(policy, loaded, before, after):
    """LeRobot's rollout has the rewards of mcnn.evaluate."""
    same = lambda value: value
    env = gymnasium.vector.SyncVectorEnv([Point, Point])
    found = rollout(env, loaded, same, same, before, after, seeds=[5, 6])
    own = mcnn.evaluate(policy, gymnasium.wrappers.FlattenObservation(Point()), episodes=2, seed=5)
    np.testing.assert_allclose(found["reward"].sum(1), own.returns, rtol=1e-5)


def check_wrapped(policy, states):
    """A network of LeRobot stays in the box of the nearest memory."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    config = ACTConfig(
        device="cpu", chunk_size=2, n_action_steps=1, dim_model=32, n_heads=2, dim_feedforward=32, n_encoder_layers=1, use_vae=False,
        input_features={
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(3,)),
            "observation.environment_state": PolicyFeature(type=FeatureType.ENV, shape=(3,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(2,))},
    )
    torch.manual_seed(0)
    act = ACTPolicy(config).eval()

    def network(obs):
        rows = torch.from_numpy(np.float32(obs))[None]
        act.reset()
        return 10 * act.select_action({"observation.state": rows, "observation.environment_state": rows})[0].detach().numpy()

    wrapped = mcnn.wrap(network, policy)
    for obs in states[:10] + 0.1:
        action = wrapped.act(obs)
        assert (action.low <= action.action).all() and (action.action <= action.high).all()
        np.testing.assert_allclose(action.action, np.clip(network(obs), action.low, action.high), rtol=1e-4)


episodes = dataset()
demos = check_data(episodes)
cls = check_registration()
policy = mcnn.train(demos, steps=50, members=2, hidden=[16], progress=False)
states = np.array(demos.states[:84])
loaded, before, after = check_acting(cls, policy, states)
check_acting(cls, mcnn.train(demos, backbone="bet", steps=2, batch=8, progress=False), states)
check_rollout(policy, loaded, before, after)
check_wrapped(policy, states)
print("the plugin works with LeRobot")

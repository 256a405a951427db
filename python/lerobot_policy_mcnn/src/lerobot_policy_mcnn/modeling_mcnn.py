"""The policy type "mcnn"."""

from pathlib import Path

import mcnn
import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION
from torch import Tensor

from .configuration_mcnn import _NO_TRAINING, MCNNConfig


class MCNNPolicy(PreTrainedPolicy):
    """A policy of mcnn with the methods of LeRobot's policies. It acts on the CPU; actions are moved to the configuration's device."""

    config_class = MCNNConfig
    name = "mcnn"

    def __init__(self, config: MCNNConfig, policy: "mcnn.Policy | None" = None, **kwargs):
        super().__init__(config)
        self.policy: mcnn.Policy | None = None
        self._state: mcnn.State | None = None
        self._batch: int | None = None
        if policy is not None:
            self._set_policy(policy)

    @classmethod
    def from_mcnn(cls, policy: "mcnn.Policy", state_features=("observation.state",), widths=None, **settings) -> "MCNNPolicy":
        """The policy for LeRobot. state_features: the features that make up the observation, in this order; widths: of each, if they are
        several. settings: those of MCNNConfig, such as guard."""
        state_features = list(state_features)
        widths = [policy.n_obs] if widths is None else list(widths)
        if len(widths) != len(state_features):
            raise ValueError(f"widths: one for each of {len(state_features)} features, not {len(widths)}")
        settings.setdefault("device", "cpu")
        config = MCNNConfig(
            state_features=state_features,
            input_features={k: PolicyFeature(type=_type_of(k), shape=(w,)) for k, w in zip(state_features, widths)},
            output_features={ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(policy.n_act,))},
            **settings,
        )
        return cls(config, policy)

    def _set_policy(self, policy):
        config = self.config
        config.validate_features()
        n_obs = sum(int(np.prod(config.input_features[name].shape)) for name in config.state_features)
        n_act = int(np.prod(config.action_feature.shape))
        if (n_obs, n_act) != (policy.n_obs, policy.n_act):
            raise ValueError(
                f"the policy is for observations of {policy.n_obs} and actions of {policy.n_act} dimensions; the features have "
                f"{n_obs} and {n_act}"
            )
        self.policy = policy
        self._acting = policy if config.guard is None else policy.guard(config.guard, config.guard_quantile)
        self.reset()

    def _save_pretrained(self, save_directory: Path) -> None:
        self.config._save_pretrained(save_directory)
        self._needs_policy().save(Path(save_directory) / "model.safetensors")

    @classmethod
    def _load_as_safetensor(cls, model, model_file: str, map_location: str, strict: bool):
        model._set_policy(mcnn.load(model_file))
        return model

    def _needs_policy(self):
        if self.policy is None:
            raise RuntimeError(_NO_TRAINING)
        return self.policy

    def reset(self):
        """Starts the next episodes."""
        self._state, self._batch = None, None

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **kwargs) -> Tensor:
        """Actions [batch, n_act] for observations [batch, ...], in the units of the dataset. Row i of consecutive calls is one episode until
        `reset`."""
        self._needs_policy()
        missing = [name for name in self.config.state_features if name not in batch]
        if missing:
            raise KeyError(f"{missing[0]} is not in the batch: {', '.join(batch)}")
        parts = [batch[name].detach().to("cpu", torch.float32) for name in self.config.state_features]
        rows = torch.cat([part.reshape(part.shape[0], -1) for part in parts], dim=1).numpy()
        if self._batch != len(rows):
            self._state, self._batch = None, len(rows)
        actions, self._state = self._acting.predict(rows, state=self._state)
        return torch.from_numpy(actions).to(self.config.device)

    def predict_action_chunk(self, batch: dict[str, Tensor], **kwargs) -> Tensor:
        """As `select_action`, as a chunk of one action: [batch, 1, n_act]. Every action depends on the newest observation."""
        return self.select_action(batch)[:, None]

    def forward(self, batch: dict[str, Tensor]):
        raise NotImplementedError(_NO_TRAINING)

    def get_optim_params(self):
        raise NotImplementedError(_NO_TRAINING)


def _type_of(feature):
    return FeatureType.ENV if feature == "observation.environment_state" else FeatureType.STATE

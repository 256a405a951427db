"""The configuration of the policy type "mcnn"."""

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode

_NO_TRAINING = (
    "policies of the type mcnn are not trained by gradient steps of LeRobot: use mcnn.train(mcnn.from_lerobot(dataset)), then "
    "MCNNPolicy.from_mcnn(policy).save_pretrained(folder)"
)


@PreTrainedConfig.register_subclass("mcnn")
@dataclass
class MCNNConfig(PreTrainedConfig):
    """Settings of acting. The policy itself, with its memories, is in model.safetensors.

    state_features: the features that make up the observation, in this order.
    guard: what to do in out-of-distribution states: "warn", "hold", "memory" or "stop"; None for nothing. LeRobot has no way to end an
    episode from a policy, so "stop" acts as "memory" there.
    guard_quantile: the share in (0, 1] of calibration states that are in distribution.
    """

    state_features: list[str] = field(default_factory=lambda: ["observation.state"])
    guard: str | None = None
    guard_quantile: float = 0.99
    # The policy standardizes observations and scales actions itself.
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {"STATE": NormalizationMode.IDENTITY, "ACTION": NormalizationMode.IDENTITY}
    )

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> None:
        return None

    @property
    def reward_delta_indices(self) -> None:
        return None

    def get_optimizer_preset(self):
        raise NotImplementedError(_NO_TRAINING)

    def get_scheduler_preset(self):
        raise NotImplementedError(_NO_TRAINING)

    def validate_features(self) -> None:
        """Raises ValueError if a feature of the state is missing or is an image."""
        for name in self.state_features:
            feature = (self.input_features or {}).get(name)
            if feature is None:
                raise ValueError(f"the feature {name} is not among the inputs: {', '.join(self.input_features or {})}")
            if feature.type is FeatureType.VISUAL:
                raise ValueError(f"the feature {name} is an image; mcnn acts on states")
        if self.action_feature is None:
            raise ValueError("there is no feature named action among the outputs")

"""Memory-consistent neural networks as a LeRobot policy. Importing this module registers the policy type "mcnn"."""

from .configuration_mcnn import MCNNConfig
from .modeling_mcnn import MCNNPolicy
from .processor_mcnn import make_mcnn_pre_post_processors

__all__ = ["MCNNConfig", "MCNNPolicy", "make_mcnn_pre_post_processors"]

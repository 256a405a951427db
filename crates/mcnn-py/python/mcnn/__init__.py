"""Policies from demonstrations that stay near what was demonstrated: memory-consistent neural networks.

    demos = mcnn.read("demonstrations.npz")
    policy = mcnn.train(demos)
    action, state = policy.predict(observation)

Observations are float32 arrays of shape [n_obs], actions of shape [n_act], both in the units of the data. Distances are Euclidean in
standardized states. Invalid input raises `mcnn.Error`, which is a `ValueError`.
"""

from . import adapt
from ._data import from_frame, from_lerobot, from_minari
from ._evaluate import Comparison, Evaluation, compare, evaluate
from ._explanation import Explanation
from ._mcnn import Action, Demonstrations, Error, Memories, Policy, Session, State, Trainer, __version__, learn, load, read
from ._report import Report, Suggestions, suggest
from ._sweep import sweep
from ._train import train
from ._wrap import Wrapped, wrap

__all__ = [
    "Action",
    "Comparison",
    "Demonstrations",
    "Error",
    "Evaluation",
    "Explanation",
    "Memories",
    "Policy",
    "Report",
    "Session",
    "State",
    "Suggestions",
    "Trainer",
    "Wrapped",
    "__version__",
    "adapt",
    "compare",
    "evaluate",
    "from_frame",
    "from_lerobot",
    "from_minari",
    "learn",
    "load",
    "read",
    "suggest",
    "sweep",
    "train",
    "wrap",
]

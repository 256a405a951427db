"""Policies from demonstrations that stay near what was demonstrated: memory-consistent neural networks."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import adapt as adapt
from ._mcnn import Action as Action
from ._mcnn import Demonstrations as Demonstrations
from ._mcnn import Error as Error
from ._mcnn import Memories as Memories
from ._mcnn import Policy as Policy
from ._mcnn import Session as Session
from ._mcnn import State as State
from ._mcnn import Trainer as Trainer
from ._mcnn import __version__ as __version__
from ._mcnn import learn as learn
from ._mcnn import load as load
from ._mcnn import read as read

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

class Explanation(dict[str, Any]): ...

class Report:
    def __init__(self, text: str) -> None: ...
    html: str
    def save(self, path: str | os.PathLike[str]) -> None: ...

class Suggestions(dict[str, Any]): ...

class Evaluation:
    def __init__(
        self, name: str, seeds: ArrayLike, returns: ArrayLike, lengths: ArrayLike, successes: ArrayLike | None
    ) -> None: ...
    name: str
    seeds: NDArray[Any]
    returns: NDArray[np.float64]
    lengths: NDArray[Any]
    successes: NDArray[np.bool_] | None
    mean: float
    interval: tuple[float, float]
    @property
    def success(self) -> float | None: ...
    def __len__(self) -> int: ...
    def to_frame(self) -> Any: ...

class Comparison:
    def __init__(self, results: dict[str, Evaluation]) -> None: ...
    results: dict[str, Evaluation]
    differences: list[dict[str, Any]]
    def __getitem__(self, name: str) -> Evaluation: ...
    def to_frame(self) -> Any: ...

class Wrapped:
    def __init__(self, policy: Callable[[Any], ArrayLike], constraint: Any) -> None: ...
    policy: Callable[[Any], ArrayLike]
    @property
    def lam(self) -> float: ...
    @property
    def action_units(self) -> list[str]: ...
    def act(self, obs: ArrayLike) -> Action: ...
    def __call__(self, obs: ArrayLike) -> NDArray[np.float32]: ...

def train(
    demos: Demonstrations,
    memories: Memories | None = None,
    backbone: str = "mlp",
    members: int | None = None,
    steps: int | None = None,
    lam: float | str | None = "auto",
    seed: int = 0,
    validation_fraction: float | None = None,
    progress: bool = True,
    callback: Callable[[int, float], Any] | None = None,
    out: Any = None,
    **settings: Any,
) -> Policy: ...
def wrap(
    policy: Callable[[Any], ArrayLike],
    memories: Memories | Policy,
    lam: float | str = "auto",
    form: str = "project",
) -> Wrapped: ...
def evaluate(
    policy: Any,
    env: Any,
    episodes: int = 100,
    seed: int = 1000,
    name: str | None = None,
    *,
    actions: str = "auto",
) -> Evaluation: ...
def compare(
    policies: Mapping[str, Any], env: Any, episodes: int = 100, seed: int = 1000, *, actions: str = "auto"
) -> Comparison: ...
def suggest(
    demos: Demonstrations, memories: Memories | Policy, count: int = 5, start_states: bool = False
) -> Suggestions: ...
def sweep(
    plan: str | os.PathLike[str],
    results: str | os.PathLike[str] = "results.jsonl",
    engine: str = "local",
    *,
    workers: int | None = None,
    memory: float | None = None,
    retries: int = 3,
    retry_failed: bool = False,
    progress: Callable[[int, int, str | None], Any] | None = None,
) -> list[dict[str, Any]]: ...
def from_minari(dataset: Any, observation: str | Sequence[str] | None = None, **options: Any) -> Demonstrations: ...
def from_frame(
    frame: Any,
    state: str | Iterable[str],
    action: str | Iterable[str],
    episode: str | None = None,
    rewards: str | None = None,
    **options: Any,
) -> Demonstrations: ...
def from_lerobot(
    dataset: Any,
    state: str | Iterable[str] = "observation.state",
    action: str | Iterable[str] = "action",
    **options: Any,
) -> Demonstrations: ...

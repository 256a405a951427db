"""Policies with the methods that other libraries call."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._mcnn import Error, Policy


class _D3rlpy:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Actions [n, n_act] for observations [n, n_obs]. Every row is the first of an episode."""
        x = np.asarray(x)
        if x.ndim != 2:
            raise Error(f"an argument that cannot be used\n  where: x\n  expected: shape [n, {self._policy.n_obs}]\n  found: {list(x.shape)}")
        return self._policy.predict(x)[0]


def d3rlpy(policy: Policy) -> _D3rlpy:
    """A policy whose `predict(x)` returns actions alone, as d3rlpy's algorithms do."""
    return _D3rlpy(policy)


class _Openpi:
    def __init__(self, policy: Policy, key: str) -> None:
        self._policy, self._key, self._session = policy, key, policy.session()

    def infer(self, obs: dict[str, Any]) -> dict[str, Any]:
        """{"actions": [1, n_act]} for a dict that has the observation under the adapter's key."""
        if self._key not in obs:
            raise Error(f"missing key\n  where: obs\n  expected: the key {self._key!r}\n  found: {', '.join(map(str, obs))}")
        action = self._session.act(np.asarray(obs[self._key]).reshape(-1))
        return {"actions": action.action[None, :], "distance": action.distance, "ood": action.ood}

    def reset(self) -> None:
        """Starts the next episode."""
        self._session.reset()

    @property
    def metadata(self) -> dict[str, Any]:
        """The name and the dimensions of the policy."""
        return {"name": self._policy.name, "n_obs": self._policy.n_obs, "n_act": self._policy.n_act}


def openpi(policy: Policy, key: str = "observation/state") -> _Openpi:
    """A policy with `infer(obs) -> {"actions": ...}`, `reset` and `metadata`, as openpi's policies have them. An episode is from one
    `reset` to the next. `actions` has one action, [1, n_act]. key: of the observation in `obs`."""
    return _Openpi(policy, key)

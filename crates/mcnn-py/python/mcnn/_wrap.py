"""The envelope around a policy of another library."""

import numpy as np

from ._mcnn import Action, Constraint


class Wrapped:
    """A policy of another library whose actions are constrained by memories. Made by `wrap`."""

    def __init__(self, policy, constraint):
        self.policy = policy
        self._constraint = constraint

    @property
    def lam(self) -> float:
        """lambda, as chosen from the data or given."""
        return self._constraint.lam

    @property
    def action_units(self) -> list[str]:
        """How actions of the demonstrations are scaled to [-1, 1], a line for each dimension; empty if they are used as they are."""
        return self._constraint.action_units

    def act(self, obs) -> Action:
        """The action for an observation, [n_obs], in the box of the nearest memory. `action` and the bounds are in the data's units."""
        return self._constraint.constrain(obs, np.asarray(self.policy(obs)).reshape(-1))

    def __call__(self, obs):
        return self.act(obs).action


def wrap(policy, memories, lam="auto", form="project") -> Wrapped:
    """Constrains the actions of any callable by memories, without training.

    policy: called with an observation, gives an action [n_act], both in the units of the demonstrations that the memories are of.
    memories: Memories, or a Policy whose memories are used. lam: as in `train`; "auto" and "weight:W" need memories from `learn` or a
    trained Policy, which know the distances of their data. form: "project" (clip into the box) or "mix" (weighted mean).
    """
    if not callable(policy):
        raise TypeError(f"policy must be callable, not {type(policy).__name__}")
    return Wrapped(policy, Constraint(memories, lam, form))

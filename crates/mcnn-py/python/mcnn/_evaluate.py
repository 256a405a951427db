"""Closed-loop evaluation in Gymnasium environments, in this process."""

import html
import warnings

import numpy as np

from ._mcnn import Error, Policy, Session, corrected, mean_interval, paired_difference
from ._wrap import Wrapped


class Evaluation:
    """The returns of episodes. `interval` is the 95 % interval of the mean; its ends are NaN for one episode."""

    def __init__(self, name, seeds, returns, lengths, successes):
        self.name = name
        self.seeds = np.asarray(seeds)
        self.returns = np.asarray(returns, dtype=float)
        self.lengths = np.asarray(lengths)
        self.successes = None if successes is None else np.asarray(successes, dtype=bool)
        self.mean, low, high = mean_interval(self.returns.tolist())
        self.interval = (low, high)

    @property
    def success(self):
        """Share of the episodes that succeeded, where the environment says so; else None."""
        return None if self.successes is None else float(self.successes.mean())

    def __len__(self):
        return len(self.returns)

    def __repr__(self):
        low, high = self.interval
        success = "" if self.success is None else f", success {100 * self.success:.0f} %"
        return f"{self.name}: return {self.mean:.2f} ({low:.2f} to {high:.2f}), {len(self)} episodes{success}"

    def _repr_html_(self):
        return _table([self])

    def to_frame(self):
        """A pandas DataFrame with a row for each episode."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        columns = {"seed": self.seeds, "return": self.returns, "length": self.lengths}
        if self.successes is not None:
            columns["success"] = self.successes
        return pandas.DataFrame(columns)


class Comparison:
    """Policies on the same episodes. `differences` has a dict for each pair: a, b, the mean of the returns' difference a - b with its 95 %
    interval (low, high), p of the sign-flip test, and p_holm corrected for the number of pairs."""

    def __init__(self, results):
        self.results = results
        self.differences = []
        names = list(results)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                mean, low, high, p = paired_difference(results[a].returns.tolist(), results[b].returns.tolist())
                self.differences.append({"a": a, "b": b, "mean": mean, "low": low, "high": high, "p": p})
        for difference, p in zip(self.differences, corrected([d["p"] for d in self.differences])):
            difference["p_holm"] = p

    def __getitem__(self, name):
        return self.results[name]

    def __repr__(self):
        lines = [repr(result) for result in self.results.values()]
        for d in self.differences:
            lines.append(f"{d['a']} - {d['b']}: {d['mean']:.2f} ({d['low']:.2f} to {d['high']:.2f}), p {d['p_holm']:.3f}")
        return "\n".join(lines)

    def _repr_html_(self):
        return _table(self.results.values())

    def to_frame(self):
        """A pandas DataFrame with a row for each episode of each policy."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        frames = [result.to_frame().assign(policy=name) for name, result in self.results.items()]
        return pandas.concat(frames, ignore_index=True)


def _table(results):
    rows = "".join(
        f"<tr><th>{html.escape(r.name)}</th><td>{r.mean:.2f}</td><td>{r.interval[0]:.2f} to {r.interval[1]:.2f}</td>"
        f"<td>{len(r)}</td></tr>"
        for r in results
    )
    return f"<table><tr><th></th><th>return</th><th>95 % interval</th><th>episodes</th></tr>{rows}</table>"


def _actor(policy):
    """A function that starts an episode with a seed, and gives a function from an observation to an action."""
    if isinstance(policy, Policy):
        return lambda seed: _of_session(policy.session(seed))
    if isinstance(policy, (Session, Wrapped)) or not callable(policy):
        if hasattr(policy, "act"):
            reset = getattr(policy, "reset", lambda: None)
            return lambda seed: (reset(), _of_session(policy))[1]
        if hasattr(policy, "predict"):
            return lambda seed: _of_predict(policy)
        raise Error(
            "an argument that cannot be used\n  where: policy\n  expected: a Policy, an object with act or predict, or a callable\n"
            f"  found: {type(policy).__name__}"
        )
    return lambda seed: policy


def _of_session(session):
    def act(obs):
        decided = session.act(obs)
        return None if decided.stop else decided.action

    return act


def _of_predict(policy):
    state, start = None, True

    def act(obs):
        nonlocal state, start
        action, state = policy.predict(obs, state=state, episode_start=np.array([start]), deterministic=True)
        start = False
        return action

    return act


def _make(env):
    if not isinstance(env, str):
        return env, False
    try:
        import gymnasium
    except ImportError:
        raise Error(f"Gymnasium is not installed\n  where: {env}\n  next: pip install gymnasium") from None
    try:
        return gymnasium.make(env), True
    except gymnasium.error.Error as error:
        raise Error(f"the environment cannot be made\n  where: {env}\n  found: {error}") from None


_ACTIONS = ("auto", "environment", "limits")


def _in_environment(policy, space, actions):
    """A function from an action of the policy to one of the environment, by the rule of `evaluate`."""
    if actions not in _ACTIONS:
        raise Error(
            f"an argument that cannot be used\n  where: actions\n  expected: {', '.join(map(repr, _ACTIONS))}\n  found: {actions!r}"
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    is_bounded = bool(np.isfinite(low).all() and np.isfinite(high).all())
    stand_for_limits = actions == "limits"
    if actions == "auto" and not getattr(policy, "action_units", ["of its own"]):
        stand_for_limits = is_bounded
        if is_bounded and not ((low == -1).all() and (high == 1).all()):
            warnings.warn(
                "the policy learned actions in [-1, 1] as they are: they stand for the limits of the environment's actions, as in "
                'mcnn eval. If the data have the environment\'s own units, pass actions="environment".',
                stacklevel=3,
            )
    if stand_for_limits and not is_bounded:
        raise Error(f"actions cannot stand for limits that are infinite\n  where: actions\n  found: {space}")
    # As in the program: halves first, so that limits near those of floats do not overflow.
    middle, half = (low / 2 + high / 2, high / 2 - low / 2) if stand_for_limits else (0.0, 1.0)

    def convert(action):
        action = np.asarray(action, dtype=np.float64).reshape(space.shape)
        return np.clip(middle + action * half, low, high).astype(space.dtype)

    return convert


def evaluate(policy, env, episodes=100, seed=1000, name=None, *, actions="auto") -> Evaluation:
    """Runs episodes of a policy in a Gymnasium environment.

    policy: a Policy, an object with `act(obs)` or Stable-Baselines3's `predict`, or a callable from an observation to an action.
    env: an environment, or the id of one. Episode i is reset with seed + i. Observations are flattened to [n_obs], dicts in the order of
    their sorted keys. A guard that stops ends the episode. Success is `is_success` or `success` of the last step's info, where it exists.

    actions: what actions mean. "environment": they have the environment's units. "limits": -1 and 1 stand for the lower and the upper
    limits of its action space. "auto", the rule of `mcnn eval`: "limits" for a policy of this package whose data have actions in
    [-1, 1] that are used as they are (`action_units` is empty), with a warning where the limits are others; else "environment". Actions
    are clipped into the action space.
    """
    if episodes < 1:
        raise Error(f"an argument that cannot be used\n  where: episodes\n  expected: 1 or more\n  found: {episodes}")
    made, is_ours = _make(env)
    try:
        space = made.action_space
        if not hasattr(space, "low"):
            raise Error(f"the actions of the environment are not numbers\n  expected: a Box\n  found: {space}")
        start, convert = _actor(policy), _in_environment(policy, space, actions)
        returns, lengths, successes = [], [], []
        for i in range(episodes):
            obs, info = made.reset(seed=seed + i)
            act = start(seed + i)
            total, length, done = 0.0, 0, False
            while not done:
                action = act(_flat(obs))
                if action is None:
                    break
                obs, reward, terminated, truncated, info = made.step(convert(action))
                total, length, done = total + float(reward), length + 1, terminated or truncated
            returns.append(total)
            lengths.append(length)
            successes.append(info.get("is_success", info.get("success")))
    finally:
        if is_ours:
            made.close()
    known = all(success is not None for success in successes)
    name = name or (policy.name if isinstance(policy, Policy) else getattr(policy, "__name__", type(policy).__name__))
    return Evaluation(name, range(seed, seed + episodes), returns, lengths, successes if known else None)


def _flat(obs):
    if isinstance(obs, dict):
        return np.concatenate([_flat(obs[key]) for key in sorted(obs)])
    return np.asarray(obs, dtype=np.float32).reshape(-1)


def compare(policies, env, episodes=100, seed=1000, *, actions="auto") -> Comparison:
    """Evaluates policies on the same episodes: policies is a dict from names to what `evaluate` takes. actions: as in `evaluate`."""
    if not policies:
        raise Error("there are no policies to compare\n  where: policies\n  expected: at least one")
    made, is_ours = _make(env)
    try:
        return Comparison({name: evaluate(policy, made, episodes, seed, name, actions=actions) for name, policy in policies.items()})
    finally:
        if is_ours:
            made.close()

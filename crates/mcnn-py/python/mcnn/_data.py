"""Demonstrations from other packages' objects."""

import numpy as np

from ._mcnn import Demonstrations, Error


def join_episodes(episodes, names=None, **options):
    """Demonstrations from pairs (states [n, n_obs], actions [n, n_act]) or triples with rewards [n], one for each episode."""
    columns = [tuple(np.asarray(part) for part in episode) for episode in episodes]
    if not columns:
        raise Error("there are no episodes\n  where: episodes\n  expected: at least one episode")
    for k, episode in enumerate(columns):
        if len(episode) not in (2, 3) or len(episode) != len(columns[0]):
            raise Error(
                f"an episode of other parts\n  where: episode {k}\n  expected: (states, actions) or (states, actions, rewards), "
                f"as in episode 0\n  found: {len(episode)} parts"
            )
        lengths = [len(part) if part.ndim else 0 for part in episode]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise Error(
                f"an episode with parts of different lengths\n  where: episode {k}\n  expected: one row for each of 1 or more steps\n"
                f"  found: {', '.join(map(str, lengths))} rows"
            )
    ends = np.cumsum([len(episode[0]) for episode in columns])
    try:
        joined = [np.concatenate([np.atleast_1d(episode[i]) for episode in columns]) for i in range(len(columns[0]))]
    except ValueError as error:
        raise Error(f"episodes of different dimensions\n  found: {error}") from None
    states, actions, *rewards = joined
    return Demonstrations(states, actions, ends, rewards[0] if rewards else None, names, **options)


def from_minari(dataset, observation=None, **options):
    """Demonstrations from a Minari dataset, or any object whose `iterate_episodes()` gives objects with `observations`, `actions` and
    `rewards`. The observation after the last action is left out.

    observation: of observations that are dicts, the key or the list of keys that make up the state.
    Other arguments as those of `Demonstrations`, such as action_scale.
    """
    if not hasattr(dataset, "iterate_episodes"):
        raise TypeError(f"dataset must have iterate_episodes(), as a MinariDataset has, not be {type(dataset).__name__}")
    keys = [observation] if isinstance(observation, str) else observation
    episodes = []
    for episode in dataset.iterate_episodes():
        actions = np.asarray(episode.actions)
        n = len(actions)
        if n == 0:
            continue
        actions = actions.reshape(n, -1)
        observations = episode.observations
        if isinstance(observations, dict):
            if not keys:
                raise Error(
                    "observations that are dicts\n  where: observation\n  expected: the keys that make up the state\n"
                    f"  found: the keys {', '.join(map(str, observations))}"
                )
            missing = [key for key in keys if key not in observations]
            if missing:
                raise Error(f"missing key\n  where: {missing[0]}\n  found: the keys {', '.join(map(str, observations))}")
            parts = [np.asarray(observations[key])[:n].reshape(n, -1) for key in keys]
            states = np.concatenate(parts, axis=1)
        else:
            states = np.asarray(observations)[:n].reshape(n, -1)
        episodes.append((states, actions, np.asarray(episode.rewards).reshape(n)))
    return join_episodes(episodes, **options)


def from_frame(frame, state, action, episode=None, rewards=None, **options):
    """Demonstrations from a data frame of pandas or polars, a row for each step in order.

    state, action: the columns of the state and of the action, which become the names of dimensions.
    episode: the column that tells episodes apart; None if all rows are one episode. rewards: the column of rewards.
    Other arguments as those of `Demonstrations`.
    """
    if not hasattr(frame, "columns"):
        raise TypeError(f"frame must have columns, as a DataFrame of pandas or polars has, not be {type(frame).__name__}")
    state, action = ([columns] if isinstance(columns, str) else list(columns) for columns in (state, action))
    there = list(map(str, frame.columns))
    for column in [*state, *action, *(c for c in (episode, rewards) if c is not None)]:
        if column not in there:
            raise Error(f"missing column\n  where: {column}\n  expected: a column of the frame\n  found: {', '.join(there)}")
    table = lambda columns: np.stack([np.asarray(frame[column]) for column in columns], axis=1)
    n = len(frame)
    if episode is None:
        ends = [n]
    else:
        ids = np.asarray(frame[episode])
        ends = [*(np.flatnonzero(ids[1:] != ids[:-1]) + 1), n]
        starts = ids[[0, *ends[:-1]]] if n else []
        if len(set(starts.tolist() if n else [])) != len(ends) and n:
            raise Error(
                f"rows of one episode that are apart\n  where: {episode}\n  expected: the rows of an episode one after the other\n"
                "  next: sort the frame by episode and step"
            )
    options.setdefault("names", (state, action))
    column = None if rewards is None else np.asarray(frame[rewards])
    return Demonstrations(table(state), table(action), ends, column, **options)


def from_lerobot(dataset, state="observation.state", action="action", **options):
    """Demonstrations from a LeRobotDataset, of the episodes that it selects. No video is decoded.

    state, action: the feature or the list of features that make up the state and the action. Names of dimensions are those of the
    dataset, rewards those of its feature next.reward, where they exist. Other arguments as those of `Demonstrations`.
    """
    table = getattr(dataset, "hf_dataset", None)
    if table is None or not hasattr(dataset, "meta"):
        raise TypeError(f"dataset must be a LeRobotDataset, not {type(dataset).__name__}")
    features = dataset.meta.features
    state, action = ([keys] if isinstance(keys, str) else list(keys) for keys in (state, action))
    for key in [*state, *action]:
        if key not in table.column_names or features.get(key, {}).get("dtype") in ("image", "video"):
            usable = [k for k in table.column_names if features.get(k, {}).get("dtype") not in ("image", "video")]
            raise Error(f"missing feature\n  where: {key}\n  expected: a feature of numbers\n  found: {', '.join(usable)}")
    # The format of numpy: the dataset's own transform makes tensors, row by row.
    columns = table.select_columns([*state, *action, "episode_index", *(["next.reward"] if "next.reward" in table.column_names else [])])
    columns = columns.with_format("numpy")
    n = len(columns)
    joined = lambda keys: np.concatenate([np.asarray(columns[key][:], dtype=np.float32).reshape(n, -1) for key in keys], axis=1)
    ids = np.asarray(columns["episode_index"][:]).reshape(n)
    ends = [*(np.flatnonzero(ids[1:] != ids[:-1]) + 1), n]
    rewards = np.asarray(columns["next.reward"][:]).reshape(n) if "next.reward" in columns.column_names else None
    options.setdefault("names", (_feature_names(features, state), _feature_names(features, action)))
    return Demonstrations(joined(state), joined(action), ends, rewards, **options)


def _feature_names(features, keys):
    """Names of the dimensions of features, or None where the dataset does not name each."""
    all_names = []
    for key in keys:
        names = features[key].get("names")
        if isinstance(names, dict):  # {"motors": [...]}
            names = [name for part in names.values() for name in (part if isinstance(part, list) else [part])]
        if not isinstance(names, list) or len(names) != int(np.prod(features[key]["shape"])):
            return None
        all_names += [str(name) for name in names]
    return all_names

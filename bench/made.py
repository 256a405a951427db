"""Rows that the scripts measure on, made from a seed."""

import numpy as np


def scattered(rng, n, m, dim):
    """Independent normal values: no structure at all, the worst case for pruning."""
    return rng.standard_normal((n, dim), dtype=np.float32), rng.standard_normal((m, dim), dtype=np.float32)


def motion(rng, dim, steps=200, inner=10):
    """Draws a smooth motion of 10 inner dimensions seen through `dim` sensors with 2 % noise, and answers with the function that
    makes `count` steps of further episodes of it, not standardized."""
    mix = rng.standard_normal((inner, dim))
    t = np.linspace(0.0, 1.0, steps)[:, None, None]
    k = np.arange(1, 4)[None, :, None]
    wave = np.concatenate([np.sin(np.pi * k * t), np.cos(np.pi * k * t)], axis=1)[:, :, 0]  # [steps, 6]
    common = rng.standard_normal((wave.shape[1], inner))

    def episodes(count):
        own = common + 0.3 * rng.standard_normal((-(-count // steps), wave.shape[1], inner))
        seen = np.tanh(np.einsum("tw,ewi->eti", wave, own) @ mix / np.sqrt(inner)).reshape(-1, dim)[:count]
        return seen + 0.02 * rng.standard_normal(seen.shape)

    return episodes


def paths(rng, n, m, dim, steps=200, inner=10):
    """Episodes of a motion, standardized.

    The queries are further episodes of the same motion, step after step.
    """
    episodes = motion(rng, dim, steps, inner)
    rows, queries = episodes(n), episodes(m)
    mean, std = rows.mean(0), rows.std(0)
    return ((rows - mean) / std).astype(np.float32), ((queries - mean) / std).astype(np.float32)


def mixed(rng, n, _, dim):
    """Rows of 10 inner dimensions in no order, and no queries: those that the gas is measured on."""
    return (rng.standard_normal((n, 10)) @ rng.standard_normal((10, dim))).astype(np.float32), None

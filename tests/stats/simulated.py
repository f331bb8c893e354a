"""Simulated membership scores: F correlated features of one sample, skewed or heavy-tailed.

Axes: R data sets, n samples, F features.
"""

import numpy as np


def features(rng, shape, kind="normal", shift=0.0):
    """[..., n, F] features; `shift` moves them all, in standard deviations before the transform of `kind`.

    Half of each feature's variance is common to the sample.
    """
    common = rng.standard_normal((*shape[:-1], 1))
    z = np.sqrt(0.5) * (common + rng.standard_normal(shape)) + shift
    if kind == "skewed":
        return np.exp(z)
    if kind == "skewed left":
        return -np.exp(-z)
    if kind == "heavy tails":
        return z / np.sqrt(rng.chisquare(2, (*shape[:-1], 1)) / 2)
    return z

"""How much likelier a picture is in P than in U by what can be seen without the model: its log-odds.

The classifier is logistic regression on the normal scores z of the features and on their squares, which tell
a difference in spread; with C columns of unit spread and the prior w ~ N(0, 1/C) the log-odds have about unit
spread before anything is seen, so nothing is tuned.

Axes: N pictures, K features, C columns.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxaudit.stats.relabelling import normal_scores, standardised

_COMPONENTS = 16
_ROUNDING = 1e-9  # of the largest variance: a component with less is made of rounding


def propensity_columns(features: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N C"]:
    """z and z² of every feature that varies over both pools together, each of unit spread."""
    z = standardised(normal_scores(features))
    columns = np.hstack([z, standardised(z**2)])
    return columns[:, columns.any(axis=0)]


def positions(features: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N Q"]:
    """The leading principal components of z, up to 16, as parts of pictures of mean squared length 1."""
    found = leading_components(standardised(normal_scores(features)), _COMPONENTS)
    return found / np.sqrt(np.mean(np.sum(found**2, axis=1)))


def leading_components(columns: Float[np.ndarray, "N K"], most: int) -> Float[np.ndarray, "N Q"]:
    """The scores on the leading principal components, at most so many, of those that vary."""
    centred = columns - columns.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T @ centred)
    chosen = np.flatnonzero(variances > _ROUNDING * max(variances[-1], 1e-300))[::-1][:most]
    return centred @ vectors[:, chosen]


def log_odds(
    columns: Float[np.ndarray, "N C"], in_p: Bool[np.ndarray, " N"], trained_on: Int[np.ndarray, " T"]
) -> Float[np.ndarray, " N"]:
    """The log-odds of every row by a classifier of some of them; higher = more like P."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and only matching needs it

    classifier = LogisticRegression(C=1 / columns.shape[1], max_iter=1_000)
    classifier.fit(columns[trained_on], in_p[trained_on])
    return classifier.decision_function(columns)

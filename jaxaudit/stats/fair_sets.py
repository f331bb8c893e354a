"""Two pools of pictures made comparable: pairs, one picture of each, that nothing blind should tell apart.

The pools are cut at random into three parts. The pairs of a part are made by a *rule* that was learned on
the other two, so no rule ever saw a picture that it pairs. A rule is a list of classifiers that must all
fail (Algorithm 1 of LAION-mi, Dubiński et al., WACV 2024, arXiv 2306.12983, with pairs in place of
thresholds, which cut off one side only):

  F_1  is trained to tell P from U
  M_i  pairs pictures of one class, such that no classifier F_1 .. F_i finds one likelier in P than the
       other: their log-odds differ by at most 0.2 standard deviations (Austin, Pharmaceutical Statistics
       2011) and 0.2 (odds of 1.22)
  F_i+1  is trained to tell P from U in M_i, and asked about pairs it was not trained on; if it fails, the
       rule is F_1 .. F_i, which are three at most

M_i itself is made of halves, each paired by classifiers of the other. A rule that was learned with error
leaves P and U of a part a little apart, all in one direction, so of its pairs those are kept that balance the
log-odds and the leading components of the features (`jaxaudit.stats.pruning`).

Axes: N pictures of both pools, P first; K features, k pairs.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.assignment import Places, assign_pairs
from jaxaudit.stats.inputs import class_labels, feature_matrices
from jaxaudit.stats.intervals import auc_interval
from jaxaudit.stats.propensity import log_odds, positions, propensity_columns
from jaxaudit.stats.pruning import balanced_pairs
from jaxaudit.stats.set_test import FEWEST

PARTS = 3
_MOST_CLASSIFIERS = 3
_CALIPER = 0.2
_PAIRS_PER_COVARIATE = 8


@dataclasses.dataclass(frozen=True)
class Rule:
    """What makes the pairs of a part.

    Attributes:
      classifiers: the AUC of each classifier on pictures it was not trained on, those that the earlier ones
        had paired; the last one failed, unless there are as many as there may be.
      coordinates: [N,C] the log-odds of every picture, in calipers, by those that are in the rule.
      log_odds: [N] by the first classifier.
    """

    classifiers: tuple[Interval, ...]
    coordinates: Float[np.ndarray, "N C"]
    log_odds: Float[np.ndarray, " N"]


@dataclasses.dataclass(frozen=True)
class Matching:
    """The result of `pair_pools`.

    Attributes:
      pairs: [k,2] rows of P and of U, in random order, so that the first of them are matched as well.
      part: [k] the part each is of. p_part, u_part: [n] and [m] of the pictures.
      p_log_odds, u_log_odds: [n] and [m] by the first classifier of the rule of the picture's part.
      paired: pairs before some were left out for balance.
      rules: by part.
    """

    pairs: Int[np.ndarray, "k 2"]
    part: Int[np.ndarray, " k"]
    p_part: Int[np.ndarray, " n"]
    u_part: Int[np.ndarray, " m"]
    p_log_odds: Float[np.ndarray, " n"]
    u_log_odds: Float[np.ndarray, " m"]
    paired: int
    rules: tuple[Rule, ...]


def pair_pools(
    p_features: Float[np.ndarray, "n K"],
    u_features: Float[np.ndarray, "m K"],
    *,
    p_labels: Int[np.ndarray, " n"] | None = None,
    u_labels: Int[np.ndarray, " m"] | None = None,
    seed: int = 0,
) -> Matching:
    """Pairs pictures of P with pictures of U, see the module.

    Args:
      p_features, u_features: what can be seen without the model, in any unit.
      p_labels, u_labels: classes, None where there are none; pictures pair within a class.
      seed: of parts and halves.

    Raises:
      InputError: if a pool is too small, no feature varies, or hardly any two pictures are alike.
    """
    p, u, _ = feature_matrices(p_features, u_features, None)
    n, m = len(p), len(u)
    if min(n, m) < PARTS * FEWEST:
        raise InputError(
            f"Pools of {n} and {m} independent pictures are too small to be matched; at least "
            f"{PARTS * FEWEST} of each are needed."
        )
    features = np.concatenate([p, u])
    labels = class_labels(p_labels, u_labels, n, m)
    columns = propensity_columns(features)
    if not columns.shape[1]:
        raise InputError("Every feature is constant over both pools; there is nothing to match them by.")
    strata = np.zeros(n + m, np.int64) if labels is None else labels
    in_p, position = np.arange(n + m) < n, positions(features)
    rng = np.random.default_rng(seed)
    part = np.concatenate([rng.permutation(size) % PARTS for size in (n, m)])
    odds, rules, pairs = np.empty(n + m), [], []
    for number in range(PARTS):
        rule = _learn(columns, position, strata, in_p, np.flatnonzero(part != number), rng)
        rows = np.flatnonzero(part == number)
        odds[rows] = rule.log_odds[rows]
        rules.append(rule)
        places = Places(rule.coordinates, position, strata)
        pairs.append((assign_pairs(places, rows[in_p[rows]], rows[~in_p[rows]]), places))
    kept = [_balanced(*each) for each in pairs]
    if sum(map(len, kept)) < FEWEST:
        raise InputError(
            f"The pools do not overlap: of {n} and {m} pictures only {sum(map(len, kept))} pairs are alike "
            f"(a classifier tells the pools apart with an AUC of {rules[0].classifiers[0].estimate:.3f}); "
            "bring pools that are more alike."
        )
    together = np.concatenate(kept)[rng.permutation(sum(map(len, kept)))]
    return Matching(
        pairs=together - np.array([0, n]),
        part=part[together[:, 0]],
        p_part=part[:n],
        u_part=part[n:],
        p_log_odds=odds[:n],
        u_log_odds=odds[n:],
        paired=sum(len(each) for each, _ in pairs),
        rules=tuple(rules),
    )


def _learn(
    columns: Float[np.ndarray, "N C"],
    position: Float[np.ndarray, "N Q"],
    strata: Int[np.ndarray, " N"],
    in_p: Bool[np.ndarray, " N"],
    rows: Int[np.ndarray, " R"],
    rng: np.random.Generator,
) -> Rule:
    """The rule of some rows, for all."""
    half = np.full(len(in_p), -1)
    for side in (rows[in_p[rows]], rows[~in_p[rows]]):
        half[side] = rng.permutation(len(side)) % 2
    halves = [np.flatnonzero(half == number) for number in (0, 1)]
    left, aucs, within, coordinates, first = rows, [], [], [], np.zeros(len(in_p))
    for number in range(_MOST_CLASSIFIERS):
        asked = np.zeros(len(in_p))
        for trained, others in (halves, halves[::-1]):
            asked[others] = log_odds(columns, in_p, np.intersect1d(left, trained))[others]
        found = auc_interval(asked[left[in_p[left]]], asked[left[~in_p[left]]])
        aucs.append(found)
        if number and found.low <= 0.5:
            break
        everywhere = log_odds(columns, in_p, left)
        first = everywhere if number == 0 else first
        coordinates.append(everywhere / _width(everywhere[rows]))
        within.append(asked / _width(asked[rows]))
        places = Places(np.stack(within, axis=1), position, strata)
        left = np.sort(
            np.concatenate(
                [assign_pairs(places, side[in_p[side]], side[~in_p[side]]) for side in halves]
            ).ravel()
        )
        if len(left) < 2 * FEWEST:
            break
    return Rule(tuple(aucs), np.stack(coordinates, axis=1), first)


def _width(odds: Float[np.ndarray, " R"]) -> float:
    """The caliper of log-odds."""
    return _CALIPER * min(max(float(odds.std()), 1e-12), 1.0)


def _balanced(pairs: Int[np.ndarray, "k 2"], places: Places) -> Int[np.ndarray, "b 2"]:
    """Those pairs of a part that balance the log-odds and as many components as they are enough for."""
    covariates = np.hstack([places.coordinates, places.position])
    covariates = covariates[:, : len(pairs) // _PAIRS_PER_COVARIATE]
    spread = covariates.std(axis=0)
    differences = (covariates[pairs[:, 0]] - covariates[pairs[:, 1]]) / np.where(spread > 0, spread, 1)
    return pairs[balanced_pairs(differences)]

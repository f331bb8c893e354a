"""Was P, as a set, trained on?  The test a verdict rests on, before and after adjusting for the pictures.

Membership scores say how a model treats a picture, and that depends on the picture and its label as well as
on training. The omnibus test (`jaxaudit.stats.omnibus`) of the scores is therefore asked twice:

  plain:    of the normal scores
  adjusted: of what is left of them once classes, typicality, the scores of a reference model if there is one
            and the leading components of blind features are accounted for (`jaxaudit.stats.covariates`)

  p = max(p_plain, p_adjusted)                                                                           (1)

If P and U are exchangeable p_plain is exact, so p <= alpha has probability at most alpha; p_adjusted guards
against differences between P and U that were measured, at the price of some power. A finding further needs

  - the more, the nearer the gate was to finding a difference: with its p-value p_gate,

      p <= alpha min(1, 2 p_gate)   where the gate found none, else p <= alpha                           (2)

  - the direction of training: neither test is contradicted by scores that are lower in P;
  - that the scores tell P from U better than anything blind does: the lower limit, one-sided 95%, of

      AUC(out-of-fold classifier of the scores) - max(AUC(of the blind columns), 1/2) > 0                (3)

    by DeLong's paired variance (out-of-fold scores of nothing have an AUC a little below 1/2). Had the model
    seen neither set, its scores would be functions of picture and label, and no function of these tells P
    from U better than the best blind classifier does.

Whether P and U compare (`jaxaudit.stats.gate`): "comparable" if the gate finds no difference;
"after_adjustment" if it does, but the blind classifier does poorly (upper limit of its AUC <= 0.6), as small
real differences between large sets are; "different" otherwise, and nothing is concluded.

Axes: n samples of P, m of U, N = n + m, F scores, K blind features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.results import Comparability, Gate, Interval, SetTest
from jaxaudit.stats.covariates import Covariates, adjusted, covariates
from jaxaudit.stats.effect_size import hedges_g
from jaxaudit.stats.gate import GATE_LEVEL, gate, out_of_fold_scores
from jaxaudit.stats.inputs import check_features, check_fraction, class_labels, feature_matrices
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.omnibus import omnibus
from jaxaudit.stats.relabelling import normal_scores, relabel_for

FEWEST = 30
"""Samples a side below which no gate sees enough."""
PERMUTATIONS = 9_999
"""Relabellings of a verdict's tests, unless it is said otherwise."""
MOST = 20_000
"""Samples a side that are tested; of more a subset is drawn, in which shifts of 0.03 deviations show."""
_MOST_BLIND_AUC = 0.6


@dataclasses.dataclass(frozen=True)
class Comparison:
    """P above U, in the terms of the test; from `compare_sets`.

    Attributes:
      columns: [N,F] normal scores of the membership scores that vary; symmetric in P and U.
      given: what is known of the samples without the model.
      classes: [N] labels, None for models without.
      blind: [N] out-of-fold scores of the blind classifier, higher = more like P.
      rows_p, rows_u: which samples of P and of U these are; of large sets a subset.
      names: of all F scores given.
      seed: of everything random.
    """

    columns: Float[np.ndarray, "N F"]
    given: Covariates
    classes: Int[np.ndarray, " N"] | None
    blind: Float[np.ndarray, " N"]
    rows_p: Int[np.ndarray, " n"]
    rows_u: Int[np.ndarray, " m"]
    names: tuple[str, ...]
    seed: int

    @property
    def mean_score(self) -> Float[np.ndarray, " N"]:
        """The mean normal score of every sample, higher = more likely a member; 0 if no score varies."""
        return self.columns.mean(axis=1) if self.columns.shape[1] else np.zeros(len(self.columns))


def compare_sets(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    *,
    p_blind: Float[np.ndarray, "n K"],
    u_blind: Float[np.ndarray, "m K"],
    p_labels: Int[np.ndarray, " n"] | None = None,
    u_labels: Int[np.ndarray, " m"] | None = None,
    names: Sequence[str] | None = None,
    num_reference: int = 0,
    seed: int = 0,
) -> Comparison:
    """What `set_test` compares.

    Args:
      p_features: [n,F] scores of P, higher = more likely a member.
      u_features: [m,F] scores of U, images the model has not seen.
      p_blind, u_blind: [n,K] and [m,K] features that never saw the model.
      p_labels, u_labels: classes, None for models without.
      names: of the F scores.
      num_reference: how many of the blind features, the last, are scores of a reference model.
      seed: of everything random; of sides above 20,000 a subset is drawn.

    Raises:
      InputError: if a score is NaN or infinite, shapes do not fit, labels are given for one side only, or
        there are too few samples.
    """
    p, u, names = feature_matrices(p_features, u_features, names)
    check_features(p, u, names, allow_constant=True)
    p_seen, u_seen, blind_names = feature_matrices(p_blind, u_blind, None)
    check_features(p_seen, u_seen, blind_names, allow_constant=True)
    if (len(p_seen), len(u_seen)) != (len(p), len(u)):
        raise InputError(
            f"Blind features of {len(p_seen)} and {len(u_seen)} samples do not fit scores of {len(p)} and "
            f"{len(u)}."
        )
    classes = class_labels(p_labels, u_labels, len(p), len(u))
    check_set_sizes(len(p), len(u))
    rng = np.random.default_rng(seed)
    rows_p, rows_u = (np.sort(rng.permutation(len(side))[:MOST]) for side in (p, u))
    scores = np.concatenate([p[rows_p], u[rows_u]])
    if classes is not None:
        classes = classes[np.concatenate([rows_p, len(p) + rows_u])]
    known = np.concatenate([p_seen[rows_p], u_seen[rows_u]])
    given = covariates(known, classes, num_reference=num_reference)
    return Comparison(
        columns=normal_scores(scores[:, np.ptp(scores, axis=0) > 0]),
        given=given,
        classes=classes,
        blind=out_of_fold_scores(given.columns, len(rows_p), seed=seed),
        rows_p=rows_p,
        rows_u=rows_u,
        names=tuple(names),
        seed=seed,
    )


def set_test(
    sets: Comparison, *, alpha: float = 0.01, level: float = GATE_LEVEL, permutations: int = PERMUTATIONS
) -> SetTest:
    """Tests P against U with everything that a verdict needs.

    Args:
      sets: from `compare_sets`.
      alpha: significance level of the verdict. level: of the gate.
      permutations: relabellings, common to all tests.

    Raises:
      InputError: if a level is not between 0 and 1, every blind feature is constant, or there are too few
        samples or relabellings for a p-value <= alpha to exist.
    """
    check_fraction(alpha, "alpha")
    check_fraction(level, "level")
    n, m = len(sets.rows_p), len(sets.rows_u)
    rng = np.random.default_rng(sets.seed)
    labels = relabel_for(min(alpha, level), n, m, permutations, rng)
    found_gate = gate(sets.given, labels, n, blind=sets.blind, level=level, seed=sets.seed)
    rest = adjusted(sets.columns, sets.given)
    plain, after = omnibus(sets.columns, labels), omnibus(rest, labels)
    excess = _excess(out_of_fold_scores(sets.columns, n, seed=sets.seed), sets.blind, n)
    compare = _comparability(found_gate)
    p_value = max(plain.p_value, after.p_value)
    needed = alpha * min(1.0, 2 * found_gate.p_value) if found_gate.passed else alpha
    contradicted = plain.contradicted or after.contradicted
    return SetTest(
        alpha=alpha,
        rejected=compare != "different"
        and p_value <= needed * (1 + 1e-9)
        and not contradicted
        and excess.low > 0,
        needed_p_value=needed,
        p_value=p_value,
        contradicted=contradicted,
        plain=plain,
        adjusted=after,
        effect=_effect(sets.columns, n),
        adjusted_effect=_effect(rest, n),
        auc_excess=excess,
        comparability=compare,
        gate=found_gate,
        num_p=n,
        num_u=m,
        names=sets.names,
        permutations=permutations,
        seed=sets.seed,
    )


def check_set_sizes(n: int, m: int) -> None:
    """Raises InputError where a side is too small for a gate to see anything."""
    if min(n, m) < FEWEST:
        raise InputError(
            f"{n} pictures in question and {m} to compare them with are too few for a verdict; "
            f"{FEWEST} of each are the least with which a difference between the sets could be seen."
        )


def _comparability(found: Gate) -> Comparability:
    if found.passed:
        return "comparable"
    return "after_adjustment" if found.auc.high <= _MOST_BLIND_AUC else "different"


def _effect(columns: Float[np.ndarray, "N F"], n: int) -> Interval:
    """Hedges' g of the mean over the scores; 0 where it is constant."""
    mean = columns.mean(axis=1) if columns.shape[1] else np.zeros(len(columns))
    if np.ptp(mean) < 1e-12:
        return Interval(0.0, 0.0, 0.0)
    return hedges_g(mean[:n], mean[n:], confidence=CONFIDENCE)


def _excess(scores: Float[np.ndarray, " N"], blind: Float[np.ndarray, " N"], n: int) -> Interval:
    """(3) with its one-sided 95% limits, from out-of-fold scores of both classifiers."""
    by_chance = np.full(n, 0.5), np.full(len(scores) - n, 0.5)
    others = _placements(blind, n)
    others = others if others[0].mean() > 0.5 else by_chance
    over_p, over_u = (score - other for score, other in zip(_placements(scores, n), others, strict=True))
    estimate = float(over_p.mean())
    error = np.sqrt(over_p.var(ddof=1) / len(over_p) + over_u.var(ddof=1) / len(over_u))
    half = float(special.ndtri(CONFIDENCE) * error)
    return Interval(estimate, estimate - half, estimate + half)


def _placements(scores: Float[np.ndarray, " N"], n: int) -> tuple[np.ndarray, np.ndarray]:
    """v and w of DeLong's variance (`jaxaudit.stats.intervals`, equation (2))."""
    ranks = stats.rankdata(scores)
    within_p, within_u = stats.rankdata(scores[:n]), stats.rankdata(scores[n:])
    return (ranks[:n] - within_p) / (len(scores) - n), 1 - (ranks[n:] - within_u) / n

"""Was P in the training data?  The CDI test on a table of features, with effect sizes and attributions.

Three procedures (`jaxaudit.protocols`), under each of which a scorer (`jaxaudit.stats.cdi.scorer`) learns to
tell P from U:

  "split": fitted on one half, tested on the other; valid, and the scores are there to look at.
  "permutation": 5-fold, refitted under relabellings of the samples; valid, uses every sample twice and so
    rejects more often, at the price of 1,000 times the fitting.
  "paper": the published 5-fold test. Not valid: it accuses too often (`Procedure.warning`).

Valid means: if P and U come from one distribution, the model having seen neither, and samples are
independent, p <= alpha has probability at most alpha. A scorer finds any difference between P and U, not only
training: unless they come from one distribution (`blind_gate`) the result means nothing.

Source: Dubiński et al., CVPR 2025, arXiv 2411.12858.

Axes: n samples of P, m of U, F features, K splits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError
from jaxaudit.protocols import SPLIT, Procedure, get_procedure
from jaxaudit.results import Identification, Interval, WelchTest
from jaxaudit.stats.cdi import scorer
from jaxaudit.stats.cdi.shapley import ShapleyValues, linear_shapley
from jaxaudit.stats.combination import combine_p_values
from jaxaudit.stats.inputs import check_enough, check_fraction, named_features
from jaxaudit.stats.intervals import CONFIDENCE, auc_interval
from jaxaudit.stats.welch import (
    can_be_split,
    check_permutable,
    fewest_permutable,
    permutation_p_value,
    rank_p_value,
    welch,
)

Features = Mapping[str, Float[np.ndarray, " _"]] | Float[np.ndarray, "_ _"]
"""{name: [n]} or [n,F]: of n samples each of F features."""


def identify(
    p_features: Features,
    u_features: Features,
    *,
    procedure: Procedure | str = SPLIT,
    alpha: float = 0.01,
    splits: int = 1,
    combination: str = "twice_mean",
    permutations: int | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Identification:
    """Tests whether a learned scorer tells P from U on samples it has not seen.

    Args:
      p_features: {name: [n]} or [n,F] features of P, of any unit and direction.
      u_features: {name: [m]} or [m,F] features of U, images the model has not seen.
      procedure: how samples are held out and compared, or its name.
      alpha: significance level.
      splits: of `SPLIT`, how many random ones; more make the result depend less on the seed.
      combination: the rule for the p-values of several splits (`combine_p_values`).
      permutations: relabellings; None: those of the procedure.
      confidence: of the intervals.
      seed: of splits, folds and relabellings.

    Raises:
      InputError: if a feature is NaN, infinite or constant over P and U (named, with the first samples),
        shapes or names do not fit, there are too few samples or permutations for a p-value <= alpha to exist,
        the combination is unknown, or sets are unequal and the procedure takes equal ones only.
    """
    procedure = get_procedure(procedure)
    check_fraction(alpha, "alpha")
    p, u, names = named_features(p_features, u_features)
    permutations = procedure.permutations and (permutations or procedure.permutations)
    check_request(procedure, len(p), len(u), alpha=alpha, splits=splits, permutations=permutations)
    outcomes = list(_outcomes(p, u, names, procedure, splits, permutations, seed))
    p_values = np.array([outcome.p_value for outcome in outcomes])
    p_value = float(combine_p_values(p_values, rule=combination))
    shown = outcomes[np.argsort(p_values, kind="stable")[(splits - 1) // 2]]
    test = _compared(shown.p_scores, shown.u_scores, confidence)
    num_control_p, num_control_u = (_num_control(procedure, samples) for samples in (len(p), len(u)))
    return Identification(
        procedure=procedure.name,
        alpha=alpha,
        rejected=p_value <= alpha and (not procedure.two_sided or test.t > 0),
        p_value=p_value,
        p_values=tuple(p_values.tolist()),
        combination=combination if splits > 1 else None,
        welch=test,
        auc=auc_interval(shown.p_scores, shown.u_scores, confidence=confidence),
        permutation_p_value=shown.permutation_p_value,
        permutations=permutations or None,
        attributions=shown.shapley.attributions(),
        num_p=len(p),
        num_u=len(u),
        num_control_p=num_control_p,
        num_control_u=num_control_u,
        num_test_p=len(shown.p_scores),
        num_test_u=len(shown.u_scores),
        names=names,
        confidence=confidence,
        seed=seed if procedure.permutations else None,
        notes=(procedure.warning,) if procedure.warning else (),
    )


def shapley_values(
    p_features: Features, u_features: Features, *, procedure: Procedure | str = SPLIT, seed: int = 0
) -> ShapleyValues:
    """Shapley values of the log-odds of every held-out sample, by the scorer(s) of `identify` with this seed.

    Raises:
      InputError: as `identify`.
    """
    procedure = get_procedure(procedure)
    p, u, names = named_features(p_features, u_features)
    check_request(procedure, len(p), len(u), alpha=0.5, splits=1, permutations=1)
    (outcome,) = _outcomes(p, u, names, procedure, 1, 1, seed)
    return outcome.shapley


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """One split, or one 5-fold run: its p-value, the scores behind it and what they are made of."""

    p_value: float
    permutation_p_value: float | None
    p_scores: Float[np.ndarray, " n"]
    u_scores: Float[np.ndarray, " m"]
    shapley: ShapleyValues


def _outcomes(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    names: tuple[str, ...],
    procedure: Procedure,
    splits: int,
    permutations: int,
    seed: int,
) -> Iterator[_Outcome]:
    features, n = np.concatenate([p, u]), len(p)
    pool, spread = scorer.make_pool(features)
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        p_rows, u_rows = np.arange(n), np.arange(n, len(features))
        if procedure.halves:
            p_rows, u_rows = rng.permutation(p_rows), rng.permutation(u_rows)
            held_out = scorer.split_scores(pool, p_rows[None], u_rows[None])
            permutation = permutation_p_value(
                held_out.p[0], held_out.u[0], permutations=permutations, seed=int(rng.integers(2**63))
            )
            p_value = max(_compared(held_out.p[0], held_out.u[0]).p_value, permutation)
        elif procedure.refitted:
            held_out, observed, permuted = scorer.refitted_statistics(
                pool, np.arange(len(features)) < n, permutations, rng
            )
            p_value = permutation = float(rank_p_value(np.array([observed]), permuted)[0])
        else:
            held_out, permutation = scorer.published_scores(pool, p_rows[None], u_rows[None]), None
            p_value = _compared(held_out.p[0], held_out.u[0]).p_value_two_sided
        p_scores, u_scores = held_out.p[0], held_out.u[0]
        tested_p, tested_u = p_rows[n - len(p_scores) :], u_rows[len(u) - len(u_scores) :]
        shapley = linear_shapley(
            features[tested_p],
            features[tested_u],
            held_out.weights[0] / spread,
            held_out.fold_p,
            held_out.fold_u,
            names,
        )
        yield _Outcome(p_value, permutation, p_scores, u_scores, shapley)


def _compared(
    p_scores: Float[np.ndarray, " n"], u_scores: Float[np.ndarray, " m"], confidence: float = CONFIDENCE
) -> WelchTest:
    """Welch's test; scores that are all the same, as of features that a scorer never saw vary, give p = 1."""
    if np.ptp(np.concatenate([p_scores, u_scores])) > 0:
        return welch(p_scores, u_scores, confidence=confidence)
    nothing = Interval(0.0, 0.0, 0.0)
    df = float(len(p_scores) + len(u_scores) - 2)
    return WelchTest(0.0, df, 1.0, 1.0, mean_difference=nothing, hedges_g=nothing)


def _num_control(procedure: Procedure, samples: int) -> int:
    return scorer.num_control(samples) if procedure.halves else samples - samples // scorer.FOLDS


def check_request(
    procedure: Procedure, n: int, m: int, *, alpha: float, splits: int, permutations: int
) -> None:
    """Raises InputError if `identify` takes no such numbers of samples, or could not reject with them."""
    check_enough(splits, 1, "splits")
    if splits > 1 and not procedure.halves:
        raise InputError(
            f"splits={splits} is for the procedure {SPLIT.name!r}; {procedure.name!r} scores every sample "
            "once."
        )
    if procedure.equal_sizes and n != m:
        raise InputError(f"The published test needs as many samples of P as of U; got {n} and {m}.")
    if not procedure.permutations:
        check_enough(n, scorer.FOLDS, "samples of each of P and U for 5 folds")
        return
    if procedure.halves and not can_be_split(n // 2, m // 2, alpha):
        raise InputError(
            f"{n} samples of P and {m} of U are too few to train on one half, test on the other and reach a "
            f"p-value of {alpha:g}; {2 * fewest_permutable(alpha)} of each are enough."
        )
    check_permutable(n, m, alpha, permutations)

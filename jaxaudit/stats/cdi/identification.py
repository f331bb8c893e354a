"""Was P in the training data?  The CDI test on a table of features, with effect sizes and attributions.

Three procedures (`jaxaudit.stats.cdi.scorer`), under each of which a scorer learns to tell P from U:

  "split": fitted on one half, tested on the other; valid, and the scores are there to look at.
  "permutation": 5-fold, refitted under relabellings of the samples; valid, uses every sample twice and so
    rejects more often, at the price of 1,000 times the fitting.
  "paper": the published 5-fold test. Not valid: it accuses too often (`PAPER_WARNING`).

Valid means: if P and U come from one distribution, the model having seen neither, and samples are
independent, p <= alpha has probability at most alpha. A scorer finds any difference between P and U, not only
training: unless they come from one distribution (`blind_gate`) the result means nothing.

Source: Dubiński et al., CVPR 2025, arXiv 2411.12858.

Axes: n samples of P, m of U, F features, K splits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.stats.cdi import scorer as cdi
from jaxaudit.stats.cdi.shapley import Attribution, ShapleyValues, linear_shapley
from jaxaudit.stats.combination import combine_p_values
from jaxaudit.stats.inputs import check_enough, check_fraction, named_features
from jaxaudit.stats.intervals import CONFIDENCE, Interval, auc_interval
from jaxaudit.stats.records import Record
from jaxaudit.stats.welch import (
    WelchTest,
    check_permutable,
    fewest_permutable,
    permutation_p_value,
    rank_p_value,
    welch,
)

PROCEDURES = ("split", "permutation", "paper")
"""How P is tested; see the module."""

PAPER_WARNING = (
    "The published 5-fold test is not calibrated, because its scores depend on each other: at alpha = 1% it "
    "gave p <= alpha in 3% to 9% of simulated data sets in which there was nothing to find, and accused in "
    "1% to 3%. Use 'split' or 'permutation' for a verdict."
)
Features = Mapping[str, Float[np.ndarray, " _"]] | Float[np.ndarray, "_ _"]
"""{name: [n]} or [n,F]: of n samples each of F features."""
_PERMUTATIONS = {"split": 9_999, "permutation": 999, "paper": 0}


@dataclasses.dataclass(frozen=True)
class Identification(Record):
    """The result of `identify`.

    Attributes:
      procedure: "split", "permutation" or "paper".
      alpha: the significance level.
      identified: whether P is found to be in the training data (p_value <= alpha, and P's scores are higher).
      p_value: split: the larger of Welch's and the permutation p-value, combined over splits; permutation:
        the rank of t among the refitted relabellings; paper: Welch's, two-sided.
      p_values: [K] the p-values of the splits; only `p_value` itself with one split or another procedure.
      combination: the rule that made `p_value` of several.
      welch: the test of P's held-out scores (probabilities of P) against U's, with the effect size. With
        several splits this and what follows are of the split whose p-value is the (lower) median. Except
        under "split" the scores depend on each other, and the intervals are somewhat too short.
      auc: with which a held-out score of P exceeds one of U, with DeLong's interval.
      permutation_p_value: None under "paper".
      permutations: relabellings behind it; None under "paper".
      attributions: what each feature contributes to telling P from U, the largest first.
      num_p, num_u: samples given.
      num_control_p, num_control_u: samples a scorer was fitted on; under 5-fold, of four folds on average.
      num_test_p, num_test_u: samples scored and compared.
      names: of the features.
      confidence: of the intervals.
      seed: of splits, folds and relabellings; None under "paper", which has no randomness.
      warning: why not to rely on the result; None for the valid procedures.
    """

    procedure: str
    alpha: float
    identified: bool
    p_value: float
    p_values: tuple[float, ...]
    combination: str | None
    welch: WelchTest
    auc: Interval
    permutation_p_value: float | None
    permutations: int | None
    attributions: tuple[Attribution, ...]
    num_p: int
    num_u: int
    num_control_p: int
    num_control_u: int
    num_test_p: int
    num_test_u: int
    names: tuple[str, ...]
    confidence: float
    seed: int | None
    warning: str | None


def identify(
    p_features: Features,
    u_features: Features,
    *,
    procedure: str = "split",
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
      procedure: "split", "permutation" or "paper".
      alpha: significance level.
      splits: of "split", how many random ones; more make the result depend less on the seed.
      combination: the rule for the p-values of several splits (`combine_p_values`).
      permutations: relabellings; None: 9,999 for "split", 999, each refitted, for "permutation".
      confidence: of the intervals.
      seed: of splits, folds and relabellings.

    Raises:
      InputError: if a feature is NaN, infinite or constant over P and U (named, with the first samples),
        shapes or names do not fit, there are too few samples or permutations for a p-value <= alpha to exist,
        procedure or combination is unknown, or "paper" is given unequal sets.
    """
    check_fraction(alpha, "alpha")
    p, u, names = named_features(p_features, u_features)
    permutations = permutations or _PERMUTATIONS.get(procedure, 0)
    _check_request(procedure, len(p), len(u), alpha=alpha, splits=splits, permutations=permutations)
    outcomes = list(_outcomes(p, u, names, procedure, splits, permutations, seed))
    p_values = np.array([outcome.p_value for outcome in outcomes])
    p_value = float(combine_p_values(p_values, rule=combination))
    shown = outcomes[np.argsort(p_values, kind="stable")[(splits - 1) // 2]]
    test = welch(shown.p_scores, shown.u_scores, confidence=confidence)
    num_control_p, num_control_u = (_num_control(procedure, samples) for samples in (len(p), len(u)))
    return Identification(
        procedure=procedure,
        alpha=alpha,
        identified=p_value <= alpha and (procedure != "paper" or test.t > 0),
        p_value=p_value,
        p_values=tuple(p_values.tolist()),
        combination=combination if splits > 1 else None,
        welch=test,
        auc=auc_interval(shown.p_scores, shown.u_scores, confidence=confidence),
        permutation_p_value=None if procedure == "paper" else shown.permutation_p_value,
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
        seed=None if procedure == "paper" else seed,
        warning=PAPER_WARNING if procedure == "paper" else None,
    )


def shapley_values(
    p_features: Features, u_features: Features, *, procedure: str = "split", seed: int = 0
) -> ShapleyValues:
    """Shapley values of the log-odds of every held-out sample, by the scorer(s) of `identify` with this seed.

    Raises:
      InputError: as `identify`.
    """
    p, u, names = named_features(p_features, u_features)
    _check_request(procedure, len(p), len(u), alpha=0.5, splits=1, permutations=1)
    (outcome,) = _outcomes(p, u, names, procedure, 1, 1, seed)
    return outcome.shapley


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """One split, or one 5-fold run: its p-value, the scores behind it and what they are made of."""

    p_value: float
    permutation_p_value: float
    p_scores: Float[np.ndarray, " n"]
    u_scores: Float[np.ndarray, " m"]
    shapley: ShapleyValues


def _outcomes(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    names: tuple[str, ...],
    procedure: str,
    splits: int,
    permutations: int,
    seed: int,
) -> Iterator[_Outcome]:
    features, n = np.concatenate([p, u]), len(p)
    pool, spread = cdi.make_pool(features)
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        p_rows, u_rows = np.arange(n), np.arange(n, len(features))
        if procedure == "split":
            p_rows, u_rows = rng.permutation(p_rows), rng.permutation(u_rows)
            held_out = cdi.split_scores(pool, p_rows[None], u_rows[None])
        elif procedure == "paper":
            held_out = cdi.paper_scores(pool, p_rows[None], u_rows[None])
        else:
            held_out, observed, permuted = cdi.refitted_statistics(
                pool, np.arange(len(features)) < n, permutations, rng
            )
        p_scores, u_scores = held_out.p[0], held_out.u[0]
        if procedure == "permutation":
            p_value = permutation = float(rank_p_value(np.array([observed]), permuted)[0])
        elif procedure == "split":
            permutation = permutation_p_value(
                p_scores, u_scores, permutations=permutations, seed=int(rng.integers(2**63))
            )
            p_value = max(welch(p_scores, u_scores).p_value, permutation)
        else:
            p_value, permutation = welch(p_scores, u_scores).p_value_two_sided, np.nan
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


def _num_control(procedure: str, samples: int) -> int:
    return cdi.num_control(samples) if procedure == "split" else samples - samples // cdi.FOLDS


def _check_request(procedure: str, n: int, m: int, *, alpha: float, splits: int, permutations: int) -> None:
    if procedure not in PROCEDURES:
        raise unknown_name("procedure", procedure, PROCEDURES)
    check_enough(splits, 1, "splits")
    if splits > 1 and procedure != "split":
        raise InputError(
            f"splits={splits} is for the procedure 'split'; {procedure!r} scores every sample once."
        )
    if procedure == "paper":
        if n != m:
            raise InputError(f"The published test needs as many samples of P as of U; got {n} and {m}.")
        check_enough(n, cdi.FOLDS, "samples of each of P and U for 5 folds")
        return
    if procedure == "split" and math.comb(n // 2 + m // 2, n // 2) * alpha < 1:
        raise InputError(
            f"{n} samples of P and {m} of U are too few to train on one half, test on the other and reach a "
            f"p-value of {alpha:g}; {2 * fewest_permutable(alpha)} of each are enough."
        )
    check_permutable(n, m, alpha, permutations)

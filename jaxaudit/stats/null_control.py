"""Does the test stay silent on nonmembers?

U is split at random, one part is called P, and dataset inference is applied. How often it rejects is its rate
of false accusations on these very scores. The minimum and maximum of each score over U are the same for every
split, so all splits share one vector of summed scores.

The control shows how the test behaves on scores like these. It does not show that P and U are alike; that is
the part of the gate.

Axes: m samples of U, F scores, R splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from jaxaudit.protocols import DEFAULT, SPLIT, Protocol, get_protocol
from jaxaudit.results import Interval, NullControl
from jaxaudit.stats.cdi.draws import draw_p_values, draw_rows
from jaxaudit.stats.cdi.scorer import make_pool
from jaxaudit.stats.dataset_inference import prepare, summed_scores
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE, clopper_pearson
from jaxaudit.stats.welch import check_permutable, fewest_permutable, random_split_statistics, rank_p_value


def null_control(
    u_features: Float[np.ndarray, "m F"],
    *,
    protocol: Protocol | str = DEFAULT,
    alpha: float = 0.01,
    num_p: int | None = None,
    repetitions: int = 1_000,
    permutations: int = 9_999,
    names: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> NullControl:
    """Splits U at random into a pseudo P and the rest, and tests the one against the other.

    Args:
      u_features: [m,F] scores of samples the model has not seen, higher = more likely a member.
      protocol: the rules, or their name; with `equal_sizes` always halves.
      alpha: significance level.
      num_p: size of the pseudo P, cut to m/2; None: halves. With the size of the true P the control has about
        the imbalance of the verdict beside it.
      repetitions: splits; given U they are independent, so the intervals are Clopper–Pearson's.
      permutations: random splits behind the permutation p-value.
      names: of the F scores, for the errors.
      confidence: of the intervals.
      seed: of the splits.

    Raises:
      InputError: as `dataset_inference`, or if U is too small to split.
    """
    protocol = get_protocol(protocol)
    check_fraction(alpha, "alpha")
    check_enough(repetitions, 1, "repetitions")
    u_features = np.asarray(u_features)
    check_enough(len(u_features), 4, "samples of U to split in two")
    half = len(u_features) // 2
    if protocol.equal_sizes:
        u_features, num_p = u_features[: 2 * half], half
    pseudo_p = min(num_p or half, half)
    pseudo_u = len(u_features) - pseudo_p
    first, second, _, _ = prepare(u_features[:half], u_features[half:], names, protocol)
    scores = np.concatenate(summed_scores(first, second))

    rng = np.random.default_rng(seed)
    t, df = random_split_statistics(scores, pseudo_p, repetitions, rng)
    if protocol.two_sided:
        p_values = welch_p = 2 * special.stdtr(df, -np.abs(t))
    else:
        check_permutable(pseudo_p, pseudo_u, alpha, permutations)
        welch_p = special.stdtr(df, -t)
        permuted, _ = random_split_statistics(scores, pseudo_p, permutations, rng)
        p_values = np.maximum(welch_p, rank_p_value(t, permuted))

    def rate(p: Float[np.ndarray, " R"]) -> Interval:
        return clopper_pearson(int(np.sum((p <= alpha) & (t > 0))), repetitions, confidence=confidence)

    return NullControl(
        test=protocol.name,
        alpha=alpha,
        rejection_rate=rate(p_values),
        welch_rejection_rate=rate(welch_p),
        median_p=float(np.median(p_values)),
        num_pseudo_p=pseudo_p,
        num_pseudo_u=pseudo_u,
        repetitions=repetitions,
        confidence=confidence,
        seed=seed,
    )


def identification_null_control(
    u_features: Float[np.ndarray, "m F"],
    *,
    alpha: float = 0.01,
    num_p: int | None = None,
    repetitions: int = 1_000,
    names: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> NullControl:
    """`null_control` for the procedure `SPLIT` of `identify`; the scorer is fitted anew for every split.

    Args:
      u_features: [m,F] features of samples the model has not seen.
      alpha, num_p, repetitions, names, confidence, seed: as `null_control`.

    Raises:
      InputError: if a feature is NaN, infinite or constant, U is too small to split, or alpha is below what
        the permutations of `SPLIT` can show.
    """
    check_fraction(alpha, "alpha")
    check_enough(repetitions, 1, "repetitions")
    fewest = 2 * fewest_permutable(alpha)
    check_enough(len(u_features), 2 * fewest, "samples of U to split in two")
    half = len(u_features) // 2
    first, second, _, _ = prepare(u_features[:half], u_features[half:], names, DEFAULT)
    u = np.concatenate([first, second])
    pseudo_p = max(min(num_p or half, half), fewest)
    pool, _ = make_pool(u)
    rows = draw_rows(len(u), len(u), repetitions, np.random.default_rng(seed))
    p_values, t = draw_p_values(pool, rows[:, :pseudo_p], rows[:, pseudo_p:], alpha=alpha, seed=seed)
    rate = clopper_pearson(int(np.sum((p_values <= alpha) & (t > 0))), repetitions, confidence=confidence)
    return NullControl(
        test=SPLIT.name,
        alpha=alpha,
        rejection_rate=rate,
        welch_rejection_rate=rate,
        median_p=float(np.median(p_values)),
        num_pseudo_p=pseudo_p,
        num_pseudo_u=len(u) - pseudo_p,
        repetitions=repetitions,
        confidence=confidence,
        seed=seed,
    )

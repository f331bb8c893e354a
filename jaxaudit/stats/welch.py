"""Do members score higher on average?  Welch's test, its permutation version and the effect size.

  t = (mean(x) - mean(y)) / sqrt(s_x²/n + s_y²/m)                                                        (1)
  df = (s_x²/n + s_y²/m)² / ((s_x²/n)²/(n-1) + (s_y²/m)²/(m-1))        (Welch, Biometrika 1947)          (2)
The effect size is Hedges' g, of `jaxaudit.stats.effect_size`.

Permutation: if x and y come from one distribution, every split of the pooled scores into n and m is equally
likely. With b of B random splits reaching the observed t,
  p = (b + 1) / (B + 1)                                         (Phipson and Smyth, 2010)                (3)
is valid at every sample size and for every distribution. Welch's p is not: with skewed scores and unequal
sizes (log-normal, 10 against 200) it rejects a true null 10% of the time at alpha = 1%.

Axes: n members, m nonmembers, R repetitions.
"""

from __future__ import annotations

import itertools
import math
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.results import Interval, WelchTest
from jaxaudit.stats.effect_size import hedges_g
from jaxaudit.stats.inputs import check_enough, check_fraction, score_vectors
from jaxaudit.stats.intervals import CONFIDENCE

Numbers = TypeVar("Numbers", float, Float[np.ndarray, " *R"])
_CHUNK = 4_000_000  # elements of one block of random splits: 32 MB
_ROUNDING = 1e-8  # of logarithms of numbers of splits


def welch(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"], *, confidence: float = CONFIDENCE
) -> WelchTest:
    """Welch's t-test with the mean difference and Hedges' g.

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      confidence: of the two-sided intervals.

    Raises:
      InputError: if a score is NaN or infinite, a side holds fewer than 2, or neither side varies.
    """
    check_fraction(confidence, "confidence")
    members, nonmembers = score_vectors(members, nonmembers)
    n, m = members.size, nonmembers.size
    check_enough(min(n, m), 2, "members and nonmembers for a variance")
    difference = members.mean() - nonmembers.mean()
    var_x, var_y = members.var(ddof=1), nonmembers.var(ddof=1)
    if np.ptp(members) == 0 and np.ptp(nonmembers) == 0:
        raise InputError("Neither the members' nor the nonmembers' scores vary; a t-test needs a variance.")
    t, df = welch_statistic(difference, var_x, n, var_y, m)
    half = special.stdtrit(df, (1 + confidence) / 2) * np.sqrt(var_x / n + var_y / m)
    return WelchTest(
        t=float(t),
        df=float(df),
        p_value=float(special.stdtr(df, -t)),
        p_value_two_sided=float(2 * special.stdtr(df, -abs(t))),
        mean_difference=Interval(float(difference), float(difference - half), float(difference + half)),
        hedges_g=hedges_g(members, nonmembers, confidence=confidence),
    )


def welch_statistic(
    difference: Numbers, var_x: Numbers, n: int, var_y: Numbers, m: int
) -> tuple[Numbers, Numbers]:
    """t and its degrees of freedom from moments (variances with ddof 1), equations (1) and (2)."""
    error_x, error_y = var_x / n, var_y / m
    df = (error_x + error_y) ** 2 / (error_x**2 / (n - 1) + error_y**2 / (m - 1))
    # NumPy's stubs know no ufunc that keeps a float a float.
    return difference / np.sqrt(error_x + error_y), df  # pyright: ignore[reportReturnType]


def permutation_p_value(
    members: Real[np.ndarray, " n"],
    nonmembers: Real[np.ndarray, " m"],
    *,
    permutations: int = 9_999,
    seed: int = 0,
) -> float:
    """One-sided permutation p-value of Welch's t; the smallest it can be is 1 / (permutations + 1).

    Args:
      members: [n] scores, higher = more likely a member.
      nonmembers: [m] scores.
      permutations: B, random splits.
      seed: of the splits.

    Raises:
      InputError: if a score is NaN or infinite, or a side holds fewer than 2.
    """
    members, nonmembers = score_vectors(members, nonmembers)
    check_enough(min(members.size, nonmembers.size), 2, "members and nonmembers for a variance")
    pooled = np.concatenate([members, nonmembers])
    observed, _ = split_statistics(pooled, (np.arange(pooled.size) < members.size)[None])
    t, _ = random_split_statistics(pooled, members.size, permutations, np.random.default_rng(seed))
    return float(rank_p_value(observed, t)[0])


def random_split_statistics(
    scores: Float[np.ndarray, " N"], n: int, repetitions: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """t and df of Welch's test for random splits of `scores` into n and N - n."""
    rows = max(1, _CHUNK // scores.size)
    parts = []
    for start in range(0, repetitions, rows):
        keys = rng.random((min(rows, repetitions - start), scores.size))
        parts.append(split_statistics(scores, keys <= np.partition(keys, n - 1, axis=1)[:, n - 1 : n]))
    t, df = zip(*parts, strict=True)
    return np.concatenate(t), np.concatenate(df)


def split_statistics(
    scores: Float[np.ndarray, " N"], chosen: Bool[np.ndarray, "R N"]
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """t and df of Welch's test of the chosen scores against the others, row by row.

    A split in which neither side varies has t = +-inf (0 if the means agree too).
    """
    scores = (scores - scores.mean()) / (scores.std() or 1.0)  # t does not change, cancellation does
    n = int(chosen[0].sum())
    m = scores.size - n
    sums = chosen @ np.stack([scores, scores**2], axis=1)
    rest = np.array([scores.sum(), (scores**2).sum()]) - sums
    mean_x, mean_y = sums[:, 0] / n, rest[:, 0] / m
    var_x = (sums[:, 1] - n * mean_x**2) / (n - 1)
    var_y = (rest[:, 1] - m * mean_y**2) / (m - 1)
    difference = mean_x - mean_y
    varies = var_x / n + var_y / m > 1e-13
    var_x, var_y = np.where(varies, np.maximum(var_x, 0), 1), np.where(varies, np.maximum(var_y, 0), 1)
    t, df = welch_statistic(difference, var_x, n, var_y, m)
    flat = np.where(np.abs(difference) > 1e-9, np.copysign(np.inf, difference), 0)
    return np.where(varies, t, flat), df


def rank_p_value(
    observed: Float[np.ndarray, " R"], permuted: Float[np.ndarray, " B"]
) -> Float[np.ndarray, " R"]:
    """Equation (3) for every observed statistic; values equal up to rounding count as reached."""
    slack = np.where(np.isfinite(observed), 1e-9 * (1 + np.abs(observed)), 0)
    below = np.searchsorted(np.sort(permuted), observed - slack)
    return (1 + permuted.size - below) / (1 + permuted.size)


def check_permutable(n: int, m: int, alpha: float, permutations: int) -> None:
    """Raises InputError if n + m samples, or the number of `permutations`, allow no p-value <= `alpha`."""
    if not can_be_split(n, m, alpha):
        needed = fewest_permutable(alpha)
        raise InputError(
            f"{n} samples against {m} can be split in {math.comb(n + m, n)} ways only, too few for a "
            f"p-value of {alpha:g}; {needed} on each side are enough."
        )
    check_permutations(alpha, permutations)


def check_permutations(alpha: float, permutations: int) -> None:
    """Raises InputError if so many `permutations` allow no p-value <= `alpha`, by equation (3)."""
    if 1 / (permutations + 1) > alpha:
        raise InputError(
            f"{permutations} permutations cannot give a p-value of {alpha:g}; "
            f"at least {_fewest_permutations(alpha)} are needed."
        )


def enough_permutations(alpha: float, *, usual: int, most: int) -> int:
    """The `usual` number of permutations, or as many more as a p-value of `alpha` needs.

    Raises:
      InputError: if it needs more than `most`.
    """
    check_permutations(alpha, most)
    return max(usual, _fewest_permutations(alpha))


def can_be_split(n: int, m: int, alpha: float) -> bool:
    """Whether n + m samples can be split into n and m in 1 / `alpha` ways or more, up to rounding.

    By logarithms: the number itself has more digits than a float from about 1,030 samples on.
    """
    log_splits = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    return log_splits >= -math.log(alpha) - _ROUNDING


def fewest_permutable(alpha: float) -> int:
    """The smallest n for which n against n samples can be split in 1 / `alpha` ways."""
    return next(n for n in itertools.count(2) if can_be_split(n, n, alpha))


def _fewest_permutations(alpha: float) -> int:
    return math.ceil(1 / alpha) - 1

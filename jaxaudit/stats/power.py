"""How many samples does dataset inference need?

The test is repeated on random subsets of n samples of P and n of U, for a grid of n.
  mean_p (published):  P = the smallest n with mean p-value <= alpha                                   (1)
  power:               P = the smallest n at which at least `power` (80%) of the draws reject          (2)
Each repetition shuffles P and U once and takes the first n for every n: the draws of one n are distributed
as if made alone, and all n together cost one pass. The scaling to [0, 1] is redone in every draw. With n
against n samples Welch's test needs no permutation beside it: the skew of the two sides cancels.

The rejection rates: draws overlap, so 1,000 of them are not 1,000 independent experiments. An average over
random subsets varies no more than one over floor(N/n) disjoint subsets (Hoeffding, JASA 1963), so a rate gets
the Clopper–Pearson interval of that many draws. Near n = N all draws are one, and the interval says so.

The interval of (2) would be hopeless by these rates: 16 draws of 60 among 1,000 never bound a power of 80%
from below. But power follows from how far p is from alpha on average, and an average of z = Phi⁻¹(1 - p) over
overlapping draws is known well. With the mean and the variance of z over the draws of n,
  s_n² = Var(z) / (1 - n/N) >= 1, as draws without replacement vary less; beyond N/2 that of N/2         (3)
  e_n² = s_n² (n/N + (1 - n/N) / R)                            (Hoeffding, Ann. Math. Stat. 1948)        (4)
  upper limit: the smallest n with mean(z) - z_c e_n >= Phi⁻¹(1 - alpha) + s_n Phi⁻¹(power)              (5)
and the lower limit with + e_n. Where no n drawn reaches (5) its left side is continued as sqrt(n); no test
here grows slower. In simulations (sums and CDI; normal, skewed and t₃ scores; 60 to 1,000 samples for a truth
of 52 to 88) the 95% interval holds the truth in 94% to 100%; with 1,000 samples it is about 50 to 100.

Source: Kowalczuk et al., ICML 2025, arXiv 2502.02514 (1).

Axes: R repetitions, n or N samples, F features (scores), G grid of sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.protocols import DEFAULT, Procedure, Protocol, get_protocol
from jaxaudit.results import PowerCurve, PowerPoint, RequiredSize
from jaxaudit.stats.dataset_inference import prepare
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE, clopper_pearson
from jaxaudit.stats.welch import fewest_permutable, welch_statistic

PUBLISHED_GRID = (*range(2, 11), *range(20, 101, 10), *range(200, 1001, 100), *range(2000, 10_001, 1000))
"""Sizes of P in the published tables."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SMALLEST_P = 1e-300
_CHUNK = 4_000_000  # elements of one block of shuffled features: 32 MB


def power_curve(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    *,
    protocol: Protocol | str = DEFAULT,
    alpha: float = 0.01,
    power: float = 0.8,
    repetitions: int = 1_000,
    grid: Sequence[int] = PUBLISHED_GRID,
    names: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PowerCurve:
    """Repeats dataset inference on random subsets and finds the size it needs.

    Args:
      p_features: [n,F] scores of P, higher = more likely a member.
      u_features: [m,F] scores of U.
      protocol: the rules, or their name: the sides of the test, the rows drawn of P and U, and the criterion.
      alpha: significance level.
      power: fraction of draws that must reject.
      repetitions: draws of each size.
      grid: sizes; those above min(n, m), or too small for `dataset_inference` to reject, are left out.
      names: of the F scores, for the errors.
      confidence: of the intervals.
      seed: of the draws.

    Raises:
      InputError: as `dataset_inference`, or if no size of the grid can be drawn.
    """
    protocol = get_protocol(protocol)
    check_fraction(alpha, "alpha")
    check_fraction(power, "power")
    check_enough(repetitions, 1, "repetitions")
    p, u, _, notes = prepare(p_features, u_features, names, protocol)
    smallest = 2 if protocol.two_sided else fewest_permutable(alpha)
    sizes = usable_sizes(grid, smallest, min(len(p), len(u)), alpha)
    t, p_values = _draw(p, u, sizes, repetitions, protocol, np.random.default_rng(seed))
    asked = {"alpha": alpha, "power": power, "confidence": confidence, "seed": seed}
    return summarise_draws(sizes, p_values, t, protocol, samples=(len(p), len(u)), notes=notes, **asked)


def usable_sizes(grid: Sequence[int], smallest: int, largest: int, alpha: float) -> list[int]:
    """The sizes of the grid from `smallest`, that can reject at alpha, to `largest`, the fewer of P and U.

    Raises:
      InputError: if there is none.
    """
    sizes = sorted({n for n in grid if smallest <= n <= largest})
    if not sizes:
        raise InputError(
            f"No size of the grid lies between {smallest}, the fewest samples that can reject at "
            f"alpha={alpha:g}, and {largest}, the fewer of P and U."
        )
    return sizes


def summarise_draws(
    sizes: Sequence[int],
    p_values: Float[np.ndarray, "R G"],
    t: Float[np.ndarray, "R G"],
    test: Protocol | Procedure,
    *,
    samples: tuple[int, int],
    alpha: float,
    power: float,
    confidence: float,
    seed: int,
    notes: tuple[str, ...] = (),
) -> PowerCurve:
    """The power curve of R tests at each of the ascending `sizes`; criterion "mean_p" is (1), "power" (2)
    with the limits (5).

    A draw rejects at p <= alpha with t > 0. `samples` are those that P and U were drawn from.
    """
    repetitions, largest = len(p_values), min(samples)
    rejected = (p_values <= alpha) & (t > 0)
    one_sided = np.where(t > 0, p_values / 2, 1 - p_values / 2) if test.two_sided else p_values
    z = -special.ndtri(np.clip(one_sided, _SMALLEST_P, np.nextafter(1, 0)))  # finite, also where p is 1
    points = []
    for g, n in enumerate(sizes):
        independent = min(largest // n, repetitions)
        rate = rejected[:, g].mean()
        quantiles = np.quantile(p_values[:, g], QUANTILES).tolist()
        points.append(
            PowerPoint(
                n=n,
                mean_p=float(p_values[:, g].mean()),
                p_quantiles=dict(zip(QUANTILES, quantiles, strict=True)),
                rejection_rate=clopper_pearson(rate * independent, independent, confidence=confidence),
                independent_draws=independent,
            )
        )
    return PowerCurve(
        test=test.name,
        criterion=test.criterion,
        alpha=alpha,
        power=power,
        required=_required(points, z, test, samples=largest, alpha=alpha, power=power, confidence=confidence),
        points=tuple(points),
        repetitions=repetitions,
        num_p=samples[0],
        num_u=samples[1],
        confidence=confidence,
        seed=seed,
        notes=notes,
    )


def _draw(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    sizes: Sequence[int],
    repetitions: int,
    protocol: Protocol,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "R G"], Float[np.ndarray, "R G"]]:
    """t statistic and p-value of every draw."""
    # Min-max scaling undoes any shift and scale of a column; standardised columns keep the moments accurate.
    pooled = np.concatenate([p, u])
    center, spread = pooled.mean(axis=0), pooled.std(axis=0)
    spread[spread == 0] = 1.0
    p, u = (np.ascontiguousarray(((x - center) / spread).T) for x in (p, u))

    def orders(samples: int, count: int) -> np.ndarray:
        return np.stack([rng.permutation(samples)[: sizes[-1]] for _ in range(count)])

    rows = max(1, _CHUNK // (sizes[-1] * p.shape[0]))
    blocks = []
    for start in range(0, repetitions, rows):
        count = min(rows, repetitions - start)
        p_order = orders(p.shape[1], count)
        u_order = p_order if protocol.paired_draws else orders(u.shape[1], count)
        blocks.append(_prefix_tests(p[:, p_order], u[:, u_order], sizes))
    t, df = np.concatenate(blocks, axis=1)
    return t, 2 * special.stdtr(df, -np.abs(t)) if protocol.two_sided else special.stdtr(df, -t)


def _prefix_tests(
    p: Float[np.ndarray, "F R N"], u: Float[np.ndarray, "F R N"], sizes: Sequence[int]
) -> Float[np.ndarray, "2 R G"]:
    """t and df of the test on the first n samples of every repetition, for every n in `sizes`.

    The summed score is linear in the features, w · x + constant with w = 1 / (max - min), so its mean and
    variance follow from the running extremes, sums and second moments of the features. Where neither side
    varies, t = 0.
    """
    features, count = p.shape[:2]
    low, high = np.full((features, count), np.inf), np.full((features, count), -np.inf)
    sums = np.zeros((2, features, count))
    moments = np.zeros((2, count, features, features))
    t, df = np.zeros((count, len(sizes))), np.ones((count, len(sizes)))
    start = 0
    for g, n in enumerate(sizes):
        for side, x in enumerate((p, u)):
            added = x[:, :, start:n]
            low, high = np.minimum(low, added.min(axis=2)), np.maximum(high, added.max(axis=2))
            sums[side] += added.sum(axis=2)
            by_draw = added.transpose(1, 0, 2)
            moments[side] += by_draw @ by_draw.transpose(0, 2, 1)
        start = n
        w = np.divide(1, high - low, out=np.zeros_like(low), where=high > low)
        means = (sums * w).sum(axis=1) / n
        variances = (np.einsum("srij,ir,jr->sr", moments, w, w, optimize=True) - n * means**2) / (n - 1)
        varies = variances.sum(axis=0) > 1e-12
        var_p, var_u = np.where(varies, np.maximum(variances, 0), 1)
        statistic, df[:, g] = welch_statistic(means[0] - means[1], var_p, n, var_u, n)
        t[:, g] = np.where(varies, statistic, 0)
    return np.stack([t, df])


def _required(
    points: Sequence[PowerPoint],
    z: Float[np.ndarray, "R G"],
    test: Protocol | Procedure,
    *,
    samples: int,
    alpha: float,
    power: float,
    confidence: float,
) -> RequiredSize:
    last = points[-1]
    if test.criterion == "mean_p":
        estimate = _smallest(points, [point.mean_p <= alpha for point in points])
        mean_p = f"With {last.n} samples, the most drawn, the mean p-value is {last.mean_p:.2g}."
        return RequiredSize(estimate=estimate, low=None, high=None, reason=None if estimate else mean_p)
    estimate = _smallest(points, [point.rejection_rate.estimate >= power for point in points])
    sizes = np.array([point.n for point in points])
    spread = _spread(z, sizes / samples)
    error = spread * np.sqrt(sizes / samples + (1 - sizes / samples) / len(z))
    half = special.ndtri((1 + confidence) / 2) * error
    goal = -special.ndtri(alpha / 2 if test.two_sided else alpha) + special.ndtri(power) * spread
    low = _smallest(points, (z.mean(axis=0) + half >= goal).tolist())
    least = z.mean(axis=0) - half
    high = _smallest(points, (least >= goal).tolist())
    if high is None and least[-1] > 0:
        high = _two_digits(last.n * (goal[-1] / least[-1]) ** 2)
    reason = None
    if estimate is None:
        rate = last.rejection_rate.estimate
        reason = f"With {last.n} samples, the most drawn, {rate:.0%} of the draws reject."
    elif high is None:
        reason = f"There is no upper limit: {last.n} samples, the most drawn, may have shown chance alone."
    if estimate is not None:
        low, high = min(low or estimate, estimate), high and max(high, estimate)
    return RequiredSize(estimate=estimate, low=low, high=high, reason=reason)


def _smallest(points: Sequence[PowerPoint], enough: Sequence[bool]) -> int | None:
    return next((point.n for point, yes in zip(points, enough, strict=True) if yes), None)


def _two_digits(size: float) -> int:
    """The size, rounded up: a continued curve knows no more digits."""
    unit = 10 ** max(math.floor(math.log10(size)) - 1, 0)
    return math.ceil(size / unit) * unit


def _spread(z: Float[np.ndarray, "R G"], share: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
    """Equation (3) for draws of this share of the samples."""
    half = int(np.sum(share <= 0.5))
    if half == 0:
        return np.ones(len(share))
    spread = np.maximum(z[:, :half].std(axis=0) / np.sqrt(1 - share[:half]), 1)
    return np.concatenate([spread, np.full(len(share) - half, spread[-1])])

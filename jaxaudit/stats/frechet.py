"""The Fréchet distance between two sets of features, each taken as a Gaussian.

    d² = ‖μ − ν‖² + tr(Σ + Γ − 2 (Σ^½ Γ Σ^½)^½)                                                         (1)
    tr (Σ^½ Γ Σ^½)^½ = ‖Γ^½ Σ^½‖_*,   the sum of the singular values                                     (2)

(1): Dowson and Landau, Journal of Multivariate Analysis 1982; on Inception features it is the FID of Heusel
et al., NeurIPS 2017. The eigenvalues of the product in (1) are the squares of the singular values in (2), so
that rounding would cost half of the digits there; (2) keeps them, needs no inverse, and equal sets have
distance 0. μ and Σ of a stream are kept as count, mean and sum of squared deviations and merged by

    S = S_a + S_b + (n_a n_b / n) δ δᵀ,   δ = μ_b − μ_a                                                  (3)

(Chan, Golub and LeVeque, The American Statistician 1983). The estimate of (1) from samples is biased upwards,
more so the fewer there are: compare distances at equal numbers only.

Axes: n, m samples, D features.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy import linalg

from jaxaudit.errors import InputError
from jaxaudit.results import Interval
from jaxaudit.stats.inputs import check_enough, check_fraction
from jaxaudit.stats.intervals import CONFIDENCE

_ROUNDING = 1e-6  # negative eigenvalues down to this share of the largest come from stored float32


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of features, as sums that can be merged.

    Attributes:
      count: n.
      mean: [D] float64.
      scatter: [D,D] float64, the sum of (x − mean)(x − mean)ᵀ.
    """

    count: int
    mean: Float[np.ndarray, " D"]
    scatter: Float[np.ndarray, "D D"]

    @property
    def covariance(self) -> Float[np.ndarray, "D D"]:
        """The unbiased covariance [D,D] float64; needs two samples."""
        check_enough(self.count, 2, "samples for a covariance")
        return self.scatter / (self.count - 1)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets together, equation (3).

        Raises:
          InputError: if the numbers of features differ.
        """
        if self.mean.shape != other.mean.shape:
            raise InputError(f"Features of {self.mean.size} and {other.mean.size} numbers cannot be merged.")
        count, delta = self.count + other.count, other.mean - self.mean
        weight = self.count * (other.count / count)
        return Moments(
            count=count,
            mean=self.mean + delta * (other.count / count),
            scatter=self.scatter + other.scatter + weight * np.outer(delta, delta),
        )


def moments(features: Float[np.ndarray, "n D"]) -> Moments:
    """The moments of a set or of one batch of a stream (`Moments.merge`).

    Raises:
      InputError: if there is no sample, or a feature is NaN or infinite.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or x.size == 0:
        raise InputError(f"Features of shape {x.shape} do not fit; expected [n,D] with n >= 1.")
    if wrong := len(x) - np.count_nonzero(np.isfinite(x).all(1)):
        raise InputError(f"{wrong} of {len(x)} samples have features that are NaN or infinite.")
    mean = x.mean(0)
    centred = x - mean
    return Moments(len(x), mean, centred.T @ centred)


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared distance d² of equation (1), >= 0, in squared units of the features; lower = more alike.

    Raises:
      InputError: if the features differ in number, or a set has no more samples than features: its covariance
        would be singular for want of samples and the distance mostly bias.
    """
    for side in (a, b):
        check_enough(side.count, side.mean.size + 1, f"samples for {side.mean.size} features")
    return gaussian_distance(a.mean, a.covariance, b.mean, b.covariance)


def gaussian_distance(
    mean_a: Float[np.ndarray, " D"],
    covariance_a: Float[np.ndarray, "D D"],
    mean_b: Float[np.ndarray, " D"],
    covariance_b: Float[np.ndarray, "D D"],
) -> float:
    """The d² of equation (1) between two Gaussians, e.g. published reference statistics.

    Raises:
      InputError: if the shapes do not fit, or a covariance is not finite, symmetric and positive
        semidefinite up to rounding.
    """
    means = [np.asarray(mean, np.float64) for mean in (mean_a, mean_b)]
    covariances = [np.asarray(covariance, np.float64) for covariance in (covariance_a, covariance_b)]
    size = means[0].size
    shapes = [array.shape for array in (*means, *covariances)]
    if shapes != [(size,), (size,), (size, size), (size, size)]:
        raise InputError(
            f"Means and covariances of shapes {shapes} do not fit; expected [D] and [D,D] twice."
        )
    root_a, root_b = (_root(covariance) for covariance in covariances)
    overlap = np.sum(linalg.svdvals(root_b.T @ root_a)) if root_a.size and root_b.size else 0.0
    spread = sum(np.trace(covariance) for covariance in covariances) - 2 * overlap
    return max(float(np.square(means[0] - means[1]).sum() + spread), 0.0)


def _root(covariance: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D r"]:
    """R with R Rᵀ = Σ, the eigenvectors times the roots of their eigenvalues; any such R serves (2)."""
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12):
        raise InputError("A covariance matrix must be finite and symmetric.")
    values, vectors = linalg.eigh(covariance)
    if values[0] < -_ROUNDING * max(values[-1], 0):
        raise InputError(
            f"A covariance matrix has an eigenvalue of {values[0]:.3g} beside its largest of "
            f"{values[-1]:.3g}; it must be positive semidefinite."
        )
    positive = values > values.size * np.finfo(np.float64).eps * values[-1]
    return vectors[:, positive] * np.sqrt(values[positive])


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """A Fréchet distance d² and how well its samples determine it.

    Attributes:
      distance: estimate and interval.
      bias: what resampling adds to the estimate on average, an estimate of its bias.
      counts: samples of each set.
      num_features: D.
      repetitions: of the bootstrap.
      confidence: of the interval.
      seed: of the draws.
    """

    distance: Interval
    bias: float
    counts: tuple[int, int]
    num_features: int
    repetitions: int
    confidence: float
    seed: int


def bootstrap_frechet(
    a_features: Float[np.ndarray, "n D"],
    b_features: Float[np.ndarray, "m D"],
    *,
    paired: bool = False,
    repetitions: int = 200,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> FrechetDistance:
    """d² with the basic bootstrap interval: both sets are resampled, pairs as pairs.

    With q the quantiles of the resampled distances, the interval is [2d² − q_high, 2d² − q_low], at least 0:
    resampling adds about as much bias as the estimate has, and this takes it away, so that the interval is
    one of the distance between the populations and may lie below the estimate.

    Args:
      a_features, b_features: [n,D] and [m,D], a row per sample.
      paired: whether row i of both belongs together, as a picture and its completion do, or a picture and
        what was drawn for its class. Resampled one by one, such sets lie further apart than the two do, and
        the bias comes out too large.
      repetitions: resampled distances.
      confidence: of the interval.
      seed: of the draws.

    Raises:
      InputError: as `moments` and `frechet_distance`, or if paired sets are not equally large.
    """
    check_fraction(confidence, "confidence")
    check_enough(repetitions, 2, "repetitions")
    sets = [np.asarray(features, np.float64) for features in (a_features, b_features)]
    a, b = (moments(features) for features in sets)
    estimate = frechet_distance(a, b)
    if paired and a.count != b.count:
        raise InputError(f"{a.count} samples and {b.count} are no pairs; paired sets are equally large.")
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(repetitions):
        rows_a = generator.integers(a.count, size=a.count)
        rows_b = rows_a if paired else generator.integers(b.count, size=b.count)
        draws.append(frechet_distance(moments(sets[0][rows_a]), moments(sets[1][rows_b])))
    low, high = 2 * estimate - np.quantile(draws, [(1 + confidence) / 2, (1 - confidence) / 2])
    return FrechetDistance(
        distance=Interval(estimate, max(float(low), 0.0), max(float(high), 0.0)),
        bias=float(np.mean(draws)) - estimate,
        counts=(a.count, b.count),
        num_features=a.mean.size,
        repetitions=repetitions,
        confidence=confidence,
        seed=seed,
    )

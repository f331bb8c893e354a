"""How strong would a hidden difference between P and U have to be to explain the finding?  Rosenbaum's Gamma.

Pairs of a picture of P and one of U, matched on what is known of them (`jaxaudit.stats.matching`). If nothing
else decided which of the two is in P, and the model saw neither, either is as likely to score higher. A
hidden difference that multiplies the odds of being in P by up to Gamma leaves, for every pair,

  P(the picture of P scores higher) <= kappa = Gamma / (1 + Gamma)                                       (1)

With d the k differences of scores, b of them positive, the bounds on the one-sided p-values are

  sign test:    p(Gamma) = P(Binomial(k, kappa) >= b)                          exact                     (2)
  signed ranks: p(Gamma) = P(N(0, 1) >= (W - kappa S) / sqrt(kappa (1 - kappa) Q))                       (3)
  W = sum of the ranks of |d| where d > 0,  S = sum of all ranks,  Q = sum of their squares

and Gamma*, the largest Gamma with p(Gamma) <= alpha, follows in closed form: kappa* is the Clopper–Pearson
lower limit of b/k for (2), and the smaller root of (W - kappa S)² = z² kappa (1 - kappa) Q for (3), with
z = Phi⁻¹(1 - alpha). Pairs with d = 0 are left out, as usual.

Source: Rosenbaum, Observational Studies, 2nd edition 2002, section 4.3.

Axes: n pictures of P, m of U, k pairs.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Real
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.results import Sensitivity
from jaxaudit.stats.inputs import check_finite, check_fraction, score_vectors
from jaxaudit.stats.matching import CALIPER, Covariates, match_pairs

_UNKNOWN = Covariates()


def sensitivity(
    published: Real[np.ndarray, " n"],
    unpublished: Real[np.ndarray, " m"],
    *,
    published_covariates: Covariates = _UNKNOWN,
    unpublished_covariates: Covariates = _UNKNOWN,
    alpha: float = 0.01,
    caliper: float = CALIPER,
) -> Sensitivity:
    """Matches pictures and finds Gamma*, equations (2) and (3).

    Args:
      published: [n] scores of P, higher = more likely a member, by a score that was not fitted on them.
      unpublished: [m] scores of U.
      published_covariates, unpublished_covariates: class labels and blind propensity by which to match.
      alpha: significance level.
      caliper: of the propensity's log-odds, in standard deviations.

    Raises:
      InputError: if a score is NaN or infinite, a side is empty, or as `match_pairs`.
    """
    check_fraction(alpha, "alpha")
    published, unpublished = score_vectors(published, unpublished)
    n, m = published.size, unpublished.size
    pairs = match_pairs(published_covariates, unpublished_covariates, n, m, caliper=caliper)
    differences = published[pairs.p] - unpublished[pairs.u]
    differences = differences[differences != 0]
    higher = int(np.sum(differences > 0))
    gamma = sign_test_gamma(higher, differences.size, alpha)
    before, after = pairs.imbalance or (None, None)
    return Sensitivity(
        gamma=gamma,
        gamma_signed_rank=signed_rank_gamma(differences, alpha),
        p_value=sign_test_bound(higher, differences.size),
        p_value_signed_rank=signed_rank_bound(differences),
        alpha=alpha,
        pairs=pairs.p.size,
        p_higher=higher,
        num_p=n,
        num_u=m,
        caliper=pairs.caliper,
        imbalance_before=before,
        imbalance_after=after,
        sentence=_sentence(gamma, pairs.p.size, alpha),
    )


def sign_test_bound(higher: int, pairs: int, *, gamma: float = 1.0) -> float:
    """The largest p-value of the sign test, equation (2), if hidden differences multiply the odds by `gamma`.

    Args:
      higher: pairs in which the picture of P scores higher.
      pairs: without ties.
      gamma: at least 1; 1 is the sign test itself.

    Raises:
      InputError: if `gamma` < 1, or not 0 <= higher <= pairs.
    """
    if not 0 <= higher <= pairs:
        raise InputError(f"{higher} of {pairs} pairs is no count.")
    return float(stats.binom.sf(higher - 1, pairs, _kappa(gamma)))


def signed_rank_bound(differences: Float[np.ndarray, " k"], *, gamma: float = 1.0) -> float:
    """The largest p-value of the signed-rank test, equation (3); asymptotic, for 20 pairs or more.

    Args:
      differences: [k] P's score less U's, pair by pair.
      gamma: at least 1; 1 is the signed-rank test itself.

    Raises:
      InputError: if `gamma` < 1 or a difference is NaN or infinite.
    """
    kappa = _kappa(gamma)
    positive, total, squares = _rank_sums(differences)
    if total == 0:
        return 1.0
    return float(special.ndtr((kappa * total - positive) / math.sqrt(kappa * (1 - kappa) * squares)))


def sign_test_gamma(higher: int, pairs: int, alpha: float) -> float | None:
    """Gamma* of (2), the odds of the Clopper–Pearson lower limit; None if p > `alpha` even at Gamma = 1."""
    if sign_test_bound(higher, pairs) > alpha:
        return None
    return _odds(special.betaincinv(higher, pairs - higher + 1, alpha))


def signed_rank_gamma(differences: Float[np.ndarray, " k"], alpha: float) -> float | None:
    """Gamma* of (3), the odds of a lower limit like Wilson's; None if p > `alpha` even at Gamma = 1."""
    if signed_rank_bound(differences) > alpha:
        return None
    positive, total, squares = _rank_sums(differences)
    noise = max(-special.ndtri(alpha), 0) ** 2 * squares
    root = math.sqrt(noise**2 + 4 * noise * positive * (total - positive))
    return _odds((2 * positive * total + noise - root) / (2 * (total**2 + noise)))


def _rank_sums(differences: Float[np.ndarray, " k"]) -> tuple[float, float, float]:
    """W, S and Q of (3), ranks in units of their number, without pairs that tie."""
    check_finite(differences, "differences of scores")
    differences = differences[differences != 0]
    ranks = stats.rankdata(np.abs(differences)) / max(differences.size, 1)
    return float(ranks[differences > 0].sum()), float(ranks.sum()), float(ranks @ ranks)


def _kappa(gamma: float) -> float:
    if not 1 <= gamma < math.inf:
        raise InputError(f"gamma={gamma} is no factor that odds differ by; it must be at least 1.")
    return gamma / (1 + gamma)


def _odds(kappa: float) -> float:
    return max(float(kappa / (1 - kappa)), 1.0)


def _sentence(gamma: float | None, pairs: int, alpha: float) -> str:
    matched = f"{pairs:,} pairs of pictures alike in what is known of them"
    if gamma is None:
        return f"In {matched} P does not score significantly higher (α = {alpha:g})."
    return (
        f"An unseen difference would have to multiply the odds of a picture being in P by {gamma:.3g} to "
        f"explain the scores ({matched}; sign test, α = {alpha:g})."
    )

"""How much of P was trained on: at least, and, where members are known, how much.

From U alone there is a lower bound (`jaxaudit.stats.usage_bound`). With known members M, which must score as
the members in P do, P is a mixture, F_P = pi F_M + (1 - pi) F_U, and any function of the scores tells pi:

  pi = (E_P psi - E_U psi) / (E_M psi - E_U psi)                                                         (1)
  interval: {pi: (psi_P - pi psi_M - (1 - pi) psi_U)² <= z² (v_P/n + pi² v_M/k + (1 - pi)² v_U/m)}       (2)

with psi the score (2) of `jaxaudit.stats.cdi.scorer`, fitted to tell one half of M from one half of U and
read off the other halves and P; (2) is Fieller's, asymptotic. It is unbounded where M and U do not differ:
then nothing can be told. Whether P is such a mixture at all is asked distribution-free,

  exists pi in [0, 1]:  sup_t |F_P - pi F_M - (1 - pi) F_U| <= e_P + pi e_M + (1 - pi) e_U               (3)
  e_n = sqrt(log(6 / alpha) / 2n)     (Dvoretzky, Kiefer, Wolfowitz; Massart, Annals of Probability 1990)

which P fails, with probability at least 1 - alpha, only if its members are unlike M or its others unlike U.

A blind score, of the pictures without the model, must give a bound of 0, or nothing is said.

With M alone known by decisions at a threshold, (1) is DUCI (Tong et al., ICLR 2025), there without interval.

Axes: n pictures of P, m of U, k of M; F scores.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Real
from scipy import special

from jaxaudit.results import Interval, UsageFraction, UsageStatus
from jaxaudit.stats.cdi.scorer import RIDGE, make_pool, num_control
from jaxaudit.stats.individuals import conformal_p_values, storey_null_share
from jaxaudit.stats.inputs import check_enough, check_fraction, feature_matrices, score_vectors
from jaxaudit.stats.logistic import fit_logistic
from jaxaudit.stats.relabelling import normal_scores
from jaxaudit.stats.usage_bound import usage_bound

_WIDEST = 0.5
"""An interval of the share that is longer says nothing."""
_FEWEST = 20
_GRID = np.linspace(0, 1, 201)  # shares at which (3) is tried


def usage_fraction(
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    *,
    blind_published: Real[np.ndarray, " n"],
    blind_unpublished: Real[np.ndarray, " m"],
    known: Float[np.ndarray, "k F"] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> UsageFraction:
    """The share of P that was trained on.

    Args:
      published: [n,F] scores of P, higher = more likely a member.
      unpublished: [m,F] scores of U, images the model has not seen.
      blind_published, blind_unpublished: [n] and [m] scores that never saw the model, higher = more like P.
      known: [k,F] scores of pictures known to be members, such as P's members may be; None without.
      confidence: of bound and interval.
      seed: of the halves on which M is told from U.

    Raises:
      InputError: if a score is NaN or infinite, shapes do not fit, or there are fewer than 20 known members
        or pictures of U beside them.
    """
    check_fraction(confidence, "confidence")
    published, unpublished, _ = feature_matrices(published, unpublished, None)
    blind_published, blind_unpublished = score_vectors(blind_published, blind_unpublished)
    n = len(published)
    score = normal_scores(np.concatenate([published, unpublished])).mean(axis=1)
    p_values = conformal_p_values(score[:n], score[n:])
    blind = usage_bound(blind_published, blind_unpublished, confidence=confidence)
    at_least = usage_bound(score[:n], score[n:], confidence=confidence) if blind == 0 else 0.0
    share, status = None, _without_members(blind, at_least)
    if known is not None and blind == 0:
        known, unpublished, _ = feature_matrices(known, unpublished, None)
        share, status = _by_members(published, unpublished, known, at_least, 1 - confidence, seed)
    return UsageFraction(
        status=status,
        at_least=at_least,
        showing=1 - storey_null_share(p_values, len(unpublished)),
        share=share,
        blind_at_least=blind,
        confidence=confidence,
        num_p=n,
        num_u=len(unpublished),
        num_known=0 if known is None else len(known),
        sentence=_sentence(status, at_least, share, confidence),
    )


def fieller(
    published: Float[np.ndarray, " n"],
    unpublished: Float[np.ndarray, " m"],
    known: Float[np.ndarray, " k"],
    *,
    confidence: float = 0.95,
) -> Interval | None:
    """The share (1) with its interval (2), cut to [0, 1]; None where M does not exceed U significantly.

    Args:
      published, unpublished, known: scores of P, U and M, higher = more likely a member.
      confidence: of the interval.
    """
    square = special.ndtri((1 + confidence) / 2) ** 2
    v_p, v_u, v_m = (side.var(ddof=1) / side.size for side in (published, unpublished, known))
    above, unit = published.mean() - unpublished.mean(), known.mean() - unpublished.mean()
    # (2) is a pi² - 2 b pi + c <= 0; it is an interval where a > 0.
    a = unit**2 - square * (v_m + v_u)
    b = above * unit - square * v_u
    c = above**2 - square * (v_p + v_u)
    if unit <= 0 or a <= 0:
        return None
    half = math.sqrt(max(b**2 - a * c, 0.0))
    share, low, high = (float(np.clip(x, 0, 1)) for x in (above / unit, (b - half) / a, (b + half) / a))
    return Interval(share, low, high)


def is_mixture(
    published: Float[np.ndarray, " n"],
    unpublished: Float[np.ndarray, " m"],
    known: Float[np.ndarray, " k"],
    *,
    alpha: float = 0.05,
) -> bool:
    """Whether (3) holds for some share; False contradicts, at level `alpha`, a mixture of M and U."""
    places = np.sort(np.concatenate([published, unpublished, known]))
    f_p, f_u, f_m = (
        np.searchsorted(np.sort(side), places, side="right") / side.size
        for side in (published, unpublished, known)
    )
    e_p, e_u, e_m = (
        math.sqrt(math.log(6 / alpha) / (2 * side.size)) for side in (published, unpublished, known)
    )
    share = _GRID[:, None]
    distance = np.abs(f_p - share * f_m - (1 - share) * f_u).max(axis=1)
    return bool(np.any(distance <= e_p + _GRID * e_m + (1 - _GRID) * e_u))


def _without_members(blind: float, at_least: float) -> UsageStatus:
    if blind > 0:
        return "not_testable"
    return "at_least" if at_least > 0 else "cannot_tell"


def _by_members(
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    known: Float[np.ndarray, "k F"],
    at_least: float,
    alpha: float,
    seed: int,
) -> tuple[Interval | None, UsageStatus]:
    check_enough(min(len(unpublished), len(known)), _FEWEST, "known members, and pictures to tell them from,")
    scores = _member_scores(published, unpublished, known, np.random.default_rng(seed))
    if not is_mixture(*scores, alpha=alpha):
        return None, "no_mixture"
    share = fieller(*scores, confidence=1 - alpha)
    if share is None or share.high - share.low > _WIDEST:
        return None, _without_members(0.0, at_least)
    return share, "estimated"


def _member_scores(
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    known: Float[np.ndarray, "k F"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m_half"], Float[np.ndarray, " k_half"]]:
    """psi of P and of the halves of U and M that it was not fitted on."""
    n, m, k = len(published), len(unpublished), len(known)
    pool, _ = make_pool(np.concatenate([published, unpublished, known]))
    rows_u, rows_m = n + rng.permutation(m), n + m + rng.permutation(k)
    train_u, train_m = num_control(m), num_control(k)
    train = np.concatenate([rows_m[:train_m], rows_u[:train_u]])
    labels = np.arange(train.size) < train_m
    ridge = np.array([RIDGE * train.size])
    coefficients = fit_logistic(pool[train][None], labels[None, None], np.full(train.size, -1), ridge)[0]
    scores = special.expit(pool @ coefficients[0, 0, 0] - math.log(train_m / train_u))
    return scores[:n], scores[rows_u[train_u:]], scores[rows_m[train_m:]]


def _sentence(status: UsageStatus, at_least: float, share: Interval | None, confidence: float) -> str:
    level = f"{confidence:.0%} confidence"
    if status == "estimated" and share is not None:
        return (
            f"About {share.estimate:.0%} of P were trained on ({share.low:.0%} to {share.high:.0%}, "
            f"{level}), if its members score as the known ones do; at least {at_least:.0%} in any case."
        )
    return {
        "at_least": f"At least {at_least:.0%} of P were trained on ({level}).",
        "cannot_tell": "How much of P was trained on cannot be told from these scores.",
        "not_testable": "How much of P was trained on cannot be told: P and U differ without the model.",
        "no_mixture": (
            "How much of P was trained on cannot be told by the known members: P scores like no mixture of "
            f"them and U; at least {at_least:.0%} without them ({level})."
        ),
    }[status]

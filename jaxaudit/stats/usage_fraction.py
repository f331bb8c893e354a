"""How much of P was trained on: at least, and, where members are known, how much.

From U alone there is a lower bound (`jaxaudit.stats.usage_bound`). With known members M, which must score as
the members in P do, P is a mixture of M and U, and its share has an estimate, an interval, and a set of
possible values (`jaxaudit.stats.mixture`), all by one score of a picture,

  psi = the score (2) of `jaxaudit.stats.cdi.scorer`, of the normal scores of all pictures                (1)

fitted to tell one half of M from one half of U and read off the other halves and P.

What is not said:

  - anything, if a blind score, of the pictures without the model, gives P a bound above 0;
  - a share, if M differs from U without the model, P is no mixture of the two, or its standard
    error would be above 0.1: then single pictures are not separable enough; nor if the mean normal score,
    which has the direction of training, does not tell M from U (lower limit of its AUC): psi would learn any
    other direction;
  - that any of P was used, where P was not found to be trained on: bound and intervals then begin at 0.

With M alone known by decisions at a threshold the estimate is DUCI (Tong et al., ICLR 2025), there without
interval.

Axes: n pictures of P, m of U, k of M; F scores.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Real
from scipy import special

from jaxaudit.results import Interval, UsageFraction, UsageStatus, replace
from jaxaudit.stats.cdi.scorer import RIDGE, make_pool, num_control
from jaxaudit.stats.individuals import conformal_p_values, storey_null_share
from jaxaudit.stats.inputs import check_enough, check_fraction, feature_matrices, score_vectors
from jaxaudit.stats.intervals import auc_interval
from jaxaudit.stats.logistic import fit_logistic
from jaxaudit.stats.mixture import fieller, possible_shares
from jaxaudit.stats.relabelling import normal_scores
from jaxaudit.stats.usage_bound import usage_bound

_FEWEST = 20


def usage_fraction(
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    *,
    blind_published: Real[np.ndarray, " n"],
    blind_unpublished: Real[np.ndarray, " m"],
    known: Float[np.ndarray, "k F"] | None = None,
    known_differ: bool = False,
    found: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
) -> UsageFraction:
    """The share of P that was trained on.

    Args:
      published: [n,F] scores of P, higher = more likely a member.
      unpublished: [m,F] scores of U, images the model has not seen.
      blind_published, blind_unpublished: [n] and [m] scores that never saw the model, higher = more like P.
      known: [k,F] scores of pictures known to be members, such as P's members may be; None without.
      known_differ: whether these were told from U without the model, so that they say nothing.
      found: whether P was found to be trained on; if not, no share above 0 is claimed.
      confidence: of bound and intervals, each.
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
    blind = usage_bound(blind_published, blind_unpublished, confidence=confidence)
    told = blind == 0
    at_least = usage_bound(score[:n], score[n:], confidence=confidence) if told and found else 0.0
    without = UsageFraction(
        status=_without_members(told, at_least),
        at_least=at_least,
        showing=1 - storey_null_share(conformal_p_values(score[:n], score[n:]), len(unpublished)),
        share=None,
        possible=None,
        blind_at_least=blind,
        confidence=confidence,
        num_p=n,
        num_u=len(unpublished),
        num_known=0 if known is None else len(known),
        sentence="",
    )
    if told and known is not None and known_differ:
        without = replace(without, status="known_differ")
    elif told and known is not None:
        known, unpublished, _ = feature_matrices(known, unpublished, None)
        without = _with_members(without, published, unpublished, known, found, seed)
    return replace(without, sentence=_sentence(without, found))


def _without_members(told: bool, at_least: float) -> UsageStatus:
    if not told:
        return "not_testable"
    return "at_least" if at_least > 0 else "cannot_tell"


def _with_members(
    without: UsageFraction,
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    known: Float[np.ndarray, "k F"],
    found: bool,
    seed: int,
) -> UsageFraction:
    check_enough(min(len(unpublished), len(known)), _FEWEST, "known members, and pictures to tell them from,")
    mean = normal_scores(np.concatenate([known, unpublished])).mean(axis=1)
    trained = auc_interval(mean[: len(known)], mean[len(known) :], confidence=without.confidence)
    if trained.low <= 0.5:
        return without
    scores = member_scores(published, unpublished, known, seed=seed)
    possible = possible_shares(*scores, confidence=without.confidence)
    if possible is None:
        return replace(without, status="no_mixture")
    share = fieller(*scores, confidence=without.confidence)
    if not found:
        possible = 0.0, possible[1]
        share = None if share is None else replace(share, low=0.0)
    if share is None:
        return replace(without, possible=possible)
    return replace(without, status="estimated", share=share, possible=possible)


def member_scores(
    published: Float[np.ndarray, "n F"],
    unpublished: Float[np.ndarray, "m F"],
    known: Float[np.ndarray, "k F"],
    *,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m_half"], Float[np.ndarray, " k_half"]]:
    """Equation (1): psi of P and of the halves of U and M that it was not fitted on, in (0, 1).

    Args:
      published, unpublished, known: scores, higher = more likely a member.
      seed: of the halves.
    """
    rng = np.random.default_rng(seed)
    n, m, k = len(published), len(unpublished), len(known)
    pool, _ = make_pool(normal_scores(np.concatenate([published, unpublished, known])))
    rows_u, rows_m = n + rng.permutation(m), n + m + rng.permutation(k)
    train_u, train_m = num_control(m), num_control(k)
    train = np.concatenate([rows_m[:train_m], rows_u[:train_u]])
    labels = np.arange(train.size) < train_m
    ridge = np.array([RIDGE * train.size])
    coefficients = fit_logistic(pool[train][None], labels[None, None], np.full(train.size, -1), ridge)[0]
    scores = special.expit(pool @ coefficients[0, 0, 0] - math.log(train_m / train_u))
    return scores[:n], scores[rows_u[train_u:]], scores[rows_m[train_m:]]


def _sentence(usage: UsageFraction, found: bool) -> str:
    level = f"{usage.confidence:.0%} confidence"
    at_least = f"at least {math.floor(100 * usage.at_least)}%"
    alike = "if its members score as the known ones do"
    if usage.share is not None and not found:
        return (
            f"No more than {usage.share.high:.0%} of P were trained on ({level}), {alike}; that any were was "
            "not found."
        )
    if usage.share is not None:
        return (
            f"About {usage.share.estimate:.0%} of P were trained on ({_between(usage.share)}, {level}), "
            f"{alike}; {at_least} in any case."
        )
    return {
        "at_least": f"{at_least.capitalize()} of P were trained on ({level}).",
        "cannot_tell": "How much of P was trained on cannot be told from these scores.",
        "not_testable": "How much of P was trained on cannot be told: P and U differ without the model.",
        "known_differ": (
            "How much of P was trained on cannot be told by the known members, which differ from U without "
            f"the model; {at_least} without them ({level})."
        ),
        "no_mixture": (
            "How much of P was trained on cannot be told by the known members: P scores like no mixture of "
            f"them and U; {at_least} without them ({level})."
        ),
    }[usage.status]


def _between(share: Interval) -> str:
    return f"{share.low:.0%} to {share.high:.0%}"

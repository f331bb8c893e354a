"""How private was the training, at most?  A lower bound on epsilon from a single run.

m canaries were put into the training set, each by its own fair coin. A score, higher = more likely a member,
guesses "in" for the r/2 canaries that score highest and "out" for the r/2 that score lowest, and says nothing
of the others; v guesses are right. Under (epsilon, delta)-differential privacy, with
B ~ Bin(r, e^eps / (1 + e^eps)),

  P(v or more right) <= p(eps) = P(B >= v) + 2 m delta max_{1 <= i <= v} P(v - i <= B < v) / i           (1)
  eps_L = sup{eps: p(eps) <= alpha}                                                                      (2)

Neither r nor the score may depend on the canaries that are guessed: both are chosen on a random half of them,
where they would give the largest bound, and (1) is asked of the other half. What is bounded is the training
procedure, of which the score is a post-processing: no score that is a function of the model alone can be too
good.

(1) needs coins. Canaries of which exactly half are in are dependent, and their guesses too. Nor is the ratio
of true to false positives over the canaries of one run a bound on e^eps: they are no independent runs.

Source: Steinke, Nasr, Jagielski, NeurIPS 2023, theorem 5.2.

Axes: m canaries.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy import optimize, special

from jaxaudit.errors import InputError
from jaxaudit.results import PrivacyBound
from jaxaudit.stats.inputs import check_enough, check_finite, check_fraction

FEWEST_CANARIES = 20
"""With which a bound is given."""
_SHARES = (0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0)  # r / m that are tried; few canaries are half in, half out


def one_run_epsilon(
    scores: Real[np.ndarray, " m"] | Mapping[str, Real[np.ndarray, " m"]],
    included: Bool[np.ndarray, " m"] | Real[np.ndarray, " m"],
    *,
    delta: float = 1e-5,
    confidence: float = 0.95,
    seed: int = 0,
) -> PrivacyBound:
    """The lower bound (2) on the epsilon of a training run that flipped a coin for every canary.

    Args:
      scores: [m] of the canaries, higher = more likely a member, by one that did not learn from the coins; or
        several by name, of which the one is taken that shows most on the tuning half.
      included: [m] what the coins said, True or 1 for in.
      delta: of the (epsilon, delta) in question, in [0, 1).
      confidence: with which the bound holds.
      seed: of the half on which the score and the number of guesses are chosen.

    Raises:
      InputError: if a score is NaN or infinite, a coin is neither True or 1 nor False or 0, the two do not
        fit, there are fewer than 20 canaries, all are in or all out, or `delta` or `confidence` is out of
        range.
    """
    check_fraction(confidence, "confidence")
    if not 0 <= delta < 1:
        raise InputError(f"delta={delta} is no probability that privacy fails with; it must be in [0, 1).")
    included = _coins(included)
    named = scores if isinstance(scores, Mapping) else {None: scores}
    vectors = {name: _checked(vector, included) for name, vector in named.items()}
    if not vectors:
        raise InputError("No score was given to guess by.")
    check_enough(included.size, FEWEST_CANARIES, "canaries")
    if included.all() or not included.any():
        raise InputError(
            f"All {included.size} canaries are {'in' if included.all() else 'out'}: no coin was flipped."
        )
    alpha = 1 - confidence
    order = np.random.default_rng(seed).permutation(included.size)
    tuning, guessed = np.array_split(order, [included.size // 2])

    tried = {}
    for name, vector in vectors.items():
        for share in _SHARES:
            pairs = _pairs(share, tuning.size)
            right = _right(vector[tuning], included[tuning], pairs)
            tried[name, share] = _bound(2 * pairs, right, tuning.size, delta, alpha)
    score, share = max(tried, key=lambda choice: tried[choice])
    pairs = _pairs(share, guessed.size)
    right = _right(vectors[score][guessed], included[guessed], pairs)
    return PrivacyBound(
        epsilon=_bound(2 * pairs, right, guessed.size, delta, alpha),
        delta=delta,
        confidence=confidence,
        guesses=2 * pairs,
        right=right,
        num_guessed=int(guessed.size),
        num_tuning=int(tuning.size),
        seed=seed,
        score=score,
        tuning={share: tried[score, share] for share in _SHARES},
        most=_bound(2 * pairs, 2 * pairs, guessed.size, delta, alpha),
    )


def one_run_p_value(epsilon: float, guesses: int, right: int, canaries: int, delta: float) -> float:
    """p of equation (1): how likely so many right guesses are, at most, under (epsilon, delta)-privacy.

    Args:
      epsilon: >= 0.
      guesses, right: r and v.
      canaries: m, guessed or not.
      delta: >= 0.
    """
    reached, *fewer = special.bdtrc(
        np.arange(right - 1, -2, -1, dtype=float), guesses, special.expit(epsilon)
    ).tolist()  # P(B > k) for k = right - 1, right - 2, ..., -1
    if delta == 0 or right == 0:
        return min(reached, 1.0)
    excess = (np.array(fewer) - reached) / np.arange(1, right + 1)
    return min(reached + 2 * canaries * delta * float(excess.max()), 1.0)


def _checked(scores: Real[np.ndarray, " m"], included: Bool[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    scores = np.asarray(scores, np.float64)
    check_finite(scores, "scores of canaries")
    if included.shape != scores.shape:
        raise InputError(f"{included.size} coins do not fit {scores.size} canaries.")
    return scores


def _coins(included: Bool[np.ndarray, " m"] | Real[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
    """As truth values: `~` of an integer is another integer."""
    coins = np.asarray(included)
    wrong = coins[(coins != 0) & (coins != 1)]
    if wrong.size:
        raise InputError(f"A coin must say True or False, or 1 or 0; one says {wrong[0]}.")
    return coins.astype(bool)


def _right(scores: Float[np.ndarray, " m"], included: Bool[np.ndarray, " m"], pairs: int) -> int:
    """Right guesses among the `pairs` highest ("in") and lowest ("out"); ties by place."""
    order = np.argsort(scores, kind="stable")
    return int(included[order[-pairs:]].sum() + (~included[order[:pairs]]).sum())


def _pairs(share: float, canaries: int) -> int:
    return max(int(share * canaries) // 2, 1)


def _bound(guesses: int, right: int, canaries: int, delta: float, alpha: float) -> float:
    """(2); p grows with epsilon, and its first term reaches alpha at the limit of Clopper and Pearson."""
    if right == 0:
        return 0.0
    largest = float(special.logit(special.betaincinv(right, guesses - right + 1, alpha)))

    def excess(epsilon: float) -> float:
        return one_run_p_value(epsilon, guesses, right, canaries, delta) - alpha

    if largest <= 0 or excess(0.0) > 0:
        return 0.0
    if delta == 0 or excess(largest) <= 0:
        return largest
    return float(optimize.root_scalar(excess, bracket=(0.0, largest), xtol=1e-9).root)

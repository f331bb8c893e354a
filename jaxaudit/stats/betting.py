"""Asking again with more pictures, the error still at most alpha: e-values that multiply.

Under the null an e-value is at least 0 and at most 1 on average, whatever was found before: what one unit
became that was bet against the null at fair odds. A p-value becomes one by a calibrator fixed beforehand,

  e(p) = integral of k p^(k-1) over k in (0, 1) = (1 - p + p ln p) / (p (ln p)²)
       = (exp(x) - 1 - x) / x²,  x = -ln p                                                               (1)

which decreases and has integral 1 over (0, 1): E[e(p)] <= 1 for every valid p (Vovk and Wang, Annals of
Statistics 2021), also for (b + 1)/(B + 1) of permutations, which can bring no more than e(1/(B + 1)). If
every question is asked of new pictures, of P and of U, each p is valid whatever the earlier ones were, and
the wealth

  W_k = e(p_1) ... e(p_k)                                                                                (2)

is ever 1/alpha or more with probability at most alpha (Ville 1939). So an owner may look after every
question, ask again with more pictures and stop for any reason, and 1/max(W) is a p-value throughout. The
blocks of pictures of one test combine in the same way.

The price is power: one question alone rejects at alpha = 1% from p = 1.2e-4 (8,110 permutations at least), at
5% from p = 1.1e-3.

Axes: K questions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError
from jaxaudit.results import Question, SequentialEvidence
from jaxaudit.stats.inputs import check_fraction

_SERIES = 1e-3  # below this x (1) cancels, and its series is exact
_MOST_LOG = 700.0  # of the wealth, which stays a finite number


def calibrate(p_values: float | Float[np.ndarray, "*batch"]) -> float | Float[np.ndarray, "*batch"]:
    """The e-values (1) of p-values.

    Args:
      p_values: [...] in (0, 1], each valid by itself.

    Returns:
      [...] float64, from 1/2 at p = 1 up without bound; a number for a number.

    Raises:
      InputError: if a p-value is not in (0, 1]: no permutation test gives 0.
    """
    p = np.asarray(p_values, np.float64)
    if p.size == 0 or not np.all((p > 0) & (p <= 1)):
        raise InputError(f"p-values of shape {p.shape} must be one or more numbers above 0 and up to 1.")
    x = -np.log(p)
    small = x < _SERIES
    safe = np.where(small, 1.0, x)
    e = np.where(small, 1 / 2 + x / 6 + x**2 / 24, (np.expm1(safe) - safe) / safe**2)
    return float(e) if e.ndim == 0 else e


def ask_again(
    history: Sequence[Question], pictures: Sequence[str], p_value: float, *, plan: str = "", looks: str = ""
) -> tuple[Question, ...]:
    """The history with one more question.

    Args:
      history: the questions so far, none for the first.
      pictures: fingerprints of all pictures that the p-value is of, those of P and those of U.
      p_value: valid, of a test fixed before these pictures were scored.
      plan: the fingerprint that the history begins with, of what was fixed beforehand.
      looks: see `Question`.

    Raises:
      InputError: if a picture was asked about before or comes twice, the p-value is not in (0, 1], or the
        history is not that of this plan.
    """
    check_history(history, plan=plan)
    pictures = tuple(sorted(pictures))
    before = history[-1].fingerprint if history else plan
    question = Question(
        pictures=pictures,
        p_value=float(p_value),
        e_value=float(calibrate(float(p_value))),
        fingerprint=_fingerprint(before, pictures, float(p_value), looks),
        looks=looks,
    )
    asked = (*history, question)
    _check_new(asked)
    return asked


def combine_history(
    history: Sequence[Question], *, alpha: float = 0.01, plan: str = ""
) -> SequentialEvidence:
    """All questions as one test at level `alpha`, equation (2).

    Args:
      history: of `ask_again`.
      alpha: significance level of all questions together.
      plan: the fingerprint that the history begins with.

    Raises:
      InputError: if there is no question, two have a picture in common, or as `check_history`.
    """
    check_fraction(alpha, "alpha")
    if not history:
        raise InputError("Nothing was asked yet; there is nothing to combine.")
    check_history(history, plan=plan)
    wealth = np.exp(np.minimum(np.cumsum([math.log(one.e_value) for one in history]), _MOST_LOG))
    e_value = float(wealth.max())
    return SequentialEvidence(
        e_value=e_value,
        wealth=tuple(wealth.tolist()),
        p_value=min(1.0, 1 / e_value),
        rejected=e_value >= 1 / alpha,
        alpha=alpha,
        plan=plan,
        questions=tuple(history),
    )


def check_history(history: Sequence[Question], *, plan: str = "") -> None:
    """Whether the questions follow from the plan and from each other as they were asked.

    Raises:
      InputError: naming the first question that was changed, left out, added or reordered, or that shares a
        picture with another.
    """
    before = plan
    for number, one in enumerate(history, 1):
        expected = _fingerprint(before, one.pictures, one.p_value, one.looks)
        e_value = calibrate(one.p_value)  # its last bits are those of a processor
        if one.fingerprint != expected or not math.isclose(one.e_value, e_value, rel_tol=1e-9):
            raise InputError(
                f"Question {number} of {len(history)} does not follow from the plan {plan!r} and the "
                "questions before it: something was changed, left out or added."
            )
        before = one.fingerprint
    _check_new(history)


def _check_new(history: Sequence[Question]) -> None:
    seen: set[str] = set()
    for number, one in enumerate(history, 1):
        if not one.pictures:
            raise InputError(f"Question {number} has no pictures; every question needs new ones.")
        again = [picture for picture in one.pictures if picture in seen or seen.add(picture)]
        if again:
            raise InputError(
                f"{len(again)} pictures of question {number} were asked about before (first {again[0]!r}); "
                "the error stays at alpha only if every question is about new pictures, of P and of U."
            )


def _fingerprint(before: str, pictures: Sequence[str], p_value: float, looks: str) -> str:
    text = json.dumps([before, list(pictures), p_value, *([looks] if looks else [])])
    return hashlib.sha256(text.encode()).hexdigest()

"""How many images would sampling bring back?  From the probability of each, without drawing anything.

With p_z the probability that one try draws all of an image's tokens after its prefix (a product of the
sampler's law, teacher forced: `jaxaudit_kernels.sampling_law`), within n tries

  P(z comes back) = 1 - (1 - p_z)^n                                                                      (1)
  z is (n, p)-discoverable if (1) >= p;  its n = ceil(log(1 - p) / log(1 - p_z))                         (2)
  images expected back = sum_z (1)                                                                       (3)

An image counts as *extracted* if it is discoverable within the tries that are allowed and p_z is above that
of every held-out image, which the model cannot have memorised. None of m held-out images being so probable,
the share of unseen images that are is below 3/m, 95% confidence (the exact limit is 1 - 0.05^(1/m)).

p_z bounds what comes back from below: other tokens may decode to the same picture.

Source: Hayes et al., "Measuring memorization through probabilistic discoverable extraction", NAACL 2025
(arXiv 2410.19482).

Axes: n images trained on, m held out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from jaxaudit.errors import InputError
from jaxaudit.results import Regeneration
from jaxaudit.stats.inputs import check_enough, check_fraction

TRIES = tuple(10**power for power in range(7))
"""Numbers of tries for which images expected back are told, unless others are asked for."""


def regeneration(
    log_p: Float[np.ndarray, " n"],
    held_out_log_p: Float[np.ndarray, " m"],
    *,
    most_tries: int = 1_000_000,
    probability: float = 0.5,
    tries: tuple[int, ...] = TRIES,
    confidence: float = 0.95,
) -> Regeneration:
    """What sampling would bring back of images trained on, beside images held out.

    Args:
      log_p: [n] log p_z in nats, at most 0; -inf for what is never drawn.
      held_out_log_p: [m] the same of images the model has not seen.
      most_tries: within which an image must come back to count as extracted.
      probability: with which.
      tries: numbers of tries for (3).
      confidence: of the limit on unseen images.

    Raises:
      InputError: if a log-probability is NaN or above 0, a side is empty, or a number is out of range.
    """
    check_fraction(probability, "probability")
    check_fraction(confidence, "confidence")
    for count in (most_tries, *tries):
        check_enough(count, 1, "tries")
    log_p, held_out_log_p = (_checked(side) for side in (log_p, held_out_log_p))
    needed = tries_needed(log_p, probability=probability)
    extracted = discoverable(log_p, most_tries, probability) & (log_p > held_out_log_p.max())
    return Regeneration(
        extracted=int(extracted.sum()),
        discoverable=int(discoverable(log_p, most_tries, probability).sum()),
        held_out_discoverable=int(discoverable(held_out_log_p, most_tries, probability).sum()),
        held_out_limit=1 - (1 - confidence) ** (1 / held_out_log_p.size),
        fewest_tries=float(needed.min()) if np.isfinite(needed.min()) else None,
        expected={count: float(come_back(log_p, count).sum()) for count in tries},
        held_out_expected={count: float(come_back(held_out_log_p, count).sum()) for count in tries},
        most_tries=most_tries,
        probability=probability,
        confidence=confidence,
        num_images=log_p.size,
        num_held_out=held_out_log_p.size,
    )


def come_back(log_p: Float[np.ndarray, " n"], tries: int) -> Float[np.ndarray, " n"]:
    """(1), accurate however small p_z is."""
    with np.errstate(divide="ignore"):
        return -np.expm1(tries * _log_failure(log_p))


def tries_needed(log_p: Float[np.ndarray, " n"], *, probability: float = 0.5) -> Float[np.ndarray, " n"]:
    """n of (2) as a float, at least 1; infinite for what is never drawn, or too rarely for a double."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.maximum(np.ceil(np.log1p(-probability) / _log_failure(log_p)), 1)


def discoverable(log_p: Float[np.ndarray, " n"], tries: int, probability: float) -> Bool[np.ndarray, " n"]:
    """Which images are (n, p)-discoverable, (2)."""
    return tries_needed(log_p, probability=probability) <= tries


def _log_failure(log_p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """log(1 - p_z), of p_z = 1 -inf."""
    return np.log1p(-np.exp(log_p))


def _checked(log_p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    log_p = np.asarray(log_p, np.float64)
    check_enough(log_p.size, 1, "images")
    if np.isnan(log_p).any() or (log_p > 1e-6).any():
        raise InputError(f"{np.nanmax(log_p):g} is no log-probability; these are at most 0.")
    return np.minimum(log_p, 0.0)

"""How private a training with Gaussian noise is: the epsilon that a bound from a run may not exceed.

A step sums what is sampled of the records, each one's part clipped to norm C, and adds noise
N(0, s^2 C^2 I); s is the noise multiplier. Under addition or removal of a record,

  delta(eps) = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu),  mu^2 = sum over steps of 1/s^2           (1)

exactly, if every step takes all records. If each record enters a step by its own coin of probability q, a
step has at order a = 2, 3, ... the Renyi divergence R(a), and with T steps

  (a - 1) R(a) = log sum_{k=0}^{a} C(a,k) (1-q)^(a-k) q^k exp(k (k - 1) / (2 s^2))                       (2)
  eps <= min_a T R(a) + log((a - 1) / a) - (log delta + log a) / (a - 1)                                 (3)

where several stages add up. (2) does not hold of batches that are cut from a shuffled list.

Sources: Balle, Wang, ICML 2018, theorem 8, and Dong, Roth, Su 2019 (arXiv 1905.02383), corollary 3.3, for
(1); Mironov, Talwar, Zhang 2019 (arXiv 1908.10530), section 3.3, for (2); Canonne, Kamath, Steinke 2020
(arXiv 2004.00010), proposition 12, for (3).

Axes: A orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from jaxaudit.errors import InputError
from jaxaudit.results import NoisyStage
from jaxaudit.stats.inputs import check_fraction

_ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 768, 1024)


def training_epsilon(stages: Sequence[NoisyStage], *, delta: float) -> float:
    """The epsilon at `delta` of stages of training, one after the other on the same records.

    Exact by (1) where no stage samples, else the upper bound (3).

    Args:
      stages: at least one.
      delta: in (0, 1).

    Raises:
      InputError: if `delta`, a noise multiplier, a sampling rate or a number of steps is out of range.
    """
    check_fraction(delta, "delta")
    if not stages:
        raise InputError("A training without a stage has no epsilon.")
    for stage in stages:
        _check_stage(stage)
    if all(stage.sampling_rate == 1 for stage in stages):
        return gaussian_epsilon(
            math.sqrt(sum(stage.steps / stage.noise_multiplier**2 for stage in stages)), delta=delta
        )
    orders = np.array(_ORDERS, np.float64)
    divergence = np.sum([stage.steps * renyi_divergences(stage) for stage in stages], axis=0)
    bounds = divergence + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(float(bounds.min()), 0.0)


def gaussian_epsilon(mu: float, *, delta: float) -> float:
    """The smallest epsilon of (1), for N(0, 1) against N(mu, 1).

    Raises:
      InputError: if `mu` is not positive or `delta` not in (0, 1).
    """
    check_fraction(delta, "delta")
    if not 0 < mu < math.inf:
        raise InputError(f"mu={mu} is no positive number.")

    def excess(epsilon: float) -> float:  # of log delta(eps), which falls
        gained, paid = special.log_ndtr([mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu])
        return gained + math.log(-math.expm1(min(epsilon + paid - gained, -1e-300))) - math.log(delta)

    if 2 * special.ndtr(mu / 2) - 1 <= delta:
        return 0.0
    largest = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta))  # Phi(-x) <= e^(-x^2/2)
    return float(optimize.root_scalar(excess, bracket=(0.0, largest), xtol=1e-12).root)


def renyi_divergences(stage: NoisyStage) -> Float[np.ndarray, " A"]:
    """[A] R(a) of a step, (2), at the orders that (3) tries."""
    q, s = stage.sampling_rate, stage.noise_multiplier
    found = []
    for order in _ORDERS:
        k = np.arange(order + 1)
        ways = special.gammaln(order + 1) - special.gammaln(k + 1) - special.gammaln(order - k + 1)
        terms = ways + special.xlog1py(order - k, -q) + special.xlogy(k, q) + k * (k - 1) / (2 * s**2)
        found.append(special.logsumexp(terms) / (order - 1))
    return np.array(found)


def _check_stage(stage: NoisyStage) -> None:
    if not 0 < stage.noise_multiplier < math.inf:
        raise InputError(f"noise_multiplier={stage.noise_multiplier} is no positive number.")
    if not 0 < stage.sampling_rate <= 1:
        raise InputError(f"sampling_rate={stage.sampling_rate} is no probability that something is sampled.")
    if stage.steps < 1:
        raise InputError(f"steps={stage.steps} is no number of steps.")

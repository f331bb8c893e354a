"""Dataset inference: was the set P, as a whole, in the training data?  U are images the model has not seen.

Each of the F membership scores is scaled to [0, 1] over P and U together and summed:
  s_i = sum_j (x_ij - min_j) / (max_j - min_j)                                                           (1)
and P's sums are compared with U's.

`DEFAULT`: one-sided Welch test and its permutation version; the p-value is the larger of the two.
(1) does not depend on which sample belongs to P, so the permutation is exact: an innocent model is accused
with probability at most alpha, whatever the distribution of the scores and the sizes of P and U. Samples
must be independent (near-duplicates within P make every p-value too small) and P and U must come from one
distribution (`blind_gate`).

`PUBLISHED`: NaN becomes 0, a constant score adds 0, P and U are equally many, and the Welch test is
two-sided beside a flag for the order of the means.
Source: Kowalczuk et al., ICML 2025, arXiv 2502.02514; Maini et al., ICLR 2021.

Axes: n samples of P, m samples of U, F scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError
from jaxaudit.protocols import DEFAULT, Protocol, get_protocol
from jaxaudit.results import DatasetInference
from jaxaudit.stats.inputs import check_features, check_fraction, feature_matrices
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.stats.welch import check_permutable, permutation_p_value, welch


def dataset_inference(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    *,
    protocol: Protocol | str = DEFAULT,
    alpha: float = 0.01,
    names: Sequence[str] | None = None,
    permutations: int = 9_999,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> DatasetInference:
    """Tests whether the samples of P score higher than those of U.

    Args:
      p_features: [n,F] scores of P, higher = more likely a member.
      u_features: [m,F] scores of U.
      protocol: the rules, or their name; `PUBLISHED` for the published test.
      alpha: significance level.
      names: of the F scores, for the errors and the record.
      permutations: random splits of the permutation test.
      confidence: of the intervals.
      seed: of the permutations.

    Raises:
      InputError: if a score is infinite, NaN or constant over P and U (named, with the first samples; a
        lenient protocol turns NaN and constants into 0, with a note), if shapes do not fit, or if there are
        too few samples or permutations for a p-value <= alpha to exist.
    """
    protocol = get_protocol(protocol)
    check_fraction(alpha, "alpha")
    p, u, names, notes = prepare(p_features, u_features, names, protocol)
    if not protocol.two_sided:
        check_permutable(len(p), len(u), alpha, permutations)
    p_scores, u_scores = summed_scores(p, u)
    test = welch(p_scores, u_scores, confidence=confidence)
    if protocol.two_sided:
        permuted, p_value = None, test.p_value_two_sided
    else:
        permuted = permutation_p_value(p_scores, u_scores, permutations=permutations, seed=seed)
        p_value = max(test.p_value, permuted)
    return DatasetInference(
        protocol=protocol.name,
        alpha=alpha,
        rejected=p_value <= alpha and test.t > 0,
        p_value=p_value,
        welch=test,
        permutation_p_value=permuted,
        permutations=permutations if permuted is not None else None,
        is_correct_order=test.t > 0,
        num_p=len(p),
        num_u=len(u),
        names=names,
        confidence=confidence,
        seed=seed if permuted is not None else None,
        notes=notes,
    )


def summed_scores(
    p: Float[np.ndarray, "n F"], u: Float[np.ndarray, "m F"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Equation (1): the sums [n] and [m], between 0 and F; a score constant over P and U adds 0."""
    low = np.minimum(p.min(axis=0), u.min(axis=0))
    span = np.maximum(p.max(axis=0), u.max(axis=0)) - low
    span[span == 0] = 1.0
    return ((p - low) / span).sum(axis=1), ((u - low) / span).sum(axis=1)


def prepare(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    names: Sequence[str] | None,
    protocol: Protocol,
) -> tuple[Float[np.ndarray, "n F"], Float[np.ndarray, "m F"], tuple[str, ...], tuple[str, ...]]:
    """The features as float64 and as the protocol wants them, their names, and notes on what was changed.

    Raises:
      InputError: as `dataset_inference`, the number of samples for alpha aside.
    """
    p, u, names = feature_matrices(p_features, u_features, names)
    if protocol.equal_sizes and len(p) != len(u):
        raise InputError(f"The published test needs as many samples of P as of U; got {len(p)} and {len(u)}.")
    if not protocol.lenient:
        check_features(p, u, names)
        return p, u, names, ()
    pooled = np.concatenate([p, u])
    missing = np.isnan(pooled)
    pooled[missing] = 0.0
    p, u = pooled[: len(p)], pooled[len(p) :]
    check_features(p, u, names, allow_constant=True)
    notes = [
        f"Score {names[j]!r}: {missing[:, j].sum()} NaN replaced by 0, as published."
        for j in np.nonzero(missing.any(axis=0))[0]
    ]
    notes += [
        f"Score {names[j]!r} is constant and adds 0, as published."
        for j in np.nonzero(np.ptp(pooled, axis=0) == 0)[0]
    ]
    return p, u, names, tuple(notes)

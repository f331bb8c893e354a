"""The metrics of the published membership tables, number for number.

The published code works on scores s with lower = member (ours, negated) and turns them with
  M = max over both classes of s (1e-6 if that is 0),   z = 1 - s / M                          (1)
Its AUC is the area under the ROC curve of z, its accuracy the fraction with (z > 0.5) == member, and its
TPR@FPR=f a corner of the ROC curve, points inside straight runs being dropped before: the last with FPR <= f
(autoregressive models) or the first with FPR >= f (CDI: beyond the limit unless it is hit exactly).

Faults kept here and absent from `jaxaudit.stats.roc`: (1) reverses the ranking when every s is negative, 0.5
is no particular threshold, and reading at a corner gives away the TPR of the points dropped after it.

Sources: Kowalczuk et al., ICML 2025, arXiv 2502.02514; Dubiński et al., CVPR 2025, arXiv 2411.12858.

Axes: n members and n nonmembers, C corners of the ROC curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxaudit.errors import InputError, unknown_name

_SOURCES = ("iar", "cdi")


@dataclasses.dataclass(frozen=True)
class PublishedMetrics:
    """The published numbers of one score: TPR by FPR limit, AUC, and accuracy at 0.5, all in [0, 1]."""

    tpr_at_fpr: dict[float, float]
    auc: float
    accuracy: float


def published_metrics(
    members: Float[np.ndarray, " n"],
    nonmembers: Float[np.ndarray, " n"],
    fprs: Sequence[float] = (0.01,),
    *,
    members_lower: bool = True,
    source: str = "iar",
) -> PublishedMetrics:
    """What the published code prints for a score.

    Args:
      members: [n] scores, higher = more likely a member; their dtype is kept, it decides ties after (1).
      nonmembers: [n] scores.
      fprs: false-positive rate limits.
      members_lower: whether the published code stored the score negated; if not, z = s / M.
      source: "iar" or "cdi", where the TPR is read.

    Raises:
      InputError: if there are not as many members as nonmembers, or `source` is unknown.
    """
    members, nonmembers = np.asarray(members), np.asarray(nonmembers)
    if members.shape != nonmembers.shape or members.ndim != 1 or members.size == 0:
        raise InputError(
            "The published metrics need as many members as nonmembers; "
            f"got {members.shape} and {nonmembers.shape}."
        )
    if source not in _SOURCES:
        raise unknown_name("source", source, _SOURCES)
    z = np.concatenate([members, nonmembers])
    if members_lower:
        z = -z
    z = z / (z.max() or 1e-6)
    if members_lower:
        z = 1 - z
    is_member = np.arange(z.size) < members.size
    fpr, tpr = _corners(z, is_member)
    at = {f: np.sum(fpr <= f) - 1 if source == "iar" else np.sum(fpr < f) for f in fprs}
    return PublishedMetrics(
        tpr_at_fpr={f: float(tpr[corner]) for f, corner in at.items()},
        auc=float(np.trapezoid(tpr, fpr)),
        accuracy=float(np.mean((z > 0.5) == is_member)),
    )


def _corners(
    z: Float[np.ndarray, " N"], is_member: Bool[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """FPR and TPR at every distinct value of z, from (0, 0), without the points on straight runs."""
    order = np.argsort(-z, kind="stable")
    last_of_value = np.append(np.nonzero(np.diff(z[order]))[0], z.size - 1)
    tp = np.cumsum(is_member[order])[last_of_value]
    fp = last_of_value + 1 - tp
    if tp.size > 2:
        bend = (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)
        corner = np.concatenate([[True], bend, [True]])
        tp, fp = tp[corner], fp[corner]
    return np.append(0, fp) / fp[-1], np.append(0, tp) / tp[-1]

"""The tables of an audit, one row per quantity; terminal and page show the same.

To report another statistic: compute it (`jaxaudit.stats`), give it a field (`jaxaudit.results`), add a row.
"""

from __future__ import annotations

import dataclasses

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row
from jaxaudit.results import (
    AuditResults,
    DatasetInference,
    Identification,
    MembershipInference,
    PowerCurve,
    PublishedScoreMetrics,
    ScoreMetrics,
)

Metrics = ScoreMetrics | PublishedScoreMetrics


def score_rows(membership: MembershipInference) -> list[Row[Metrics]]:
    """What is said of each score, rates that could not be reported included."""

    def tpr(fpr: float) -> Row[Metrics]:
        return Row(
            wording.tpr_label(fpr), lambda metrics: formats.spread(metrics.tpr_at_fpr[fpr], formats.percent)
        )

    return [
        *(tpr(fpr) for fpr in wording.reported_fprs(membership)),
        *(
            Row(wording.tpr_label(omitted.fpr), lambda _: "too few nonmembers")
            for omitted in membership.omitted_fprs
        ),
        Row("AUC", lambda metrics: formats.spread(metrics.auc, formats.area)),
        Row("balanced accuracy", lambda metrics: formats.spread(metrics.balanced_accuracy, formats.percent)),
    ]


@dataclasses.dataclass(frozen=True)
class Inference:
    """Dataset inference in one view: the test, and how its power grows."""

    view: str
    test: DatasetInference | Identification
    curve: PowerCurve | None


def inferences(results: AuditResults) -> list[Inference]:
    """Those of all views; none if the sets could not be tested."""
    curves = results.power_curves or {}
    return [
        Inference(view, test, curves.get(view)) for view, test in (results.dataset_inference or {}).items()
    ]


def _permuted(one: Inference) -> bool:
    return one.test.permutation_p_value is not None


def _of_learned(one: Inference) -> Identification | None:
    return one.test if isinstance(one.test, Identification) else None


INFERENCE_ROWS: tuple[Row[Inference], ...] = (
    Row("p-value", lambda one: formats.p_value(one.test.p_value)),
    Row(
        lambda one: f"significant at α = {one.test.alpha:g}",
        lambda one: "yes" if one.test.rejected else "no",
    ),
    Row(
        "by Welch's test",
        lambda one: formats.p_value(one.test.welch.p_value) if _permuted(one) else None,
    ),
    Row(
        lambda one: f"by {formats.count(one.test.permutations or 0)} permutations",
        lambda one: None if (p := one.test.permutation_p_value) is None else formats.p_value(p),
    ),
    Row("effect size g", lambda one: formats.spread(one.test.welch.hedges_g, formats.effect)),
    Row(
        "images of P, of U",
        lambda one: f"{formats.count(one.test.num_p)}, {formats.count(one.test.num_u)}",
    ),
    Row(
        "held out for the test",
        lambda one: (
            f"{formats.count(test.num_test_p)}, {formats.count(test.num_test_u)}"
            if (test := _of_learned(one))
            else None
        ),
    ),
    Row(
        "AUC of the scorer",
        lambda one: formats.spread(test.auc, formats.area) if (test := _of_learned(one)) else None,
    ),
    Row(
        lambda one: "features" if _of_learned(one) else "scores summed",
        lambda one: formats.count(len(one.test.names)),
    ),
    Row("images needed", lambda one: one.curve and wording.required_size(one.curve)),
)
"""What is said of the test in each view."""

"""Several audits side by side: a line per target, in a terminal, in LaTeX and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, csv_table, flat, latex_table, read, terminal_table, turned
from jaxaudit.results import AuditResults, Interval, MeanStd, Record, RequiredSize

_FPR = 0.01


class ComparedTarget(Record, frozen=True):
    """One audited target; its fields are the columns of comparison.csv.

    Attributes:
      target: its name. family: its model family.
      num_params: parameters of generator and tokenizer.
      gflop: 10⁹ floating-point operations per scored image, None if not recorded.
      baseline: name of the best score given the class where the attack rests on another view; else of the
        unified Loss attack. best: of all scores.
      baseline_tpr, best_tpr: TPR at 1% FPR; None with too few nonmembers.
      auc: of the best score.
      needed: images for dataset inference to reject; None if not testable.
      status: of the verdict.
    """

    target: str
    family: str
    num_params: int
    gflop: float | None
    baseline: str
    baseline_tpr: Interval | MeanStd | None
    best: str
    best_tpr: Interval | MeanStd | None
    auc: Interval | MeanStd
    needed: RequiredSize | None
    status: str


def compared(results: AuditResults) -> ComparedTarget:
    """What one audit adds to the comparison."""
    membership, curves = results.membership, results.power_curves
    best, baseline = membership.selected, _baseline(results)
    return ComparedTarget(
        target=Path(results.target.name).name,
        family=results.target.family,
        num_params=results.target.num_params,
        gflop=results.collected.gflop_per_image,
        baseline=baseline,
        baseline_tpr=membership.per_score[baseline].tpr_at_fpr.get(_FPR),
        best=best,
        best_tpr=membership.per_score[best].tpr_at_fpr.get(_FPR),
        auc=membership.per_score[best].auc,
        needed=curves[results.main_view].required if curves else None,
        status=results.finding.status,
    )


def _baseline(results: AuditResults) -> str:
    membership = results.membership
    if results.main_view != "cond" and "cond" in membership.groups:
        return membership.groups["cond"]
    loss = [name for name in membership.per_score if name.endswith("unified_loss")]
    return loss[0] if loss else membership.selected


def _tpr(tpr: Interval | MeanStd | None) -> str:
    return "too few nonmembers" if tpr is None else formats.spread(tpr, formats.percent)


def _needed(needed: RequiredSize | None) -> str:
    if needed is None:
        return "not testable"
    if needed.estimate is None:
        return "more than there are"
    if needed.low is None:
        return formats.count(needed.estimate)
    high = "more" if needed.high is None else formats.count(needed.high)
    return f"{formats.count(needed.estimate)} ({formats.count(needed.low)} to {high})"


ROWS: tuple[Row[ComparedTarget], ...] = (
    Row("target", lambda one: one.target),
    Row("parameters", lambda one: formats.count(one.num_params)),
    Row("GFLOP / image", lambda one: "" if one.gflop is None else f"{one.gflop:.3g}"),
    Row("baseline", lambda one: one.baseline),
    Row("TPR at 1% FPR", lambda one: _tpr(one.baseline_tpr)),
    Row("best score", lambda one: one.best),
    Row("TPR at 1% FPR", lambda one: _tpr(one.best_tpr)),
    Row("AUC", lambda one: formats.spread(one.auc, formats.area)),
    Row("images needed", lambda one: _needed(one.needed)),
)
"""What is said of each target."""


def print_comparison(targets: Sequence[ComparedTarget], console: Console) -> None:
    """The comparison in a terminal, a block of lines per target."""
    heading, *lines = ([label, *texts] for label, texts in read(ROWS, targets))
    console.print(terminal_table("Leakage by target", ["", *heading[1:]], lines))


def comparison_csv(targets: Sequence[ComparedTarget]) -> str:
    """One line per target; an interval is three columns."""
    return csv_table([flat(one) for one in targets])


def comparison_latex(targets: Sequence[ComparedTarget]) -> str:
    """A booktabs table, one line per target."""
    return latex_table(*turned(read(ROWS, targets)))

"""What mitigations cost and what they buy, a line per change: terminal, page and CSV."""

from __future__ import annotations

from rich.console import Console

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, csv_table, flat, read, shortened, terminal_table, turned
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import ChangedTarget, ChangeFacts, MitigationResults, RequiredSize

WORDS = {
    "none": "unchanged",
    "unit_mem": "units by UnitMem",
    "activation": "units by activation",
    "random": "random units",
    "noise": "output noise",
}
"""The kinds of change."""


def change_name(change: ChangeFacts) -> str:
    """ "5% units by UnitMem × 0.5"."""
    if change.kind == "none":
        return WORDS["none"]
    seed = f", seed {change.seed}" if change.kind in ("random", "noise") else ""
    if change.kind == "noise":
        return f"output noise {strength(change)}{seed}"
    return f"{strength(change)} {WORDS[change.kind]} × {change.factor:g}{seed}"


def strength(change: ChangeFacts) -> str:
    """ "5%" of the units, or "σ 0.5"."""
    return f"σ {change.strength:g}" if change.kind == "noise" else formats.level(change.strength)


def _three(value: float) -> str:
    return formats.decimal(value, 3)


def _extracted(one: ChangedTarget) -> str:
    return f"{formats.count(one.measured.extracted)} of {formats.count(one.measured.completed)}"


def _passed(one: ChangedTarget) -> str:
    passed = one.measured.false_positives
    return f"{formats.count(passed.count)} of {formats.count(passed.trials)}"


def _needed(needed: RequiredSize | None) -> str:
    if needed is None:
        return "not testable"
    return "more than there are" if needed.estimate is None else formats.count(needed.estimate)


ROWS: tuple[Row[ChangedTarget], ...] = (
    Row("change", lambda one: change_name(one.change), lambda one: change_name(one.change)),
    Row(
        "TPR at 1% FPR",
        lambda one: (
            "too few nonmembers"
            if one.measured.tpr is None
            else formats.spread(one.measured.tpr, formats.percent)
        ),
        lambda one: "" if one.measured.tpr is None else formats.percent(one.measured.tpr.estimate),
    ),
    Row("AUC", lambda one: formats.spread(one.measured.auc, formats.area)),
    Row(
        "images needed",
        lambda one: _needed(one.measured.needed),
        lambda one: _needed(one.measured.needed),
    ),
    Row("extracted", _extracted, _extracted),
    Row("false positives", _passed),
    Row(
        "held-out loss",
        lambda one: formats.spread(one.measured.heldout_loss, _three),
        lambda one: _three(one.measured.heldout_loss.estimate),
    ),
    Row(
        "Fréchet",
        lambda one: (
            "too few images" if one.measured.frechet is None else formats.spread(one.measured.frechet, _three)
        ),
        lambda one: "" if one.measured.frechet is None else _three(one.measured.frechet.estimate),
    ),
)
"""What is said of the target after each change."""


def print_mitigation(results: MitigationResults, console: Console) -> None:
    """The main numbers in a terminal, without their intervals."""
    heading, lines = turned(read(shortened(ROWS), results.records))
    caption = "Intervals are in the report and in mitigation.csv."
    console.print(terminal_table(None, heading, lines, caption=caption))
    print_skipped(results.skipped, console)


def mitigation_csv(results: MitigationResults) -> str:
    """One line per change; an interval is three columns."""
    return csv_table([flat(one.change) | flat(one.measured) for one in results.records])

"""Where memorisation sits, in a few facts and a line per unit, for page and terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, shortened, terminal_table, turned
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import Localization, LocalizationResults
from jaxaudit.results.localization import Control, TopUnit

_SHOWN = 5  # units in a terminal


def facts(found: Localization) -> list[tuple[str, str]]:
    """(what, in words) of the main numbers."""
    total = sum(found.widths) * len(found.stages)
    facts = [
        ("units", f"{formats.count(total)}, measured on {formats.count(found.num_pictures)} pictures"),
        (
            f"top {formats.level(found.top)}",
            f"UnitMem of {formats.decimal(found.threshold, 3)} or more, "
            f"fired by {formats.count(found.num_firing)} pictures",
        ),
    ]
    facts += [
        (what, f"{formats.percent(share)} of all units: {why}")
        for what, share, why in (
            (
                "shared ones",
                found.shared,
                "several pictures fire them alike, so they single none out and are no top units",
            ),
            (
                "faint ones",
                found.faint,
                "they hardly fire at all, so UnitMem, a ratio, is held down where rounding would decide it",
            ),
        )
        if share
    ]
    if found.control:
        facts.append(("control", _control(found.control)))
    return facts


def _control(control: Control) -> str:
    return (
        f"with {formats.count(control.num_nonmembers)} unseen pictures in the pool, "
        f"{formats.count(control.num_firing)} pictures fire a top unit, and {formats.percent(control.share)} "
        f"of them are training pictures (by chance {formats.percent(control.chance)}; "
        f"95% of random deals {formats.percent(control.low)} to {formats.percent(control.high)}; "
        f"{formats.p_equals(control.p_value)})"
    )


def _place(unit: TopUnit) -> str:
    stage = "" if unit.stage == "all tokens" else f"{unit.stage}, "
    return f"{stage}{unit.layer}, unit {unit.unit}"


def _unit_mem(unit: TopUnit) -> str:
    return formats.decimal(unit.unit_mem, 3)


UNIT_ROWS: tuple[Row[TopUnit], ...] = (
    Row("unit", _place, _place),
    Row("UnitMem", _unit_mem, _unit_mem),
    Row("ClassMem", lambda unit: None if unit.class_mem is None else formats.decimal(unit.class_mem, 3)),
    Row("on it", lambda unit: f"{unit.maximum:.3g}"),
    Row("on others", lambda unit: f"{unit.rest:.3g}"),
    Row("fired by", lambda unit: unit.picture, lambda unit: unit.picture),
    Row("class", lambda unit: str(unit.label), lambda unit: str(unit.label)),
)
"""What is said of each of the highest units."""


def print_localization(results: LocalizationResults, console: Console) -> None:
    """The main numbers in a terminal."""
    found = results.localization
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    for label, text in facts(found):
        grid.add_row(label, Text(text))
    console.print(grid)
    heading, lines = turned(read(shortened(UNIT_ROWS), found.top_units[:_SHOWN]))
    console.print(terminal_table(None, heading, lines))
    print_skipped(results.skipped, console)

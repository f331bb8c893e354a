"""What defences cost and leave, a line per defence and strength: terminal, page and CSV."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, csv_table, flat, read, shortened, terminal_table, turned
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import DefencePoint, DefenceResults

WORDS = {
    "undefended": "undefended",
    "fresh_noise": "fresh noise",
    "keyed_noise": "keyed noise",
    "unit_mem": "units by UnitMem",
    "gradient": "units by gradient",
    "random": "random units",
}
"""The kinds of defence; variants have names of their own."""
_NOISES = ("fresh_noise", "keyed_noise")


def family(point: DefencePoint) -> str:
    """What a defence is called."""
    return WORDS.get(point.kind, point.name)


def strength(point: DefencePoint) -> str:
    """ "σ 1", "20%", or a variant's strength; "" for the undefended target."""
    if point.kind in _NOISES:
        return f"σ {point.strength:g}"
    if point.kind == "undefended":
        return ""
    return f"{point.strength:g}" if point.kind == "variant" else formats.level(point.strength)


def called(point: DefencePoint) -> str:
    """ "random units, 20%"."""
    return ", ".join(filter(None, [family(point), strength(point)]))


def headline(results: DefenceResults) -> str:
    """What was found, in a line."""
    found = [point for point in results.points if point.effect == "protects"]
    if not found:
        return "No defence protects against an attacker who knows it"
    names = list(dict.fromkeys(family(point) for point in found))
    return f"What still protects against an attacker who knows it: {', '.join(names)}"


def sentence(results: DefenceResults) -> str:
    """The finding, to quote."""
    before, *others = results.points
    fooled = list(dict.fromkeys(family(point) for point in others if point.effect == "none"))
    text = (
        f"Without a defence an attacker finds {_rate(before, 'A2')} of the members of {results.target.name} "
        f"at 1% false positives, at a held-out loss of {_three(before.heldout_loss.estimate)}."
    )
    if fooled:
        text += (
            f" Against the attacker who was fixed beforehand {', '.join(fooled)} seemed to help; whoever "
            "knows the defence is not shown to find fewer than before."
        )
    best = [point for point in others if point.frontier]
    if best:
        names = ", ".join(
            f"{called(point)} ({formats.percent(point.tpr['A2'].estimate)} at "
            f"{_three(point.heldout_loss.estimate)})"
            for point in best
        )
        text += f" Nothing is better in both than {names}."
    return text


def _three(value: float) -> str:
    return formats.decimal(value, 3)


def _rate(point: DefencePoint, level: str) -> str:
    return formats.spread(point.tpr[level], formats.percent)


def _needed(count: int | None) -> str:
    return "more than there are" if count is None else formats.count(count)


def _baseline(value: float | None) -> str:
    return "" if value is None else formats.percent(value)


def _effect(point: DefencePoint) -> str:
    return point.effect or ""


ROWS: tuple[Row[DefencePoint], ...] = (
    Row("defence", lambda point: called(point), lambda point: called(point)),
    Row(
        "held-out loss",
        lambda point: formats.spread(point.heldout_loss, _three),
        lambda point: _three(point.heldout_loss.estimate),
    ),
    Row(
        "Fréchet",
        lambda point: "too few" if point.frechet is None else formats.spread(point.frechet, _three),
        lambda point: "" if point.frechet is None else _three(point.frechet.estimate),
    ),
    Row(
        "diversity",
        lambda point: formats.spread(point.diversity, lambda value: formats.decimal(value, 2)),
        lambda point: formats.decimal(point.diversity.estimate, 2),
    ),
    *(
        Row(
            f"TPR, {level}",
            lambda point, level=level: _rate(point, level),
            lambda point, level=level: formats.percent(point.tpr[level].estimate),
        )
        for level in ("A0", "A1", "A2")
    ),
    Row(
        "extracted, A0 → A2",
        lambda point: (
            f"{formats.spread(point.extracted['A0'], formats.percent)} → "
            f"{formats.spread(point.extracted['A2'], formats.percent)}"
            if point.extracted
            else None
        ),
        lambda point: (
            f"{formats.percent(point.extracted['A0'].estimate)} → "
            f"{formats.percent(point.extracted['A2'].estimate)}"
            if point.extracted
            else ""
        ),
    ),
    Row("images for a verdict, A2", lambda point: _needed(point.needed["A2"])),
    Row("at least members, A2", lambda point: formats.percent(point.at_least["A2"])),
    Row("random units, no more loss", lambda point: _baseline(point.random_units)),
    Row("other training, no more loss", lambda point: _baseline(point.variants)),
    Row(
        "answers that undo it",
        lambda point: None if point.queries_back is None else formats.count(point.queries_back),
    ),
    Row(
        "frontier",
        lambda point: "yes" if point.frontier else "",
        lambda point: "yes" if point.frontier else "",
    ),
    Row("effect", _effect, _effect),
)
"""What is said of each defence and strength."""


def print_defences(results: DefenceResults, console: Console) -> None:
    """The finding, and the main numbers without their intervals."""
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(headline(results), style="bold"),
            title_align="left",
            border_style="cyan",
            padding=(1, 2),
        )
    )
    heading, lines = turned(read(shortened(ROWS), results.points))
    caption = "TPR at 1% FPR; intervals and all other numbers are in the report and in defences.csv."
    console.print(terminal_table(None, heading, lines, caption=caption))
    print_skipped(results.skipped, console)


def defences_csv(results: DefenceResults) -> str:
    """One line per defence and strength; an interval is three columns."""
    lines = []
    for point in results.points:
        line = {
            name: value for name, value in flat(point).items() if not name.startswith(("tpr_", "extracted_"))
        }
        for name in ("tpr", "extracted"):
            for level, interval in getattr(point, name).items():
                line |= flat(interval, prefix=f"{name}_{level}_")
        lines.append(line)
    return csv_table(lines)

"""What mitigations cost and what they buy: figure, table, CSV and page."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, bullets, code, definitions, element, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.wording import Results

_Record = Mapping[str, Any]
_WORDS = {
    "none": "unchanged",
    "unit_mem": "units by UnitMem",
    "activation": "units by activation",
    "random": "random units",
    "noise": "output noise",
}
_COLOURS = dict(zip(list(_WORDS)[1:], style.VIEW_COLOURS, strict=True))
_LEAKS = {"rate": "share of candidates extracted", "tpr": "TPR at 1% FPR"}
_QUALITIES = {"heldout_loss": "loss on held-out images", "frechet": "Fréchet distance of completions"}
_HEADER = (
    "change",
    "TPR at 1% FPR",
    "AUC",
    "images needed",
    "extracted",
    "false positives",
    "held-out loss",
    "Fréchet",
)
_CAPTION = (
    "Each point is the target after one change: how much it still leaks (up) against how good it still is "
    "(right is worse). Lines lead from the unchanged target through growing changes, bars are 95% intervals. "
    "A good mitigation goes straight down; one that merely breaks the model goes down and to the right, as "
    "random units do."
)
_SOURCES = (
    (
        "Scaling units by UnitMem",
        "Kasliwal, Boenisch, Dziedzic: Localizing and Mitigating Memorization in Image Autoregressive "
        "Models. 2025, arXiv 2509.00488",
    ),
    (
        "Output noise; the attacks",
        "Kowalczuk, Dubiński, Boenisch, Dziedzic: Privacy Attacks on Image AutoRegressive Models. ICML 2025, "
        "arXiv 2502.02514",
    ),
)


def write_mitigation(results: Results, directory: str | os.PathLike) -> list[Path]:
    """Writes mitigation.csv, figures/trade_off (PNG, SVG) and report.html; returns the files.

    Args:
      results: "target", "members", "nonmembers" and "records" (`jaxaudit.audits.mitigate.measure_changes`).
      directory: created if missing.
    """
    directory = Path(directory)
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    (directory / "mitigation.csv").write_text(mitigation_csv(results["records"]), encoding="utf-8")
    files = style.save(trade_off(results), directory / "figures", "trade_off")
    (directory / "report.html").write_text(render_mitigation(results), encoding="utf-8")
    return [directory / "mitigation.csv", *files, directory / "report.html"]


def print_mitigation(results: Results, console: Console) -> None:
    """The main numbers in a terminal, without their intervals."""
    shown = Table(
        *("change", "extracted", "TPR at 1% FPR", "images needed", "held-out loss", "Fréchet"),
        box=box.SIMPLE_HEAD,
        caption="Intervals are in the report and in mitigation.csv.",
        caption_justify="left",
    )
    for record in results["records"]:
        tpr, frechet = record["tpr"], record["frechet"]
        shown.add_row(
            _name(record["change"]),
            _cells(record)[4],
            "" if tpr is None else formats.percent(tpr["estimate"]),
            _needed(record["needed"]),
            _three(record["heldout_loss"]["estimate"]),
            "" if frechet is None else _three(frechet["estimate"]),
        )
    console.print(shown)


def mitigation_csv(records: Sequence[_Record]) -> str:
    """One line per change; intervals as three columns each."""
    flat = [_flat(record) for record in records]
    buffer = io.StringIO()
    names = dict.fromkeys(name for row in flat for name in row)
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def trade_off(results: Results) -> Figure:
    """Leakage (rows: extraction, membership) against loss of quality (columns), a point per change."""
    records = results["records"]
    qualities = [name for name in _QUALITIES if all(record[name] for record in records)]
    leaks = [name for name in _LEAKS if all(record[name] for record in records)]
    with style.house_style():
        width, height = 0.6 + 3.6 * len(qualities), 1.15 + 2.35 * len(leaks)
        figure = style.new_figure(width, height)
        panels = figure.subplots(len(leaks), len(qualities), squeeze=False, sharex="col", sharey="row")
        figure.subplots_adjust(
            left=0.75 / width,
            right=0.98,
            top=1 - 0.8 / height,
            bottom=0.48 / height,
            wspace=0.1,
            hspace=0.12,
        )
        for row, leak in zip(panels, leaks, strict=True):
            for axes, quality in zip(row, qualities, strict=True):
                _panel(axes, records, leak, quality, labelled=leak == leaks[0])
            row[0].set_ylabel(_LEAKS[leak])
        for axes, quality in zip(panels[-1], qualities, strict=True):
            axes.set_xlabel(f"{_QUALITIES[quality]} (right: worse)")
        style.title(figure, _title(records), "")
        left = 0.1
        for kind in dict.fromkeys(record["change"]["kind"] for record in records):
            figure.text(
                left / width,
                1 - 0.43 / height,
                _WORDS[kind],
                color=_COLOURS.get(kind, style.INK),
                fontsize=9,
                fontweight="bold",
                va="top",
            )
            left += 0.25 + 0.083 * len(_WORDS[kind])
    return figure


def _panel(axes: Axes, records: Sequence[_Record], leak: str, quality: str, *, labelled: bool) -> None:
    """Points with their intervals; a line leads from the unchanged target through growing strengths."""
    before = [record for record in records if record["change"]["kind"] == "none"]
    series = dict.fromkeys((record["change"]["kind"], record["change"]["seed"]) for record in records)
    first_seeds = dict(reversed(series))
    for kind, seed in series:
        own = [r for r in records if (r["change"]["kind"], r["change"]["seed"]) == (kind, seed)]
        path = [(r[quality]["estimate"], r[leak]["estimate"]) for r in before + own]
        colour = _COLOURS.get(kind, style.INK)
        axes.plot(*zip(*path, strict=True), color=colour, linewidth=0.9, alpha=0.6)
        for record in own:
            x, y = record[quality], record[leak]
            bar = {"color": colour, "alpha": 0.22, "linewidth": 2.5}
            axes.plot([x["low"], x["high"]], [y["estimate"]] * 2, **bar)
            axes.plot([x["estimate"]] * 2, [y["low"], y["high"]], **bar)
            place = (x["estimate"], y["estimate"])
            axes.plot(*place, "D" if kind == "none" else "o", color=colour, markersize=4.5)
            if labelled and kind != "none" and seed == first_seeds[kind]:
                text = _strength(record["change"])
                axes.annotate(text, place, (4, 4), textcoords="offset points", fontsize=7.5, color=colour)
    axes.set_ylim(-0.03, 1.06)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.level(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.12)
    style.quiet(axes, grid="both")


def _title(records: Sequence[_Record]) -> str:
    before = next(record for record in records if record["change"]["kind"] == "none")
    after = min(
        (r for r in records if r["change"]["kind"] != "none"), key=lambda r: r["extracted"], default=before
    )
    return (
        f"Extracted images: {formats.count(before['extracted'])} before, "
        f"{formats.count(after['extracted'])} after {_name(after['change'])}"
    )


def _strength(change: _Record) -> str:
    return f"σ {change['strength']:g}" if change["kind"] == "noise" else formats.level(change["strength"])


def _name(change: _Record) -> str:
    """ "5% units by UnitMem × 0.5"."""
    if change["kind"] == "none":
        return _WORDS["none"]
    seed = f", seed {change['seed']}" if change["kind"] in ("random", "noise") else ""
    if change["kind"] == "noise":
        return f"output noise {_strength(change)}{seed}"
    return f"{_strength(change)} {_WORDS[change['kind']]} × {change['factor']:g}{seed}"


def _cells(record: _Record) -> list[str]:
    passed, needed = record["false_positives"], record["needed"]
    return [
        _name(record["change"]),
        "too few nonmembers" if record["tpr"] is None else formats.spread(record["tpr"], formats.percent),
        formats.spread(record["auc"], formats.area),
        _needed(needed),
        f"{formats.count(record['extracted'])} of {formats.count(record['completed'])}",
        f"{formats.count(passed['count'])} of {formats.count(passed['trials'])}",
        formats.spread(record["heldout_loss"], _three),
        "too few images" if record["frechet"] is None else formats.spread(record["frechet"], _three),
    ]


def _three(value: float) -> str:
    return formats.decimal(value, 3)


def _needed(needed: _Record | None) -> str:
    if needed is None:
        return "not testable"
    return "more than there are" if needed["estimate"] is None else formats.count(needed["estimate"])


def _flat(record: _Record) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            prefix = "" if name == "change" else f"{name}_"
            flat |= {f"{prefix}{key}": item for key, item in value.items()}
        elif value is not None:
            flat[name] = value
    return flat


def render_mitigation(results: Results) -> str:
    """The page; `results` as in `write_mitigation`."""
    svg = style.to_svg(trade_off(results), "trade_off")
    heading = f"Mitigations of {results['target']['name']}"
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, mitigations"), element("h1", heading)),
        section(
            "finding",
            "What was found",
            paragraph("Every change starts from the same target, which is then attacked again."),
            inline_svg(svg, "trade_off", _CAPTION),
        ),
        section(
            "numbers", "All numbers", table(_HEADER, [_cells(r) for r in results["records"]], dense=True)
        ),
        _limits(),
        section(
            "measured",
            "How it was measured",
            definitions(
                [
                    ("Target", code(results["target"]["name"])),
                    ("Fingerprint of its weights", code(str(results["target"]["fingerprint"]))),
                    ("Members", code(results["members"])),
                    ("Nonmembers", code(results["nonmembers"])),
                    *_SOURCES,
                ]
            ),
        ),
    )
    return page(heading, body)


def _limits() -> Html:
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                "The attacks do not know that the target was changed. An attacker who does can adapt: noise "
                "that follows from the question cannot be averaged away by asking again, but it can be "
                "averaged over similar questions.",
                "Units were chosen on the same training images that the attacks try to find. That is what a "
                "model's owner can do, and what the mitigation is for.",
                "Lower leakage at a worse quality is no success by itself: compare with random units and "
                "with merely active ones.",
            ]
        ),
    )

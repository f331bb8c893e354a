"""Several audits side by side: one row per target, as table, CSV, LaTeX and figure."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.wording import Results

_FPR = "0.01"


@dataclasses.dataclass(frozen=True)
class Row:
    """One audited target.

    Attributes:
      target: its name. family: its model family.
      num_params: parameters of generator and tokenizer.
      gflop: 10⁹ floating-point operations per scored image, None if not recorded.
      baseline, best: names of the baseline, see `_baseline`, and of the best of all scores.
      baseline_tpr, best_tpr: TPR at 1% FPR, interval records; None with too few nonmembers.
      auc: of the best score, interval record.
      needed: images for dataset inference to reject, {"estimate", "low", "high"}; None if not testable.
      status: of the verdict.
    """

    target: str
    family: str
    num_params: int
    gflop: float | None
    baseline: str
    baseline_tpr: Mapping[str, float] | None
    best: str
    best_tpr: Mapping[str, float] | None
    auc: Mapping[str, float]
    needed: Mapping[str, Any] | None
    status: str


def comparison_row(results: Results) -> Row:
    """The row of one audit; `results` is what its `results.json` holds."""
    membership, target = results["membership"], results["request"]["target"]
    best = membership["selected"]
    baseline = _baseline(results)
    curves = results["power_curves"]
    return Row(
        target=Path(results["run"]["target"]).name,
        family=target["family"],
        num_params=target["num_params"],
        gflop=results["run"].get("gflop_per_image"),
        baseline=baseline,
        baseline_tpr=membership["per_score"][baseline]["tpr_at_fpr"].get(_FPR),
        best=best,
        best_tpr=membership["per_score"][best]["tpr_at_fpr"].get(_FPR),
        auc=membership["per_score"][best]["auc"],
        needed=curves[results["main_view"]]["required"] if curves else None,
        status=results["verdict"]["status"],
    )


def _baseline(results: Results) -> str:
    """The best score given the class where the attack rests on another view; else the unified Loss attack."""
    membership = results["membership"]
    if results["main_view"] != "cond" and "cond" in membership["groups"]:
        return membership["groups"]["cond"]
    loss = [name for name in membership["per_score"] if name.endswith("unified_loss")]
    return loss[0] if loss else membership["selected"]


_HEADER = (
    "target",
    "parameters",
    "GFLOP / image",
    "baseline",
    "TPR at 1% FPR",
    "best score",
    "TPR at 1% FPR",
    "AUC",
    "images needed",
)


def print_comparison(rows: Sequence[Row], console: Console) -> None:
    """The comparison in a terminal, a block of lines per target."""
    table = Table(box=box.SIMPLE_HEAD, title="Leakage by target", title_justify="left")
    table.add_column("")
    for row in rows:
        table.add_column(row.target, overflow="fold")
    for heading, *cells in zip(_HEADER[1:], *(_cells(row)[1:] for row in rows), strict=True):
        table.add_row(heading, *cells)
    console.print(table)


def write_comparison(rows: Sequence[Row], directory: str | os.PathLike) -> list[Path]:
    """Writes comparison.csv (numbers), comparison.tex (a booktabs table) and the figure (PNG, SVG).

    Args:
      rows: one per target, in the order to show.
      directory: created if missing.

    Returns:
      The files written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"comparison.csv": comparison_csv(rows), "comparison.tex": comparison_latex(rows)}
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    with style.house_style():
        figure = leakage_figure(rows)
    return [*(directory / name for name in texts), *style.save(figure, directory, "comparison")]


def comparison_csv(rows: Sequence[Row]) -> str:
    """One line per target; intervals as three columns each."""
    buffer = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(buffer, flat[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def comparison_latex(rows: Sequence[Row]) -> str:
    """A booktabs table, intervals in small print."""
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(_HEADER) - 1)}}}",
        r"\toprule",
        " & ".join(_latex(text) for text in _HEADER) + r" \\",
        r"\midrule",
        *(" & ".join(_latex(cell) for cell in _cells(row)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def leakage_figure(rows: Sequence[Row]) -> Figure:
    """TPR at 1% FPR of baseline and best score against the number of parameters, with 95% intervals."""
    figure = style.new_figure(7.0, 4.6)
    style.title(
        figure, "What each target gives away", "TPR at 1% FPR, baseline and best score; bars: 95% intervals"
    )
    axes = figure.add_axes((0.1, 0.13, 0.86, 0.70))
    best_colour, baseline_colour = style.VIEW_COLOURS[:2]
    for row in rows:
        for tpr, colour, shift in (
            (row.baseline_tpr, baseline_colour, 0.98),
            (row.best_tpr, best_colour, 1.02),
        ):
            if tpr is None:
                continue
            x, y = row.num_params * shift, 100 * formats.center(tpr)
            if "low" in tpr:
                axes.plot(
                    [x, x], [100 * tpr["low"], 100 * tpr["high"]], color=colour, alpha=0.35, linewidth=4
                )
            axes.plot([x], [y], "o", color=colour, markersize=6)
        if row.best_tpr is not None:
            height = 100 * formats.center(row.best_tpr)
            axes.annotate(
                row.target, (row.num_params * 1.02, height), (9, -3), textcoords="offset points", fontsize=9
            )
    sizes = [row.num_params for row in rows]
    low, high = min(sizes) / 1.5, max(sizes) * 2.0
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(0, 100)
    style.log_ticks(
        axes.xaxis, low, high, lambda value: f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.4g} M"
    )
    axes.set_xlabel("parameters")
    axes.set_ylabel("TPR at 1% FPR, %")
    style.quiet(axes, grid="both")
    axes.text(0.02, 0.95, "best score", color=best_colour, fontweight="bold", transform=axes.transAxes)
    axes.text(0.02, 0.89, "baseline", color=baseline_colour, fontweight="bold", transform=axes.transAxes)
    return figure


def _size(number: float) -> str:
    return f"{number / 1e6:,.4g} M" if number >= 1e5 else f"{number:,.0f}"


def _cells(row: Row) -> list[str]:
    return [
        row.target,
        formats.count(row.num_params),
        "" if row.gflop is None else f"{row.gflop:.3g}",
        row.baseline,
        _tpr(row.baseline_tpr),
        row.best,
        _tpr(row.best_tpr),
        formats.spread(row.auc, formats.area),
        _needed(row.needed),
    ]


def _tpr(tpr: Mapping[str, float] | None) -> str:
    return "too few nonmembers" if tpr is None else formats.spread(tpr, formats.percent)


def _needed(needed: Mapping[str, Any] | None) -> str:
    if needed is None:
        return "not testable"
    if needed["estimate"] is None:
        return "more than there are"
    if needed["low"] is None:
        return formats.count(needed["estimate"])
    high = "more" if needed["high"] is None else formats.count(needed["high"])
    return f"{formats.count(needed['estimate'])} ({formats.count(needed['low'])} to {high})"


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if field.name in ("baseline_tpr", "best_tpr", "auc", "needed"):
            for part in ("estimate", "low", "high"):
                flat[f"{field.name}_{part}"] = None if value is None else _part(value, part)
        else:
            flat[field.name] = value
    return flat


def _part(value: Mapping[str, Any], part: str) -> Any:
    """Of an interval record; a mean over subsets (paper protocol) has no interval."""
    return value.get("mean") if part == "estimate" and "mean" in value else value.get(part)


def _latex(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text.replace("<", r"$<$").replace(">", r"$>$").replace("±", r"$\pm$").replace("−", "$-$")

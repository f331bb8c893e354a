"""The results in a terminal, 80 columns wide, readable without colour."""

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jaxaudit.reports import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.wording import Results

_TOP_SCORES = 10
_COLOURS = {"trained_on": "red", "no_evidence": "cyan", "not_testable": "yellow", "paper": "magenta"}


def print_results(results: Results, console: Console) -> None:
    """Prints verdict, target, membership inference, dataset inference and checks.

    Args:
      results: what `results.json` holds.
      console: where to.
    """
    for part in (_verdict, _target, _membership, _top_scores, _inference, _checks):
        part(results, console)


def _verdict(results: Results, console: Console) -> None:
    status = results["verdict"]["status"]
    console.print(
        Panel(
            Text(results["verdict"]["sentence"]),
            title=Text(wording.HEADLINES[status], style="bold"),
            title_align="left",
            border_style=_COLOURS[status],
            padding=(1, 2),
        )
    )


def _target(results: Results, console: Console) -> None:
    request = results["request"]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    target = request["target"]
    grid.add_row(
        "target",
        Text(
            f"{results['run']['target']} ({target['family']}, {formats.count(target['num_params'])} "
            f"parameters, fingerprint {str(target['fingerprint'])[:12]})"
        ),
    )
    for split, letter in (("members", "P"), ("nonmembers", "U")):
        images = f"{formats.count(results['num_rows'][split])} images"
        grid.add_row(split, Text(f"{letter}: {images} of {request[split]['source']}"))
    console.print(grid)


def _membership(results: Results, console: Console) -> None:
    membership = results["membership"]
    groups = membership["groups"]
    table = _table("Membership inference", caption=wording.membership_basis(results))
    table.add_column("best score of each view")
    for view, name in groups.items():
        mark = " · selected" if name == membership["selected"] else ""
        table.add_column(Text(wording.view_title(results, view) + mark))
    table.add_row("score", *(Text(name) for name in groups.values()))
    columns = [wording.score_cells(results, name) for name in groups.values()]
    for cells in zip(*columns, strict=True):
        table.add_row(cells[0][0], *(value for _, value in cells))
    console.print(table)
    for omitted in membership["omitted_fprs"]:
        console.print(Text(omitted["reason"], style="dim"))


def _top_scores(results: Results, console: Console) -> None:
    ranked = wording.ranked_scores(results)
    title = f"The {_TOP_SCORES} best of {len(ranked)} scores" if len(ranked) > _TOP_SCORES else "All scores"
    table = _table(title)
    shown = [*wording.reported_fprs(results)[:1]]
    labels = [*(wording.tpr_label(fpr) for fpr in shown), "AUC"]
    for heading in ("score", *labels):
        table.add_column(heading)
    for name in ranked[:_TOP_SCORES]:
        cells = dict(wording.score_cells(results, name))
        mark = " · selected" if name == results["membership"]["selected"] else ""
        table.add_row(Text(name + mark), *(cells[label] for label in labels))
    console.print(table)


def _inference(results: Results, console: Console) -> None:
    if not results["dataset_inference"]:
        return
    views = list(results["dataset_inference"])
    curves = results["power_curves"]
    table = _table("Dataset inference", caption=wording.required_rule(curves[views[0]]) if curves else None)
    table.add_column("P against U")
    for view in views:
        table.add_column(
            Text(wording.view_title(results, view) + (" · main" if view == results["main_view"] else ""))
        )
    for cells in zip(*(wording.inference_cells(results, view) for view in views), strict=True):
        table.add_row(cells[0][0], *(value for _, value in cells))
    console.print(table)


def _checks(results: Results, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    if gate := results["gate"]:
        grid.add_row("blind gate", f"{wording.gate_state(gate)}: {wording.gate_numbers(gate)}")
    if control := results["null_control"]:
        grid.add_row("null control", f"{wording.control_state(control)}: {wording.control_numbers(control)}")
    if results["protocol"] == "paper":
        grid.add_row("known problems", "\n".join(wording.PAPER_PROBLEMS))
    console.print()
    console.print(grid)


def _table(title: str, caption: str | None = None) -> Table:
    return Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        pad_edge=False,
    )

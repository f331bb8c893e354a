"""The results of an audit in a terminal, 80 columns wide, readable without colour."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jaxaudit.reports.audit import wording
from jaxaudit.reports.audit.decision import decision_lines
from jaxaudit.reports.audit.rows import INFERENCE_ROWS, inferences, score_rows
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import read, terminal_table, turned
from jaxaudit.reports.kit.skipped import print_copies, print_skipped
from jaxaudit.results import AuditResults

_TOP_SCORES = 10
_COLOURS = {
    "trained_on": "red",
    "no_evidence": "cyan",
    "contradicted": "yellow",
    "not_testable": "yellow",
    "paper": "magenta",
}


def print_results(results: AuditResults, console: Console) -> None:
    """Prints verdict, target, membership inference, dataset inference and checks."""
    for part in (_verdict, _target, _decision, _membership, _top_scores, _inference, _checks):
        part(results, console)


def _verdict(results: AuditResults, console: Console) -> None:
    status = results.finding.status
    console.print(
        Panel(
            Text(results.finding.sentence),
            title=Text(wording.HEADLINES[status], style="bold"),
            title_align="left",
            border_style=_COLOURS[status],
            padding=(1, 2),
        )
    )


def _target(results: AuditResults, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    target = results.target
    grid.add_row(
        "target",
        Text(
            f"{target.name} ({target.family}, {formats.count(target.num_params)} parameters, "
            f"fingerprint {str(target.fingerprint)[:12]})"
        ),
    )
    for label, letter, images in (("members", "P", results.members), ("nonmembers", "U", results.nonmembers)):
        grid.add_row(label, Text(f"{letter}: {wording.counted(images)} of {images.source}"))
    console.print(grid)
    print_skipped(results.skipped, console)
    print_copies(results.copies, console)


def _decision(results: AuditResults, console: Console) -> None:
    lines = [list(line) for line in decision_lines(results)]
    if lines:
        console.print(terminal_table("What the verdict rests on", ["", ""], lines))


def _membership(results: AuditResults, console: Console) -> None:
    membership = results.membership
    heading = ["best score of each view"]
    for view, name in membership.groups.items():
        mark = " · selected" if name == membership.selected else ""
        heading.append(wording.view_title(results, view) + mark)
    best = [membership.per_score[name] for name in membership.groups.values()]
    lines = [["score", *membership.groups.values()]]
    lines += [[label, *texts] for label, texts in read(score_rows(membership), best)]
    caption = wording.membership_basis(membership)
    console.print(terminal_table("Membership inference", heading, lines, caption=caption))
    for omitted in membership.omitted_fprs:
        console.print(Text(omitted.reason, style="dim"))


def _top_scores(results: AuditResults, console: Console) -> None:
    membership = results.membership
    ranked = wording.ranked_scores(membership)
    title = f"The {_TOP_SCORES} best of {len(ranked)} scores" if len(ranked) > _TOP_SCORES else "All scores"
    names = ranked[:_TOP_SCORES]
    shown = [*map(wording.tpr_label, wording.reported_fprs(membership)[:1]), "AUC"]
    rows = read(score_rows(membership), [membership.per_score[name] for name in names])
    marked = [f"{name} · selected" if name == membership.selected else name for name in names]
    heading, lines = turned([("score", marked), *(row for row in rows if row[0] in shown)])
    console.print(terminal_table(title, heading, lines, caption=" ".join(wording.rounding(results)) or None))


def _inference(results: AuditResults, console: Console) -> None:
    found = inferences(results)
    if not found:
        return
    main = " · main"
    heading = [
        "P against U",
        *(wording.view_title(results, one.view) + main * (one.view == results.main_view) for one in found),
    ]
    lines = [[label, *texts] for label, texts in read(INFERENCE_ROWS, found)]
    caption = wording.required_rule(found[0].curve) if found[0].curve else None
    console.print(terminal_table("Dataset inference", heading, lines, caption=caption))


def _checks(results: AuditResults, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    gate = results.gate
    grid.add_row("blind gate", f"{wording.gate_state(gate)}: {wording.gate_numbers(gate)}")
    if control := results.null_control:
        grid.add_row("U against U", f"{wording.control_state(control)}: {wording.control_numbers(control)}")
    if problems := wording.protocol(results).problems:
        grid.add_row("known problems", "\n".join(problems))
    console.print()
    console.print(grid)

"""What every score finds and what it costs: a line per score or per target, for page, terminal and CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, csv_table, flat, read, terminal_table, turned
from jaxaudit.results import BoardEntry, FrontierPoint, LeaderboardResults, TargetBoard

_PUBLISHED = "_ref"  # how names of scores of published code end
_SHOWN = 10  # scores of a target in a terminal
Line = tuple[str, BoardEntry]
"""A score and what was measured of it."""


def name_of(board: TargetBoard) -> str:
    """What the target is called."""
    return Path(board.target.name).name


def _tpr(fpr: float) -> Callable[[Line], str | None]:
    def text(line: Line) -> str | None:
        found = line[1].tpr_at_fpr.get(fpr)
        return None if found is None else formats.spread(found, formats.percent)

    return text


SCORE_ROWS: tuple[Row[Line], ...] = (
    Row("score", lambda line: line[0]),
    Row("passes", lambda line: formats.count(line[1].passes)),
    Row("AUC", lambda line: formats.spread(line[1].auc, formats.area)),
    Row("TPR at 1% FPR", _tpr(0.01)),
    Row("TPR at 0.1% FPR", _tpr(0.001)),
)
"""What is said of a score."""


def _of_best(row: Row[Line]) -> Row[TargetBoard]:
    def text(board: TargetBoard) -> str | None:
        best = board.board.frontier[-1]
        return row.text((best.score, best.found))

    return Row("best score" if row.label == "score" else str(row.label), text)


TARGET_ROWS: tuple[Row[TargetBoard], ...] = (
    Row("target", name_of),
    *map(_of_best, SCORE_ROWS),
    Row("of scores", lambda board: formats.count(len(board.board.entries))),
    Row("AUC without the model", lambda board: formats.spread(board.gate.auc, formats.area)),
)
"""What is said of a target: its best score, chosen on some images and measured on others."""


def entries(board: TargetBoard) -> list[Line]:
    """All scores, the largest AUC first; two forms of one that measure the same are a line."""
    found = board.board.entries
    same = {name for name, entry in found.items() if found.get(f"{name}{_PUBLISHED}") == entry}
    twice = {f"{name}{_PUBLISHED}" for name in same}
    return [
        (f"{name}, {_PUBLISHED}" if name in same else name, entry)
        for name, entry in found.items()
        if name not in twice
    ]


def frontier(points: Iterable[FrontierPoint]) -> list[Line]:
    """The scores of a frontier."""
    return [(point.score, point.found) for point in points]


def chosen(board: TargetBoard) -> str:
    """On what the frontier was chosen and measured."""
    found, count = board.board, formats.count
    members, nonmembers = found.num_measured_members, found.num_measured_nonmembers
    return (
        f"Chosen on {count(found.num_members - members)} members and "
        f"{count(found.num_nonmembers - nonmembers)} nonmembers, measured on the other {count(members)} and "
        f"{count(nonmembers)}. Of images that hang together one counts, altered copies across the sides none."
    )


def print_leaderboard(results: LeaderboardResults, console: Console) -> None:
    """The best of every target, and the first scores of each."""
    heading, *lines = ([label, *texts] for label, texts in read(TARGET_ROWS, results.targets))
    console.print(terminal_table("The best score of every target", ["", *heading[1:]], lines))
    for board in results.targets:
        shown = entries(board)[:_SHOWN]
        title = f"{name_of(board)}: {len(shown)} of {len(board.board.entries)} scores"
        console.print(terminal_table(title, *turned(read(SCORE_ROWS, shown))))
    console.print(Text(chosen(results.targets[0])))


def leaderboard_csv(results: LeaderboardResults) -> str:
    """One line per target and score; an interval is three columns."""
    lines = []
    for board in results.targets:
        for name, entry in board.board.entries.items():
            rates = {
                f"tpr_at_{fpr:g}_{limit}": value
                for fpr, interval in entry.tpr_at_fpr.items()
                for limit, value in flat(interval).items()
            }
            lines.append(
                {
                    "target": name_of(board),
                    "score": name,
                    "access": board.access[name],
                    "passes": entry.passes,
                    **flat(entry.auc, prefix="auc_"),
                    **rates,
                }
            )
    return csv_table(lines)

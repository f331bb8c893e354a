"""What every score finds and what it costs, as one HTML file."""

from __future__ import annotations

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, code, details, element, join, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.reports.leaderboard.figure import frontier_figure
from jaxaudit.reports.leaderboard.rows import SCORE_ROWS, TARGET_ROWS, chosen, entries, frontier, name_of
from jaxaudit.results import LeaderboardResults, TargetBoard

_TITLE = "What every score finds, and what it costs"


def render_leaderboard(results: LeaderboardResults) -> str:
    """The leaderboard as one HTML page with its figure inside."""
    figure = inline_svg(
        style.to_svg(frontier_figure(results), "frontier"),
        "frontier",
        "True-positive rate at 1% false positives against passes through the network for one image.",
    )
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, leaderboard"), element("h1", _TITLE)),
        section(
            "best",
            "The best score of every target",
            table(*turned(read(TARGET_ROWS, results.targets))),
            paragraph(chosen(results.targets[0])),
            figure,
        ),
        *map(_target, results.targets),
        _method(results),
    )
    return page(_TITLE, body)


def _target(board: TargetBoard) -> Html:
    name, found = name_of(board), board.board
    lines = entries(board)
    return section(
        name,
        name,
        paragraph(
            f"The best of each cost at which it changes; the intervals of all {len(found.frontier)} hold at "
            "once."
        ),
        table(*turned(read(SCORE_ROWS, frontier(found.frontier)))),
        details(
            f"All {formats.count(len(lines))} scores, each with an interval of its own",
            table(*turned(read(SCORE_ROWS, lines)), dense=True),
        ),
        skipped_list(board.skipped),
    )


def _method(results: LeaderboardResults) -> Html:
    return section(
        "method",
        "What was done",
        paragraph(
            join(
                [
                    "Every target was asked about the same images, members ",
                    code(results.members),
                    " and nonmembers ",
                    code(results.nonmembers),
                    f", by the scores {', '.join(results.asked)}, seed {results.seed}.",
                ]
            )
        ),
        paragraph(
            "Passes are those through the network, forward or backward, that a score takes for one image, "
            "had no other been asked for; together they take fewer. In a list of many scores the largest "
            "number is the luckiest, too: its interval holds for that score alone. The best score is "
            "therefore chosen on one third of the images, by the TPR at 1% FPR and then the AUC, and "
            "measured on the others. At a false-positive rate that allows no false positive among the "
            "nonmembers the estimate is the rate at none; the interval is that of the rate in the heading."
        ),
        paragraph(
            "“AUC without the model” is that of a classifier which saw the images but not the model. Where "
            "it is not 0.5, part of what scores find is a difference between the sets."
        ),
    )

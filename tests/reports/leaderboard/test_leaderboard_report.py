"""The leaderboard as people see it: every number, a line for two forms of one score, figures and files."""

import csv
import functools
import io

import numpy as np
from rich.console import Console

from jaxaudit import stats
from jaxaudit.reports.files import write_leaderboard
from jaxaudit.reports.kit import formats
from jaxaudit.reports.leaderboard.page import render_leaderboard
from jaxaudit.reports.leaderboard.rows import chosen, entries, leaderboard_csv, print_leaderboard
from jaxaudit.results import LeaderboardResults, TargetBoard, TargetFacts, decode, encode

PASSES = {"diff/loss": 2, "diff/loss_ref": 2, "cond/loss": 1, "cond/loss_ref": 1}


@functools.cache
def make_board() -> bytes:
    rng = np.random.default_rng(1)
    shifts = {"diff/loss": 2.0, "cond/loss": 0.5, "cond/loss_ref": 0.4}
    members = {name: rng.normal(shift, 1, 90) for name, shift in shifts.items()}
    nonmembers = {name: rng.normal(0, 1, 80) for name in shifts}
    for side in (members, nonmembers):
        side["diff/loss_ref"] = side["diff/loss"]
    gate = stats.blind_gate(rng.normal(size=(90, 3)), rng.normal(size=(80, 3)))
    boards = tuple(
        TargetBoard(
            target=TargetFacts(name, "var", None, 1_000, 10),
            board=stats.leaderboard(members, nonmembers, PASSES),
            access=dict.fromkeys(PASSES, "gray-box"),
            gate=gate,
            skipped={"members": {"a <b>": "it is torn"}, "nonmembers": {}},
        )
        for name in ("targets/one", "two")
    )
    return encode(
        LeaderboardResults(
            members="folder:m",
            nonmembers="folder:<u>",
            asked=("all",),
            num_samples=0,
            confidence=0.95,
            seed=0,
            targets=boards,
        )
    )


def make_results() -> LeaderboardResults:
    return decode(make_board(), LeaderboardResults, "it")


def test_two_forms_of_a_score_that_measure_the_same_are_a_line():
    names = [name for name, _ in entries(make_results().targets[0])]
    assert names == ["diff/loss, _ref", "cond/loss", "cond/loss_ref"]


def test_the_terminal_has_the_best_of_each_target_and_the_first_scores():
    console = Console(width=160, record=True, file=io.StringIO())
    print_leaderboard(make_results(), console)
    text = console.export_text()
    best = make_results().targets[0].board.frontier[-1]
    assert best.score == "diff/loss"
    assert formats.spread(best.found.auc, formats.area) in text
    assert "one: 3 of 4 scores" in text
    assert chosen(make_results().targets[0]) in text
    assert "Chosen on 30 members and 26 nonmembers, measured on the other 60 and 54." in text


def test_csv_has_every_score_of_every_target():
    lines = list(csv.DictReader(io.StringIO(leaderboard_csv(make_results()))))
    assert len(lines) == 8
    first, entry = lines[0], make_results().targets[0].board.entries["diff/loss"]
    assert (first["target"], first["score"], first["access"], first["passes"]) == (
        "one", "diff/loss", "gray-box", "2",
    )  # fmt: skip
    assert float(first["auc_low"]) == entry.auc.low
    assert float(first["tpr_at_0.001_high"]) == entry.tpr_at_fpr[0.001].high


def test_the_page_has_every_number_and_escapes_names():
    results = make_results()
    page = render_leaderboard(results)
    for board in results.targets:
        for _, entry in entries(board):
            assert formats.spread(entry.tpr_at_fpr[0.01], formats.percent) in page
    assert "&lt;u&gt;" in page
    assert "<u>" not in page
    assert "a &lt;b&gt;" in page
    assert 'id="figure-frontier"' in page


def test_files_are_written_and_the_same_each_time(tmp_path):
    written = write_leaderboard(make_results(), tmp_path / "a")
    again = write_leaderboard(make_results(), tmp_path / "b")
    assert [path.name for path in written] == [
        "results.json", "leaderboard.csv", "leaderboard.png", "leaderboard.svg", "report.html",
    ]  # fmt: skip
    for one, other in zip(written, again, strict=True):
        assert one.read_bytes() == other.read_bytes()

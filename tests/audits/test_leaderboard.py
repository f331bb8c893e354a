"""A leaderboard from pictures to numbers: what is counted, what a fit has seen, killed and resumed."""

import dataclasses

import pytest

from jaxaudit import stats
from jaxaudit.audits import collect
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.leaderboard import board_of, check_enough
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence
from jaxaudit.runtime.placement import Placement
from tests import tiny

CONFIG = CollectConfig(
    scores=("cond/loss", "diff/zlib", "diff/prada"), placement=Placement(8, 1), shard_size=16, seed=4
)
MEMBERS, NONMEMBERS = open_source("digits:members[:40]"), open_source("digits:nonmembers[:36]")


def made(directory, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return board_of(tiny.var_target(), MEMBERS, NONMEMBERS, directory, config)


class Killed(BaseException):
    pass


def test_a_board_is_of_the_evidence_and_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    score = collect.Scorer.submit
    calls = []

    def kill(self, *arguments, **options):
        if len(calls) > 5:
            raise Killed
        calls.append(None)
        return score(self, *arguments, **options)

    monkeypatch.setattr(collect.Scorer, "submit", kill)
    with pytest.raises(Killed):
        made(tmp_path / "killed")
    monkeypatch.setattr(collect.Scorer, "submit", score)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.parquet")}
    assert kept
    found = made(tmp_path / "killed")
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert found == made(tmp_path / "whole")
    with pytest.raises(InputError, match="seed is 4, now 5"):
        made(tmp_path / "whole", seed=5)

    members, nonmembers = (
        Evidence.open(tmp_path / "whole").read(split) for split in ("members", "nonmembers")
    )
    board = found.board
    assert set(board.entries) == set(CONFIG.scores)
    assert {name: entry.passes for name, entry in board.entries.items()} == {
        "cond/loss": 1, "diff/zlib": 2, "diff/prada": 2,
    }  # fmt: skip
    for name in ("cond/loss", "diff/zlib"):
        expected = stats.auc_interval(members.scores[name], nonmembers.scores[name])
        assert board.entries[name].auc == expected
    fitted = stats.fitted_scores(members.features["diff/prada"], nonmembers.features["diff/prada"], seed=4)
    rows = [rows for _, rows in stats.membership.selection_split(40, 36, 4)]
    expected = stats.auc_interval(*(side[own] for side, own in zip(fitted, rows, strict=True)))
    assert board.entries["diff/prada"].auc == expected
    assert found.access == dict.fromkeys(CONFIG.scores, "gray-box")
    assert found.gate == stats.blind_gate(
        members.blind, nonmembers.blind, p_labels=members.labels, u_labels=nonmembers.labels, seed=4
    )
    assert found.skipped == {"members": {}, "nonmembers": {}}


def test_too_few_pictures_are_refused_before_the_work():
    few = open_source("digits:nonmembers[:29]")
    with pytest.raises(InputError, match=r"29 nonmembers \(digits:nonmembers\[:29\]\) are too few"):
        check_enough(MEMBERS, few)
    with pytest.raises(InputError, match="12 members"):
        check_enough(MEMBERS, NONMEMBERS, num_samples=12)
    check_enough(MEMBERS, NONMEMBERS, num_samples=30)

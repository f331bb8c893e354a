"""Walks from sources to results, on a model that knows nothing; killed and gone on."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jaxaudit.attacks.schedule_attack import ScheduleAttack
from jaxaudit.audits.schedules import WalkConfig, assess_walks, walk_pictures
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.reports.files import write_schedules
from jaxaudit.runtime.placement import Placement
from tests import tiny_diffusion
from tests.results.round_trip import assert_round_trips

CONFIG = WalkConfig(schedules=("13",), num_noises=2, placement=Placement(8), shard_size=16)
CANDIDATES = {"logistic": LogisticRegression()}


def walk(directory, config=CONFIG):
    sides = open_source("digits:members[:24]"), open_source("digits:nonmembers[:30]")
    return walk_pictures(tiny_diffusion.target("nothing"), *sides, directory, config)


def test_what_was_walked_is_told_of_the_other_half(tmp_path):
    walked = walk(tmp_path / "walks")
    results = assess_walks(walked, candidates=CANDIDATES)
    assert results.num_images == {"members": 24, "nonmembers": 30}
    assert results.num_tested == {"members": 12, "nonmembers": 15}
    assert [(each.name, each.error) for each in results.walks] == [
        *(("13", error) for error in ("model", "latent", "pixel")),
        ("baseline", "model"),
    ]
    assert results.omitted == {
        "generation": "tiny has no condition to guide by",
        "low_rank": "tiny has no attention whose weights low-rank factors could be added to",
    }
    assert results.classifier.num_features == 3 * 10
    assert results.low_rank is None
    assert results.best.name == "13"
    assert_round_trips(results)
    assert all(path.stat().st_size for path in write_schedules(results, tmp_path / "out"))


def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    whole = walk(tmp_path / "whole")
    submit, done = ScheduleAttack.submit, []

    def killed(self, *arguments, **options):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(arguments)
        return submit(self, *arguments, **options)

    monkeypatch.setattr(ScheduleAttack, "submit", killed)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path / "killed")
    assert 0 < len(list((tmp_path / "killed").glob("*.parquet"))) < 4
    monkeypatch.setattr(ScheduleAttack, "submit", submit)
    resumed = walk(tmp_path / "killed")
    for side, walks in whole.walks.items():
        for name, values in walks.columns.items():
            np.testing.assert_array_equal(resumed.walks[side].columns[name], values)
    with pytest.raises(InputError, match="num_noises"):
        walk(tmp_path / "killed", dataclasses.replace(CONFIG, num_noises=3))


def test_refuses_what_cannot_be_walked(tmp_path):
    with pytest.raises(InputError, match="No schedule is left: tiny has no condition"):
        walk(tmp_path, dataclasses.replace(CONFIG, schedules=("1",)))
    with pytest.raises(InputError, match=r"7 members .* are too few"):
        walk(tmp_path, dataclasses.replace(CONFIG, num_samples=7))
    same = open_source("digits:members[:9]")
    with pytest.raises(InputError, match="share 9 pictures"):
        walk_pictures(tiny_diffusion.target("nothing"), same, same, tmp_path, CONFIG)
    with pytest.raises(InputError, match="num_noises=0 is below 1"):
        WalkConfig(num_noises=0)
    with pytest.raises(InputError, match="Unknown schedule '17'"):
        WalkConfig(schedules=("17",))

"""Studies from evidence folders: features, settings, rows and refusals."""

import csv
import io

import pytest

from jaxaudit.audits.studies import STUDIES, StudiesConfig, run_null_study, run_study
from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED_FOLDS, SPLIT
from jaxaudit.reports.studies.figure import study_csv
from jaxaudit.stats import false_positive_rate, identification_power
from jaxaudit.stats.cdi.sampling import StudyConfig
from tests.evidence_tables import NAMES, make_evidence
from tests.results.round_trip import assert_round_trips

CONFIG = StudiesConfig(StudyConfig(repetitions=50), sizes=(20, 60))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    root = tmp_path_factory.mktemp("evidence")
    return [
        make_evidence(root / "a", target="/targets/small"),
        make_evidence(root / "b", target="large", shift=1.0, seed=1),
    ]


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_of_every_target_is_plain_data_and_rows(study, evidence):
    results = run_study(study, evidence, CONFIG)
    assert_round_trips(results)
    assert [target.target for target in results.targets] == ["small", "large"]
    assert results.targets[0].features == tuple(f"cond/{name}" for name in NAMES)
    assert (results.study, results.alpha, results.repetitions) == (study, 0.01, 50)
    rows = list(csv.DictReader(io.StringIO(study_csv(results))))
    assert {row["target"] for row in rows} == {"small", "large"}
    assert {row.get("num_p") or row["n"] for row in rows} == {"20", "60"}
    share = "identified_estimate" if "identified_estimate" in rows[0] else "identified"
    assert max(float(row[share]) for row in rows) > 0.8


@pytest.mark.parametrize(("procedure", "count"), [(SPLIT, 100), (PUBLISHED_FOLDS, 300)])
def test_pictures_that_hang_together_are_one_to_draw(procedure, count, tmp_path):
    config = StudiesConfig(StudyConfig(repetitions=5, procedure=procedure), sizes=(20,), scores=("cond/*",))
    (target,) = run_study("roc", [make_evidence(tmp_path, copies=3)], config).targets
    assert (target.num_members, target.num_nonmembers) == (count, count)


def test_the_p_value_study_is_the_power_curve(evidence):
    (target,) = run_study("p_value", evidence[:1], CONFIG).targets
    tables = [evidence[0].read(split).scores for split in ("members", "nonmembers")]
    curve = identification_power(*tables, grid=(20, 60), repetitions=50)
    assert target.required == curve.required
    assert [point.mean_p for point in target.points] == [point.mean_p for point in curve.points]


def test_scores_can_be_named(evidence):
    config = StudiesConfig(CONFIG.draws, scores=("*/multiple_*", "cond/secmi"), sizes=(20,))
    (target,) = run_study("roc", evidence[:1], config).targets
    assert target.features == (*(f"cond/multiple_loss_{t}" for t in (0, 100, 200)), "cond/secmi")
    with pytest.raises(
        InputError, match="Unknown score in the evidence 'cond/secm'; did you mean cond/secmi"
    ):
        run_study("roc", evidence[:1], StudiesConfig(CONFIG.draws, scores=("cond/secm",)))
    gray = StudiesConfig(CONFIG.draws, scores=("*loss*",))
    with pytest.raises(InputError, match="None of the 4 scores is white-box"):
        run_study("access", evidence[:1], gray)


def test_targets_of_one_name_are_told_apart_by_their_folders(evidence):
    results = run_study("roc", [evidence[0], evidence[0]], CONFIG)
    labels = [target.target for target in results.targets]
    assert labels == [f"small ({evidence[0].directory})"] * 2


def test_refusals(evidence, tmp_path):
    with pytest.raises(InputError, match="Unknown study 'p_values'; did you mean p_value"):
        run_study("p_values", evidence)
    with pytest.raises(InputError, match="no features for the procedure 'paper'; name scores"):
        run_study("p_value", evidence, StudiesConfig(StudyConfig(PUBLISHED_FOLDS)))
    same = make_evidence(tmp_path / "same")
    for split in ("members", "nonmembers"):
        table = same.read(split)
        shard = next(shard for shard in same.shards() if shard.split == split)
        columns = {"sample_id": table.sample_ids, "label": table.labels, "digest": ["one"] * len(table)}
        same.write(shard, {**columns, **table.scores})
    with pytest.raises(InputError):
        run_study("p_value", [same], CONFIG)


def test_the_null_study_refuses_what_a_procedure_cannot_show_before_it_simulates():
    said = []
    with pytest.raises(InputError, match=r"999 permutations cannot give a p-value of 0\.0005; at least 1999"):
        run_null_study(StudiesConfig(StudyConfig(alpha=5e-4)), progress=said.append)
    assert not said


def test_the_null_study_tries_every_procedure(monkeypatch):
    monkeypatch.setattr("jaxaudit.audits.studies._EQUAL", ((12, 12),))
    monkeypatch.setattr("jaxaudit.audits.studies._UNEQUAL", ((12, 30),))
    monkeypatch.setattr("jaxaudit.audits.studies.NULL_KINDS", ("skewed",))
    config = StudiesConfig(StudyConfig(alpha=0.2, repetitions=4))
    said = []
    results = run_null_study(config, progress=said.append)
    assert said == [
        "split, skewed, 12 against 12",
        "split, skewed, 12 against 30",
        "permutation, skewed, 12 against 12",
        "permutation, skewed, 12 against 30",
        "paper, skewed, 12 against 12",
    ]
    assert_round_trips(results)
    one = false_positive_rate(SPLIT, kind="skewed", num_p=12, num_u=30, alpha=0.2, repetitions=4)
    assert results.rates[1] == one
    rows = list(csv.DictReader(io.StringIO(study_csv(results))))
    assert float(rows[1]["accused_high"]) == one.accused.high

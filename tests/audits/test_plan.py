"""What is fixed before any picture is scored, and what is made of it afterwards."""

import dataclasses
import json

import numpy as np
import pytest

from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import Reference, carry_out, plan_audit
from jaxaudit.audits.collect import CollectConfig, prepare
from jaxaudit.audits.plan import check_plan, planned, read_plan, remark, write_plan
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS
from jaxaudit.results import Planned, replace
from jaxaudit.runtime.placement import Placement
from tests.results.round_trip import assert_round_trips
from tests.tiny import rar_target, var_target

CONFIG = CollectConfig(scores=("diff/loss", "cond/loss"), placement=Placement(40))
RULES = AssessConfig(alpha=0.02)


def sides(first=0):
    return tuple(open_source(f"digits:{half}[{first}:{first + 40}]") for half in ("members", "nonmembers"))


@pytest.fixture(scope="module")
def prepared():
    return prepare(var_target(), *sides(), CONFIG)


@pytest.fixture(scope="module")
def plan(prepared):
    return plan_audit(prepared, RULES)


@pytest.fixture(scope="module")
def evidence(prepared, plan, tmp_path_factory):
    return carry_out(prepared, tmp_path_factory.mktemp("planned") / "evidence", RULES, plan=plan)[0]


def test_planning_reads_every_picture_once_and_scores_none(monkeypatch, tmp_path):
    monkeypatch.setattr(Scorer, "submit", None)
    reads = []
    counted = [
        dataclasses.replace(side, read=lambda row, side=side: reads.append(side.ids[row]) or side.read(row))
        for side in sides()
    ]
    plan = plan_audit(prepare(var_target(), *counted, CONFIG), RULES)
    assert sorted(reads) == sorted(name for side in counted for name in side.ids)
    write_plan(tmp_path / "plans" / "one.json", plan)
    assert read_plan(tmp_path / "plans" / "one.json") == plan
    assert_round_trips(plan)


def test_a_plan_is_written_once(plan, tmp_path):
    assert read_plan(tmp_path / "plan.json") is None
    write_plan(tmp_path / "plan.json", plan)
    with pytest.raises(InputError, match="is there by now"):
        write_plan(tmp_path / "plan.json", plan)


@pytest.mark.parametrize("change", [{"alpha": 0.05}, {"written": "2000-01-01T00:00:00+00:00"}])
def test_a_plan_that_was_changed_is_refused(plan, tmp_path, change):
    path = tmp_path / "plan.json"
    write_plan(path, plan)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match="has been changed since it was written"):
        read_plan(path)


def other(config=CONFIG, rules=RULES, first=0, **options):
    return plan_audit(prepare(var_target(), *sides(first), config), rules, **options)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (lambda: other(rules=AssessConfig(alpha=0.05)), r"alpha is 0\.02, now 0\.05"),
        (lambda: other(rules=dataclasses.replace(RULES, seed=3)), "seed is null, now 3"),
        (lambda: other(first=40), r"members\.ids differ"),
        (lambda: other(dataclasses.replace(CONFIG, scores=("diff/loss",))), "scores is"),
        (lambda: other(previous="f" * 64), "previous is null, now"),
    ],
)
def test_what_differs_from_the_plan_is_named(plan, wanted, words):
    with pytest.raises(InputError, match=f"not what the plan {plan.fingerprint[:16]} says .*{words}"):
        check_plan(plan, wanted())


def test_nothing_is_scored_that_was_not_planned(prepared, plan, tmp_path):
    with pytest.raises(InputError, match="not what the plan"):
        carry_out(prepared, tmp_path / "evidence", AssessConfig(), plan=plan)
    assert not (tmp_path / "evidence").exists()


def test_results_name_the_plan_and_their_seed_follows_from_it(evidence, plan):
    results = assess(evidence, RULES, plan=plan)
    assert (results.plan.fingerprint, results.plan.beforehand) == (plan.fingerprint, True)
    assert results.seed == int(plan.fingerprint[:8], 16)
    assert results.finding.sentence.endswith(f"Planned before scoring (fingerprint {plan.fingerprint[:16]}).")


def test_evidence_that_was_begun_without_the_plan_is_not_planned(evidence, plan):
    again = planned(replace(plan, fingerprint="e" * 64), evidence, RULES.named())
    assert not again.beforehand
    sides = [evidence.read(split) for split in SPLITS]
    without = RULES.seeded(evidence, sides)
    assert RULES.seeded(evidence, sides, again) == without != RULES.seeded(evidence, sides, unread(plan))
    assert remark(again, seed=None) == (
        f"Not planned beforehand: scoring was begun without the plan {'e' * 16}, which does not count."
    )


def test_a_seed_that_was_chosen_is_named(evidence, plan):
    chosen = dataclasses.replace(RULES, seed=7)
    assert chosen.seeded(evidence, [], unread(plan)) == chosen
    assert remark(None, seed=7) == "Not planned beforehand. Seed 7 of the tests was chosen by hand."


def unread(plan):
    """A plan that counts."""
    return Planned(plan.fingerprint, plan.written, beforehand=True)


@pytest.mark.slow
def test_a_reference_is_scored_beside_as_planned(prepared, tmp_path):
    another = dataclasses.replace(rar_target(), provenance={"fingerprint": "another"})
    reference = Reference(another, *sides(), tmp_path / "reference")
    plan = plan_audit(prepared, RULES, reference=reference)
    with pytest.raises(InputError, match="reference is"):
        carry_out(prepared, tmp_path / "evidence", RULES, plan=plan)
    found, beside = carry_out(prepared, tmp_path / "evidence", RULES, reference=reference, plan=plan)
    results = assess(found, RULES, reference=beside, plan=plan)
    assert results.reference.fingerprint == "another"
    assert results.plan.beforehand
    assert results.test.gate.num_features > len(beside.columns.scores)
    np.testing.assert_array_equal(beside.read("members").sample_ids, found.read("members").sample_ids)


def test_the_reference_is_not_the_target(prepared, tmp_path):
    reference = Reference(var_target(), *sides(), tmp_path / "reference")
    with pytest.raises(InputError, match="The reference has the weights of the target itself"):
        carry_out(prepared, tmp_path / "evidence", RULES, reference=reference)
    assert list(tmp_path.iterdir()) == []

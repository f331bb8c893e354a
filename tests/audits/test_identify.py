"""An owner's question to a diffusion model: identified, not identified, or refused with a reason."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaxaudit import stats
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.asking import entering_p_value, status_of
from jaxaudit.audits.assess import AssessConfig
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.identify import identify_data, plan_identification
from jaxaudit.audits.known_pictures import Known
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED
from jaxaudit.results import GeneratedShare, replace
from jaxaudit.runtime.placement import Placement
from jaxaudit.targets import Autoencoder
from tests import tiny
from tests.results.round_trip import assert_round_trips

GRAY = CollectConfig(access="gray-box", placement=Placement(128))
SHUFFLED = "digits:nonmembers?shuffle=1"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    target = load_target("digits_dit")

    def answer(published, unpublished, assess_config=None, directory=None, **options):
        sources = (open_source(spec) if isinstance(spec, str) else spec for spec in (published, unpublished))
        directory = directory or tmp_path_factory.mktemp("evidence")
        return identify_data(target, *sources, directory, GRAY, assess_config, **options)

    return answer


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return tmp_path_factory.mktemp("identified")


@pytest.fixture(scope="module")
def identified(ask, evidence):
    return ask("digits:members[:150]", "digits:nonmembers[:150]", directory=evidence)


@pytest.fixture(scope="module")
def not_identified(ask):
    return ask(f"{SHUFFLED}[:100]", f"{SHUFFLED}[100:200]")


def test_members_are_identified(identified):
    assert (identified.status, identified.required) == ("identified", None)
    assert_round_trips(identified)
    (question,) = identified.asked.questions
    assert len(question.pictures) == 300
    assert (question.p_value, identified.asked.plan) == (identified.audit.test.p_value, "unplanned")


@pytest.mark.parametrize("share", [0.8, pytest.param(0.3, marks=pytest.mark.slow)])
def test_nobody_is_accused_of_training_on_what_the_model_made(identified, evidence, monkeypatch, share):
    """Before P is identified it is looked through for the decoder's trace; up to half changes nothing."""
    found = GeneratedShare(share, share > 0.5, 0.99, 150, 150)
    asked = []

    def trace(target, *sides, **options):
        asked.append([len(side) for side in sides[:2]])
        return found

    monkeypatch.setattr("jaxaudit.audits.identify.share_generated", trace)
    nothing = Autoencoder(*(lambda params, x: x for _ in range(2)))
    target = dataclasses.replace(load_target("digits_dit"), autoencoder=nothing)
    sides = map(open_source, ("digits:members[:150]", "digits:nonmembers[:150]"))
    answer = identify_data(target, *sides, evidence, GRAY)
    assert asked == [[150, 150]]
    assert answer.generated == found
    assert answer.audit == identified.audit
    expected = ("generated", 1.0) if share > 0.5 else ("identified", identified.asked.questions[0].p_value)
    assert (answer.status, answer.asked.questions[0].p_value) == expected


def test_signs_that_count_later_are_looked_through_too(identified, evidence, monkeypatch):
    """What is no answer yet would be wealth for the next question."""
    found = GeneratedShare(0.8, True, 0.99, 150, 150)
    monkeypatch.setattr("jaxaudit.audits.identify.status_of", lambda audit, asked: "too_few")
    monkeypatch.setattr("jaxaudit.audits.identify.share_generated", lambda *asked, **options: found)
    nothing = Autoencoder(*(lambda params, x: x for _ in range(2)))
    target = dataclasses.replace(load_target("digits_dit"), autoencoder=nothing)
    sides = map(open_source, ("digits:members[:150]", "digits:nonmembers[:150]"))
    answer = identify_data(target, *sides, evidence, GRAY)
    assert (answer.status, answer.generated) == ("generated", found)
    assert answer.asked.questions[0].e_value < 1


@pytest.mark.slow
def test_known_members_are_scored_and_said(ask, evidence, tmp_path):
    known = Known(open_source("digits:members[150:190]"), tmp_path)
    audit = ask("digits:members[:150]", "digits:nonmembers[:150]", directory=evidence, known=known).audit
    assert (audit.known.source, audit.known.num_independent) == ("digits:members[150:190]", 40)
    assert audit.usage.num_known == 40
    assert audit.usage.share is None  # single pictures leave too little trace
    assert audit.skipped["known members"] == {}


def test_the_signal_of_single_scores_is_weak(identified):
    """Of the AUC: a rate at 1% of 100 pictures is that of one, and moves with the cut."""
    areas = [each.auc.estimate for each in identified.audit.membership.per_score.values()]
    assert max(areas) < 0.85


@pytest.mark.slow
def test_exchanged_sets_are_contradicted(ask):
    answer = ask("digits:nonmembers[:150]", "digits:members[:150]")
    assert (answer.status, answer.audit.finding.status) == ("contradicted", "contradicted")
    assert answer.asked.questions[0].p_value == 1
    assert answer.required is None


def test_nonmembers_are_not_identified(not_identified):
    assert (not_identified.status, not_identified.required) == ("not_identified", None)
    assert_round_trips(not_identified)


@pytest.mark.slow
def test_who_asks_again_brings_new_pictures_and_all_questions_count(ask, not_identified):
    plan = plan_identification(
        load_target("digits_dit"),
        *map(open_source, ("digits:members[:100]", f"{SHUFFLED}[200:300]")),
        GRAY,
        previous=not_identified,
    )
    assert plan.previous == not_identified.asked.questions[0].fingerprint
    again = ask("digits:members[:100]", f"{SHUFFLED}[200:300]", previous=not_identified, plan=plan)
    assert again.audit.plan.beforehand
    assert again.asked.questions[0] == not_identified.asked.questions[0]
    first, second = (question.e_value for question in again.asked.questions)
    assert again.asked.wealth == pytest.approx([first, first * second])
    assert (again.status == "identified") == (max(first, first * second) >= 100)
    assert_round_trips(again)
    with pytest.raises(InputError, match="not what the plan .*previous is"):
        ask("digits:members[:100]", f"{SHUFFLED}[200:300]", plan=plan)


@pytest.mark.parametrize(
    ("first", "rules", "change", "words"),
    [
        (
            199,
            None,
            {},
            "1 pictures .'digits/.*, or altered copies .* before, in question 1",
        ),
        (200, AssessConfig(alpha=0.05), {}, "earlier answer is at alpha=0.01, not 0.05"),
        (200, None, {"asked": {"plan": "another"}}, "does not follow from the plan 'another'"),
        (200, None, {"audit": {"target": {"fingerprint": "f"}}}, "only questions about one model add up"),
    ],
)
def test_what_cannot_follow_an_answer_is_refused(
    ask, not_identified, monkeypatch, first, rules, change, words
):
    monkeypatch.setattr(Scorer, "submit", None)  # before anything is scored
    with pytest.raises(InputError, match=words):
        ask(
            "digits:members[:40]",
            f"{SHUFFLED}[{first}:{first + 40}]",
            rules,
            previous=changed(not_identified, change),
        )


def changed(record, changes):
    """The record with fields of fields replaced."""
    within = {
        name: changed(getattr(record, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return replace(record, **within)


@pytest.mark.parametrize(
    ("test", "status", "p_value"),
    [
        ({"p_value": 0.03}, "too_few", 0.03),
        ({"p_value": 0.06}, "not_identified", 0.06),
        ({"p_value": 0.03, "contradicted": True}, "not_identified", 1),
        ({"p_value": 0.03, "comparability": "after_adjustment"}, "not_identified", 0.03),
        ({"p_value": 0.001, "rejected": False}, "not_identified", 1),
    ],
)
def test_signs_are_a_level_of_their_own(not_identified, test, status, p_value):
    audit = changed(not_identified.audit, {"test": test})
    assert status_of(audit, not_identified.asked) == status
    assert entering_p_value(audit.test) == p_value


@pytest.mark.parametrize(
    ("p_value", "status"), [(1e-4, "identified"), (5e-4, "too_few"), (0.02, "not_identified")]
)
def test_a_history_rests_on_its_e_value(not_identified, p_value, status):
    questions = stats.ask_again(stats.ask_again((), ["a"], 0.2, plan="p"), ["b"], p_value, plan="p")
    asked = stats.combine_history(questions, plan="p")
    found = {"finding": {"status": "trained_on"}, "test": {"p_value": p_value}}
    audit = changed(not_identified.audit, found)
    assert status_of(audit, asked) == status


@pytest.mark.slow
def test_pictures_of_other_things_are_not_testable(ask, tmp_path):
    rng = np.random.default_rng(0)
    other = tmp_path / "other.npz"
    coarse = rng.integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)
    images = np.stack([np.asarray(Image.fromarray(each).resize((8, 8))) for each in coarse])
    np.savez(other, images=images, labels=rng.integers(0, 10, 40))
    results = ask("digits:members?shuffle=0[:40]", f"npz:{other}")
    assert results.status == "not_testable"
    assert_round_trips(results)
    assert results.asked.questions[0].p_value == 1


def test_altered_copies_on_both_sides_are_refused(ask, tmp_path):
    source = open_source("digits:nonmembers[:40]")
    images = np.stack([source.load(i).image for i in range(40)])
    images[0] = open_source("digits:members[:1]").load(0).image * 0.9
    np.savez(tmp_path / "copies.npz", images=images, labels=source.labels)
    with pytest.raises(InputError, match=r"1 published pictures are the same as, or altered copies of"):
        ask("digits:members[:40]", f"npz:{tmp_path / 'copies.npz'}")


def test_too_few_pictures_are_refused_with_the_number_needed(ask):
    with pytest.raises(InputError, match=r"6 published pictures are too few .* at least 30 are needed"):
        ask("digits:members[:6]", "digits:nonmembers[:40]")


def test_the_published_procedure_gives_no_answer(ask):
    with pytest.raises(InputError, match="gives no verdict"):
        ask("digits:members[:40]", "digits:nonmembers[:40]", AssessConfig(protocol=PUBLISHED))


def test_models_of_captions_are_asked_with_them(tmp_path):
    sets = [
        tiny.save_captioned(tmp_path / f"{name}.npz", f"digits:{name}[:32]")
        for name in ("members", "nonmembers")
    ]
    scores = CollectConfig(scores=("multiple_loss_300", "clid_300"), placement=Placement(32))
    answer = identify_data(tiny.captioned_target(), *sets, tmp_path / "evidence", scores)
    assert answer.status == "not_identified"  # the target is untrained
    assert set(answer.audit.membership.per_score) == {"multiple_loss_300", "clid_300"}

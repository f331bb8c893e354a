"""The page and the files of an answer to an owner, for every answer there is."""

import csv

import numpy as np
import pytest
from rich.console import Console

from jaxaudit import stats
from jaxaudit.reports.answer.page import print_answer, render_answer
from jaxaudit.reports.answer.wording import HEADLINES, plain_words, quotation
from jaxaudit.reports.files import write_answer
from jaxaudit.results import GeneratedShare, OwnersAnswer, Planned, read_results, replace
from tests.reports.audit.test_page import Page
from tests.reports.synthetic import HOSTILE, make_results

PLANNED = Planned("ab" * 32, "2026-01-02T03:04:05+00:00", beforehand=True)
CASES = {
    "identified": ({}, (1e-4,)),
    "not_identified": ({"effect": 0.0}, (0.4,)),
    "too_few": ({"effect": 0.0}, (0.03,)),
    "contradicted": ({"effect": 0.0}, (1.0,)),
    "not_testable": ({"gate_shift": 0.5}, (1.0,)),
    "generated": ({}, (1.0,)),
}


def make_answer(status, *, earlier=(), **changes):
    options, p_values = CASES[status]
    audit = make_results(samples=90, **options)
    history = ()
    for number, p_value in enumerate((*earlier, *p_values)):
        history = stats.ask_again(history, [f"{number}"], p_value, plan="unplanned")
    required = None
    if status == "too_few":
        p, u = np.random.default_rng(0).normal(size=(2, 40, 2))
        required = stats.forecast_samples(p, u, repetitions=50)
    return OwnersAnswer(
        status=status,
        required=required,
        asked=stats.combine_history(history, plan="unplanned"),
        audit=replace(audit, **changes),
        generated=GeneratedShare(0.63, True, 0.99, 90, 90) if status == "generated" else None,
    )


@pytest.mark.parametrize("status", CASES)
def test_every_answer_says_what_it_is_and_how_it_could_be_wrong(status):
    answer = make_answer(status)
    page = Page(render_answer(answer))
    for words in (
        HEADLINES[status],
        quotation(answer),
        "What this does not show",
        "How this could be wrong",
        "What was assumed",
        "however often and for whatever reason an owner asks again",
        *plain_words(answer),
    ):
        assert words in page.text
    assert "Yes" not in page.text
    assert "script" not in page.tags


def test_signs_are_no_finding_and_no_invitation():
    words = " ".join(plain_words(make_answer("too_few")))
    assert "One of twenty models that have seen neither set shows as much" in words
    assert "too few" in words
    page = Page(render_answer(make_answer("too_few"))).text
    assert "Who does so names this answer (--previous)" in page


def test_the_smallest_p_value_is_one_of_the_permutations():
    answer = make_answer("identified")
    assert answer.audit.test.p_value == pytest.approx(1e-4)
    text = Page(render_answer(answer)).text
    assert "at most 1.0 × 10⁻⁴" in text
    assert "e-value118" in text


def test_later_questions_are_shown_with_those_before():
    answer = make_answer("not_identified", earlier=(0.02, 0.3))
    page = Page(render_answer(answer))
    assert "This was question 3 about this model" in page.text
    assert "100 is needed for an answer" in page.text
    assert [row[0] for row in page.rows if row[0].isdigit()] == ["1", "2", "3"]


def test_plan_reference_and_seed_are_named():
    reference = replace(make_results(samples=90).target, name="another", fingerprint="9e" * 32)
    answer = make_answer("identified", plan=PLANNED, reference=reference, seed_given=True)
    text = Page(render_answer(answer)).text
    assert "ab" * 32 in text
    assert "What would be done was fixed before scoring (plan abababababababab)" in text
    assert "another (fingerprint 9e9e9e9e9e9e9e9e), which has not seen P" in text
    assert "A difference between P and U that the reference shows too is no sign of training" in text
    assert "chosen by whoever ran the audit" in text
    assert "--plan=PLAN" in text
    assert "--reference_evidence=DIR/reference" in text


def test_pictures_are_in_the_page_and_hostile_names_are_text(tmp_path):
    audit = make_results(samples=90)
    hostile = replace(audit.members, source=HOSTILE, pixels_sha256="77" * 32)
    answer = make_answer("identified", members=hostile)
    files = write_answer(answer, tmp_path, [{"a": b"png"}, {"b": b"png", "c": b"png"}])
    text = (tmp_path / "answer.html").read_text()
    assert text.count("data:image/png;base64,") == 3
    assert "<script>" not in text
    assert "77" * 32 in text
    assert {path.name for path in files} == {"answer.json", "members.csv", "answer.html"}
    assert read_results(tmp_path / "answer.json", OwnersAnswer) == answer


def test_members_are_listed_in_a_table_that_holds_no_formula(tmp_path):
    individuals = make_results(samples=90).individuals
    names = ("=1+1", *individuals.ids[1:])
    write_answer(make_answer("identified", individuals=replace(individuals, ids=names)), tmp_path)
    with open(tmp_path / "members.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["id"] for line in lines} == {"'=1+1", *names[1:]}
    p_values = [float(line["p_value"]) for line in lines]
    assert p_values == sorted(p_values)
    assert sum(line["listed"] == "True" for line in lines) == len(individuals.discovered)
    write_answer(make_answer("not_testable"), tmp_path)
    assert not (tmp_path / "members.csv").exists()


@pytest.mark.parametrize("status", CASES)
def test_the_terminal_says_the_same(status):
    answer, console = make_answer(status), Console(record=True, width=100)
    print_answer(answer, console)
    assert HEADLINES[status] in console.export_text()

"""How many of the pictures were used, in the page: every status, in words and as lines of a figure."""

import pytest

from jaxaudit.reports.answer.page import render_answer
from jaxaudit.reports.answer.share import how_much, share_figure
from jaxaudit.results import Interval, UsageFraction, replace
from tests.reports.answer.test_answer import make_answer
from tests.reports.audit.test_page import Page
from tests.reports.synthetic import make_results

BOUND = UsageFraction(
    status="at_least",
    at_least=0.418,
    showing=0.5,
    share=None,
    blind_at_least=0.0,
    confidence=0.99,
    num_p=90,
    num_u=90,
    num_known=0,
    sentence="",
)
KNOWN = replace(BOUND, num_known=60)
ESTIMATED = replace(KNOWN, status="estimated", share=Interval(0.586, 0.494, 0.684), possible=(0.3, 0.9))


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (BOUND, "At least 41% of them were used (99% confidence)."),
        (
            ESTIMATED,
            "About 59% of them were used (49% to 68%, 99% confidence), if these score like the pictures that "
            "are known to have been used; at least 41% in any case.",
        ),
        (
            KNOWN,
            "At least 41% of them were used (99% confidence). How many exactly cannot be told, for single "
            "pictures can hardly be told apart.",
        ),
        (replace(KNOWN, status="no_mixture"), "for the known members do not fit what was found."),
        (
            replace(KNOWN, status="known_differ"),
            "for the known members are other pictures than the unpublish",
        ),
        (replace(BOUND, status="cannot_tell", at_least=0.0), "How many of them were used cannot be told."),
    ],
)
def test_what_an_owner_is_told_of_pictures_that_were_used(usage, words):
    answer = make_answer("identified", usage=usage)
    assert words in how_much(answer)
    assert how_much(answer) in Page(render_answer(answer)).text


def test_where_nothing_was_identified_it_is_no_more_than():
    unfound = replace(ESTIMATED, at_least=0.0, share=Interval(0.02, 0.0, 0.041), possible=(0.0, 0.2))
    words = how_much(make_answer("not_identified", usage=unfound))
    assert words.startswith("If some were used after all, it was no more than 4% of them (99% confidence)")
    assert how_much(make_answer("not_identified", usage=None)) is None
    assert how_much(make_answer("not_testable", usage=None)) is None


def test_the_figure_has_a_line_for_what_is_known():
    for usage, lines in ((BOUND, 1), (ESTIMATED, 3), (replace(KNOWN, possible=(0.1, 1.0)), 2)):
        (axes,) = share_figure(usage).axes
        assert len(axes.get_yticks()) == lines
        assert list(axes.lines[0].get_xdata()) == [usage.at_least, 1.0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["possible at all", "at least"]


def test_the_page_names_the_known_members_and_the_exhibit():
    audit = make_results(samples=90)
    known = replace(audit.members, source="folder:known", num_images=60)
    named = replace(audit.individuals, discovered=audit.individuals.ids[:4])
    answer = make_answer("identified", usage=ESTIMATED, known=known, individuals=named)
    page = Page(render_answer(answer))
    for words in (
        "The 60 known members were used for certain",
        "--known_members=folder:known",
        "--known_evidence=DIR/known",
        "4 of 90 can be named singly",
    ):
        assert words in page.text
    assert ("a", "exhibit.html") in page.references
    assert "exhibit.html" not in render_answer(replace(answer, status="not_identified"))

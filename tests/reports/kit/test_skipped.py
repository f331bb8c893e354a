"""Pictures that were left out are listed wherever results are shown."""

import io

import pytest
from rich.console import Console

from jaxaudit.reports import print_results
from jaxaudit.reports.audit.page import render_html
from jaxaudit.reports.kit.skipped import print_skipped, skipped_list
from jaxaudit.results import replace
from tests.reports.synthetic import make_results

SKIPPED = {"members": {"a [b]/x.png": "it is damaged", "<i>.png": "it is torn"}, "nonmembers": {}}


def printed(show, *arguments):
    stream = io.StringIO()
    show(*arguments, Console(file=stream, width=80))
    return stream.getvalue()


def test_each_picture_has_its_line_with_the_reason():
    assert printed(print_skipped, SKIPPED).splitlines() == [
        "Left out of the members, for they cannot be used: 2",
        "  a [b]/x.png: it is damaged",
        "  <i>.png: it is torn",
    ]
    page = skipped_list(SKIPPED)
    assert "Left out of the members, for they cannot be used: 2" in page
    assert "&lt;i&gt;.png: it is torn" in page
    assert "nonmembers" not in page


def test_nothing_is_said_where_nothing_was_left_out():
    assert printed(print_skipped, {"members": {}}) == ""
    assert skipped_list({"members": {}}) == ""


@pytest.mark.parametrize("side", ["members", "nonmembers"])
def test_an_audit_lists_them(side):
    results = make_results()
    images = replace(getattr(results, side), skipped={"x.png": "it is damaged"})
    results = replace(results, **{side: images})
    for shown in (printed(print_results, results), render_html(results)):
        assert f"Left out of the {side}" in shown
        assert "x.png: it is damaged" in shown

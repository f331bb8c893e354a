"""The exhibit on paper: what it means, each picture with its hashes, and nothing left of an earlier one."""

import csv

import pytest

from jaxaudit.reports.exhibit.page import MOST_SHOWN, meaning, render_exhibit
from jaxaudit.reports.files import write_exhibit
from jaxaudit.results import Exhibit, ExhibitPicture, read_results
from tests.reports.audit.test_page import Page
from tests.reports.synthetic import HOSTILE, make_results


def make_exhibit(named=3, total=5):
    audit = make_results(samples=90)
    pictures = tuple(
        ExhibitPicture(
            id=f"=picture {row}",
            named=row < named,
            score=1.0 - row,
            p_value=0.001 * (row + 1),
            adjusted_p_value=0.002 * (row + 1),
            file_sha256=f"{row:064x}" if row else None,
            pixels_sha256=f"{row + 1000:064x}",
            shown_sha256=f"{row + 2000:064x}",
        )
        for row in range(total)
    )
    return Exhibit(
        target=audit.target,
        source=HOSTILE,
        unpublished="folder:u",
        finding=audit.finding.sentence,
        question="9a" * 32,
        q=0.05,
        num_u=90,
        pictures=pictures,
    )


def test_the_page_says_what_it_means_and_shows_each_picture_with_its_hashes():
    exhibit = make_exhibit()
    page = Page(render_exhibit(exhibit, {picture.id: b"png" for picture in exhibit.named}))
    for words in (
        "3 of 5 pictures can be named",
        *meaning(exhibit),
        exhibit.finding,
        "sha256sum FILE",
        "none of its own",
        *(picture.pixels_sha256 for picture in exhibit.named),
        *(picture.shown_sha256 for picture in exhibit.named),
        exhibit.named[1].file_sha256,
        str(exhibit.target.fingerprint),
    ):
        assert words in page.text
    assert exhibit.pictures[4].pixels_sha256 not in page.text
    assert "script" not in page.tags
    assert page.tags.count("img") == 3


def test_of_many_pictures_the_strongest_are_shown():
    exhibit = make_exhibit(named=MOST_SHOWN + 2, total=MOST_SHOWN + 9)
    page = Page(render_exhibit(exhibit, {}))
    assert "And 2 more, in exhibit.csv." in page.text
    assert exhibit.named[MOST_SHOWN - 1].pixels_sha256 in page.text
    assert exhibit.named[MOST_SHOWN].pixels_sha256 not in page.text


def test_the_files_are_all_there_or_all_gone(tmp_path):
    exhibit = make_exhibit()
    files = write_exhibit(exhibit, {}, tmp_path)
    assert {path.name for path in files} == {"exhibit.json", "exhibit.csv", "exhibit.html"}
    assert read_results(tmp_path / "exhibit.json", Exhibit) == exhibit
    with open(tmp_path / "exhibit.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["named"] for line in lines] == ["True"] * 3 + ["False"] * 2
    assert lines[0]["id"] == "'=picture 0"  # no formula
    assert (lines[0]["file_sha256"], lines[1]["file_sha256"]) == ("", f"{1:064x}")
    assert float(lines[4]["adjusted_p_value"]) == pytest.approx(0.01)
    assert write_exhibit(None, {}, tmp_path) == []
    assert not list(tmp_path.iterdir())

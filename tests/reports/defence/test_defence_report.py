import csv
import io
import re

import pytest

from jaxaudit.reports.defence.figure import defence_curves
from jaxaudit.reports.defence.page import render_defences
from jaxaudit.reports.defence.rows import called, defences_csv, headline, sentence
from jaxaudit.results import (
    DefenceFacts,
    DefencePoint,
    DefenceResults,
    DefendedTarget,
    Extracted,
    Interval,
    LevelLeakage,
    Quality,
    QueriedTpr,
    replace,
)
from jaxaudit.results.mitigation import OriginalTarget


def around(value, half=0.05):
    return Interval(value, value - half, value + half)


def point(kind, strength, loss, a0, a2, **others):
    given = {
        "name": kind,
        "seeds": 1,
        "frechet": around(0.3),
        "diversity": around(0.9),
        "extracted": {"A0": around(0.1), "A1": around(0.1), "A2": around(0.4)},
        "needed": {"A0": None, "A1": 20, "A2": 6},
        "at_least": {"A0": 0.0, "A1": 0.5, "A2": 0.9},
        "frontier": False,
        "effect": "not shown",
        "random_units": None,
        "variants": 0.2,
        "queries_back": None,
        **others,
    }
    tpr = {"A0": around(a0), "A1": around(a0), "A2": around(a2)}
    return DefencePoint(kind=kind, strength=strength, heldout_loss=around(loss), tpr=tpr, **given)


def make_results():
    extracted = Extracted("sampling", around(0.5), 3, 6, 0, 5)
    levels = tuple(
        LevelLeakage(level, f"asked as ever: {level}", around(0.9), 0.004, "b", None, "c", 0.2, extracted)
        for level in ("A0", "A1", "A2")
    )
    one = DefendedTarget(
        defence=DefenceFacts("fresh_noise", 1.0, 0, "fresh_noise"),
        quality=Quality(around(3.0), None, around(0.9)),
        levels=levels,
        by_queries=(QueriedTpr(4, around(0.9)),),
        difference=around(0.2),
    )
    return DefenceResults(
        target=OriginalTarget(name="a & b", family="var", fingerprint=None),
        members="folder:a",
        nonmembers="folder:b",
        measured_on=(1450, 1449),
        factor=0.5,
        most_queries=4,
        alpha=0.01,
        seed=0,
        measured=(one,),
        points=(
            point("undefended", 0.0, 3.0, 0.9, 0.9, effect=None),
            point("fresh_noise", 1.0, 3.4, 0.0, 0.9, effect="none", queries_back=16),
            point("variant", 400.0, 2.9, 0.1, 0.2, effect="protects", frontier=True, name="early <stopping>"),
        ),
    )


def test_the_finding_names_what_protects_and_what_only_seemed_to():
    results = make_results()
    assert headline(results) == "What still protects against an attacker who knows it: early <stopping>"
    said = sentence(results)
    assert "finds 90.0% (85.0% to 95.0%) of the members of a & b" in said
    assert "fresh noise seemed to help" in said
    assert "Nothing is better in both than early <stopping>, 400 (20.0% at 2.900)." in said
    nothing = replace(results, points=results.points[:2])
    assert headline(nothing) == "No defence protects against an attacker who knows it"


def test_the_page_is_whole_and_escapes_names():
    page = render_defences(make_results())
    assert "a &amp; b" in page
    assert "early &lt;stopping&gt;" in page
    assert "early <stopping>" not in page
    for text in ("fresh noise, σ 1", "asked as ever: A2", "1,450 members", "answers that undo it"):
        assert text in page


def test_the_figure_has_a_curve_per_defence_and_rings_the_frontier():
    axes, extracted = (figure := defence_curves(make_results())).axes
    assert not [line for line in extracted.lines if line.get_markerfacecolor() == "none"]
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert len(rings) == 1
    assert rings[0].get_xydata().tolist() == [[2.9, 20.0]]
    names = {text.get_text() for text in figure.texts}
    assert {"undefended", "fresh noise", "early <stopping>"} <= names
    faint = [line for line in axes.lines if line.get_alpha() == 0.35 and line.get_linestyle() == "-"]
    assert [line.get_xydata().tolist() for line in faint] == [
        [[3.0, 90.0], [3.4, 0.0]],
        [[3.0, 90.0], [2.9, 10.0]],
    ]


def test_the_csv_has_a_line_per_strength_and_three_columns_per_interval():
    lines = list(csv.DictReader(io.StringIO(defences_csv(make_results()))))
    assert [line["kind"] for line in lines] == ["undefended", "fresh_noise", "variant"]
    found = [float(lines[1][f"tpr_A2_{name}"]) for name in ("estimate", "low", "high")]
    assert found == pytest.approx([0.9, 0.85, 0.95])
    assert lines[1]["needed_A2"] == "6"
    assert not any(re.search("Interval", value) for line in lines for value in line.values())


def test_strengths_are_told_in_their_units():
    assert [called(each) for each in make_results().points] == [
        "undefended",
        "fresh noise, σ 1",
        "early <stopping>, 400",
    ]
    assert called(point("random", 0.2, 1, 0, 0)) == "random units, 20%"

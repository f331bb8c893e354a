"""What is said and drawn of matched sets."""

import pytest
from rich.console import Console

from jaxaudit.reports.fair_sets.figures import balance_figure, odds_figure
from jaxaudit.reports.fair_sets.page import render_fair_sets
from jaxaudit.reports.fair_sets.rows import print_fair_sets, sentence
from jaxaudit.reports.files import write_fair_sets
from jaxaudit.results import (
    FairSets,
    FeatureBalance,
    Gate,
    Histogram,
    Interval,
    PoolUse,
    SetLikeness,
    replace,
)


def comparison(auc, p_value, *, size=40, between=0.5):
    estimate = Interval(auc, auc - 0.03, auc + 0.03)
    gate = Gate(
        passed=p_value > 0.1, p_value=p_value, p_values={"features": p_value}, auc=estimate, level=0.1,
        detectable_shift=0.4, num_p=size, num_u=size, num_features=2, permutations=999, seed=0,
    )  # fmt: skip
    return SetLikeness(
        num_p=size, num_u=size, auc=estimate, gate=gate, between=between, within_p=0.1, within_u=None
    )


def make_results(**changes):
    pool = PoolUse(
        source="folder:p", pictures=100, repeated=20, copies=1, other_class=2, unmatched=30, unbalanced=7,
        matched=40, skipped={"a.png": "it is damaged"},
    )  # fmt: skip
    results = FairSets(
        answer="equal",
        pools={"p": pool, "u": replace(pool, source="folder:<u>", skipped={})},
        features={"pictures": 2},
        left_out=("captions",),
        num_classes=3,
        image_size=64,
        classifiers=((Interval(0.8, 0.7, 0.9), Interval(0.5, 0.4, 0.6)), (Interval(0.7, 0.6, 0.8),)),
        before=comparison(0.8, 0.001, size=79, between=None),
        after=comparison(0.5, 0.4),
        balance=(FeatureBalance("mean_red", -1.5, 0.01), FeatureBalance("gradient_x", 0.2, -0.05)),
        before_odds=Histogram((-1.0, 0.0, 1.0), (9, 70), (70, 9)),
        after_odds=Histogram((-1.0, 0.0, 1.0), (20, 20), (20, 20)),
        margin=0.05,
        pairs_needed=181,
        seed=0,
    )
    return replace(results, **changes)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("equal", "AUC of 0.500 (0.470 to 0.530) (0.800 before)"),
        ("equal", "finds no difference (p = 0.40): alike, within the margin of 0.550"),
        ("different", "a verdict should not rest on them"),
        ("too_few", "about 181 pairs would show it"),
    ],
)
def test_the_sentence_says_what_was_found(answer, words):
    assert words in sentence(make_results(answer=answer))


def test_terminal_page_and_files_say_the_same(tmp_path):
    results = make_results()
    console = Console(record=True, width=100)
    print_fair_sets(results, console)
    printed, page = console.export_text(), render_fair_sets(results)
    for text in ("left out for balance", "mean red", "−1.50", "0.800 (0.770 to 0.830)"):
        assert text in printed
        assert text in page
    assert "Not compared: captions" in printed
    assert "a.png: it is damaged" in printed
    assert "folder:<u>" not in page
    files = write_fair_sets(results, tmp_path)
    assert {path.name for path in files} == {
        "results.json", "odds.png", "odds.svg", "balance.png", "balance.svg", "report.html",
    }  # fmt: skip
    assert all(path.stat().st_size for path in files)


def test_figures_draw_every_side_and_feature():
    results = make_results()
    shares = [bar.get_height() for axes in odds_figure(results).axes for bar in axes.patches]
    assert sum(shares[:2]) == pytest.approx(100)  # of P
    assert sum(shares[2:4]) == pytest.approx(-100)  # of U, below the line
    (axes,) = balance_figure(results).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["mean red", "gradient x"]
    assert axes.lines[1].get_xdata().tolist() == [-1.5, 0.2]

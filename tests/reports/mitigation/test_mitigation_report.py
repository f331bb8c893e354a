import csv
import io

import pytest
from rich.console import Console

from jaxaudit.reports.files import write_mitigation
from jaxaudit.reports.mitigation.figure import trade_off
from jaxaudit.reports.mitigation.rows import mitigation_csv, print_mitigation
from jaxaudit.results import (
    ChangedTarget,
    ChangeFacts,
    Interval,
    Measured,
    MitigationResults,
    RequiredSize,
    replace,
)
from jaxaudit.results.extraction import BoundedRate
from jaxaudit.results.mitigation import OriginalTarget


def interval(estimate):
    return Interval(estimate, 0.9 * estimate, min(1.0, 1.1 * estimate))


def record(kind, strength, extracted, **changes):
    measured = Measured(
        score="diff/icas",
        tpr=interval(0.4),
        auc=interval(0.8),
        p_value=0.001,
        needed=RequiredSize(estimate=30, low=20, high=40, reason=None),
        extracted=extracted,
        completed=50,
        rate=interval(extracted / 50),
        false_positives=BoundedRate(count=1, trials=90, estimate=1 / 90, high=0.05),
        heldout_loss=interval(0.5),
        frechet=interval(0.1),
    )
    return ChangedTarget(ChangeFacts(kind, strength, 0.5, 0), replace(measured, **changes))


def make_results(*records):
    return MitigationResults(
        target=OriginalTarget(name="a & b", family="var", fingerprint="f00"),
        members="digits:members",
        nonmembers="digits:nonmembers",
        skipped={"members": {"x.png": "it is torn"}},
        records=records,
    )


@pytest.fixture
def results():
    return make_results(
        record("none", 0.0, 45),
        record("unit_mem", 0.05, 21, needed=None),
        record("random", 0.05, 40, needed=RequiredSize(None, None, None, "few")),
        record("noise", 1.0, 30),
    )


def test_all_files_are_written_the_same_every_time(results, tmp_path):
    first, second = (write_mitigation(results, tmp_path / name) for name in "ab")
    assert [path.name for path in first] == [
        "results.json",
        "mitigation.csv",
        "trade_off.png",
        "trade_off.svg",
        "report.html",
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    page = first[-1].read_text()
    for words in (
        "a &amp; b",
        "45 before, 21 after 5% units by UnitMem × 0.5",
        "2509.00488",
        "not testable",
        "x.png: it is torn",
    ):
        assert words in page
    assert "<script" not in page


def test_there_is_a_panel_for_each_leak_and_quality(results):
    assert len(trade_off(results).axes) == 4
    *others, last = results.records
    assert len(trade_off(make_results(*others, record("noise", 1.0, 30, frechet=None))).axes) == 2
    too_few = record("unit_mem", 0.05, 21, tpr=None, frechet=None)
    assert len(trade_off(make_results(results.records[0], too_few, last)).axes) == 1


def test_the_unchanged_target_alone_can_be_drawn(results):
    alone = make_results(results.records[0])
    assert "45 before, 45 after unchanged" in trade_off(alone).texts[0].get_text()


def test_csv_has_a_line_per_change_and_numbers(results):
    *others, _ = results.records
    results = make_results(*others, record("noise", 1.0, 30, frechet=None))
    lines = list(csv.DictReader(io.StringIO(mitigation_csv(results))))
    assert [line["kind"] for line in lines] == ["none", "unit_mem", "random", "noise"]
    assert float(lines[1]["strength"]) == 0.05
    assert float(lines[0]["rate_low"]) == pytest.approx(0.81)
    assert (lines[1]["needed_estimate"], lines[3]["frechet_low"]) == ("", "")


def test_the_table_names_every_change(results):
    console = Console(width=200, record=True, file=io.StringIO())
    print_mitigation(results, console)
    text = console.export_text()
    for words in (
        "unchanged",
        "5% random units × 0.5, seed 0",
        "output noise σ 1, seed 0",
        "more than there are",
        "not testable",
        "x.png: it is torn",
    ):
        assert words in text

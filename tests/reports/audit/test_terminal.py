import io
import re

import pytest
from rich.console import Console

from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports import print_results
from jaxaudit.reports.kit import formats
from jaxaudit.results import replace
from tests.reports.synthetic import HOSTILE, make_results


def printed(results, width=80):
    stream = io.StringIO()
    print_results(results, Console(file=stream, width=width))
    return stream.getvalue()


def flat(text):
    """The text without frames and line breaks."""
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", text))


def row(text, label):
    line = next(line for line in text.splitlines() if line.strip().startswith(label))
    return re.split(r"\s{2,}", line.strip())


def test_the_sentence_is_printed_word_for_word():
    results = make_results()
    assert results.finding.sentence in flat(printed(results))


@pytest.mark.parametrize("status", ["trained_on", "no_evidence", "not_testable", "paper"])
def test_every_verdict_fits_80_columns_without_colour(status):
    results = {
        "trained_on": make_results(),
        "no_evidence": make_results(effect=0.0),
        "not_testable": make_results(gate_shift=0.5),
        "paper": make_results(PUBLISHED),
    }[status]
    assert results.finding.status == status
    text = printed(results)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert ("Dataset inference" in text) == (status != "not_testable")


def test_membership_numbers_are_those_of_the_results():
    results = make_results()
    text = printed(results, width=100)
    membership = results.membership
    names = list(membership.groups.values())
    assert row(text, "score ")[1:] == names
    metrics = [membership.per_score[name] for name in names]
    assert row(text, "TPR at 1% FPR")[1:] == [
        formats.spread(m.tpr_at_fpr[0.01], formats.percent) for m in metrics
    ]
    assert row(text, "AUC")[1:] == [formats.spread(m.auc, formats.area) for m in metrics]
    estimate = float(re.search(r"([\d.]+) \(", row(text, "AUC")[1])[1])
    assert estimate == pytest.approx(metrics[0].auc.estimate, abs=5e-4)
    assert row(text, "TPR at 0.1% FPR")[1:] == ["too few nonmembers"] * 2
    assert membership.omitted_fprs[0].reason in flat(text)


def test_the_selected_score_is_marked_once_in_each_table():
    results = make_results()
    text = printed(results, width=100)
    assert text.count("· selected") == 2
    assert f"{results.membership.selected} · selected" in text


def test_dataset_inference_numbers_are_those_of_the_results():
    results = make_results()
    text = printed(results, width=100)
    tests = results.dataset_inference.values()
    assert row(text, "p-value")[1:] == [formats.p_value(test.p_value) for test in tests]
    assert row(text, "effect size g")[1:] == [
        formats.spread(test.welch.hedges_g, formats.effect) for test in tests
    ]
    required = [curve.required for curve in results.power_curves.values()]
    for cell, size in zip(row(text, "images needed")[1:], required, strict=True):
        assert cell.startswith(f"{size.estimate} ({size.low} to ")


def test_gate_and_control_are_printed():
    text = flat(printed(make_results()))
    gate, control = make_results().gate, make_results().null_control
    assert f"blind gate passed: AUC {gate.auc:.3f}" in text
    assert f"of {control.repetitions:,} random splits" in text
    assert "blind gate failed" in flat(printed(make_results(gate_shift=0.5)))


def test_missing_parts_are_left_out():
    results = replace(make_results(), power_curves=None, null_control=None)
    text = printed(results)
    assert "images needed" not in text
    assert "null control" not in text


def test_markup_in_names_is_plain_text():
    results = make_results()
    results = replace(
        results,
        members=replace(results.members, source=HOSTILE),
        target=replace(results.target, name="[/bold]model[red]"),
    )
    text = printed(results, width=200)
    assert HOSTILE in text
    assert "[/bold]model[red]" in text


def test_the_published_procedure_names_its_problems():
    text = flat(printed(make_results(PUBLISHED)))
    assert "picked on the very data it is reported on" in text
    assert "±" in text
    assert "confidence intervals." not in text.partition("Dataset inference")[0]

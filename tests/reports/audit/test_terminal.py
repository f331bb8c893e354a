import io
import re

import pytest
from rich.console import Console

from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports import print_results, render_html
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
    """The cells of the first line that begins with this one."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())
    return next(cells for cells in lines if cells[0] == label)


def test_the_sentence_is_printed_word_for_word():
    results = make_results()
    assert results.finding.sentence in flat(printed(results))


@pytest.mark.parametrize("status", ["trained_on", "no_evidence", "contradicted", "not_testable", "paper"])
def test_every_verdict_fits_80_columns_without_colour(status):
    results = {
        "trained_on": make_results(),
        "no_evidence": make_results(effect=0.0),
        "contradicted": make_results(effect=-0.5),
        "not_testable": make_results(gate_shift=1.0),
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
    assert row(text, "score")[1:] == names
    metrics = [membership.per_score[name] for name in names]
    assert row(text, "TPR at 1% FPR")[1:] == [
        formats.spread(m.tpr_at_fpr[0.01], formats.percent) for m in metrics
    ]
    assert row(text, "AUC")[1:] == [formats.spread(m.auc, formats.area) for m in metrics]
    estimate = float(re.search(r"([\d.]+) \(", row(text, "AUC")[1])[1])
    assert estimate == pytest.approx(metrics[0].auc.estimate, abs=5e-4)
    assert row(text, "TPR at 0.1% FPR")[1:] == ["too few nonmembers"] * 2
    assert membership.omitted_fprs[0].reason in flat(text)


def test_scores_in_bfloat16_are_marked():
    results = make_results()
    assert "0.01 of an AUC" not in flat(printed(results))
    rounded = replace(results, collected=replace(results.collected, precision="bfloat16"))
    text = flat(printed(rounded))
    assert "Scored in bfloat16: likelihoods of discrete tokens may be off by some 0.01 of an AUC" in text
    assert "Scored in bfloat16" in render_html(rounded)


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
    p_value = formats.p_value(gate.p_value)
    assert f"blind gate no difference found: p = {p_value} at a level of 10%, AUC" in text
    assert f"{gate.auc.estimate:.3f} ({gate.auc.low:.3f} to {gate.auc.high:.3f})" in text
    assert f"U against U as expected: {formats.spread(control.rejection_rate, formats.percent)}" in text
    assert f"of {control.repetitions:,} random splits" in text
    failed = flat(printed(make_results(gate_shift=1.0)))
    assert "blind gate difference found: p = " in failed
    assert "U against U" not in failed


def test_what_decided_is_printed_before_and_after_adjustment():
    results = make_results()
    text, test = printed(results, width=100), results.test
    assert row(text, "P and U can be compared")[1:] == ["as they are"]
    assert row(text, "p-value, scores as they are")[1:] == ["at most 1.0 × 10⁻⁴"]
    assert row(text, "effect size g, as they are")[1:] == [formats.spread(test.effect, formats.effect)]
    adjusted = formats.spread(test.adjusted_effect, formats.effect)
    assert row(text, "effect size g, adjusted")[1:] == [adjusted]
    assert row(text, "in the direction of training")[1:] == ["not contradicted"]
    assert row(text, "odds a hidden difference needs")[1:] == [f"× {results.sensitivity.gamma:.2f}"]
    assert row(text, "seed of the tests")[1:] == ["0, follows from the evidence"]
    contradicted = printed(make_results(effect=-0.5), width=100)
    assert row(contradicted, "in the direction of training")[1:] == ["contradicted"]
    assert "What the verdict rests on" not in printed(make_results(PUBLISHED))


def test_who_chose_the_seed_is_said():
    text = printed(replace(make_results(), seed=7, seed_given=True), width=100)
    assert row(text, "seed of the tests")[1:] == ["7, chosen by whoever ran the audit"]


def test_missing_parts_are_left_out():
    results = replace(make_results(), power_curves=None, null_control=None)
    text = printed(results)
    assert "images needed" not in text
    assert "U against U" not in text


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

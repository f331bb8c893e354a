import csv
import io

import pytest
from rich.console import Console

from jaxaudit.audits.comparison import compared, comparison
from jaxaudit.reports.comparison.page import render_comparison
from jaxaudit.reports.comparison.rows import comparison_csv, comparison_latex, correlation, print_comparison
from jaxaudit.reports.files import write_comparison
from jaxaudit.results import ComparisonResults, GenerationCost, decode, encode, replace
from tests.reports.synthetic import make_results


@pytest.fixture(scope="module")
def rows():
    strong = make_results(effect=2.0)
    strong = replace(
        strong,
        target=replace(strong.target, name="targets/strong_model"),
        collected=replace(strong.collected, gflop_per_image=12.5),
    )
    small = make_results(samples=90)
    return [compared(results) for results in (strong, small)]


def test_a_row_is_what_the_audit_found(rows):
    results = make_results(effect=2.0)
    membership, row = results.membership, rows[0]
    assert row.target == "strong_model"
    assert row.best == membership.selected
    assert row.best_tpr == membership.per_score[row.best].tpr_at_fpr[0.01]
    assert row.baseline == membership.groups["cond"]
    assert row.needed == results.power_curves["diff"].required


def test_csv_holds_numbers_and_intervals(rows):
    strong, small = csv.DictReader(io.StringIO(comparison_csv(rows)))
    assert float(strong["best_tpr_low"]) == rows[0].best_tpr.low
    assert float(strong["gflop"]) == 12.5
    assert int(strong["needed_estimate"]) == rows[0].needed.estimate
    assert small["best_tpr_estimate"] == ""  # 60 nonmembers allow no false positive at 1%


def test_latex_is_a_table_of_escaped_text(rows):
    lines = comparison_latex(rows).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
    assert lines[4].startswith(r"strong\_model & ")
    assert all(line.count(" & ") == 8 for line in lines[2:3] + lines[4:6])
    assert "too few nonmembers" in lines[5]


def test_the_table_shows_every_target(rows):
    console = Console(width=100, record=True, file=io.StringIO())
    print_comparison(comparison(rows), console)
    text = console.export_text()
    assert "strong_model" in text
    assert rows[0].best in text


def test_all_files_are_written(rows, tmp_path):
    written = write_comparison(comparison(rows), tmp_path / "new")
    assert [path.name for path in written] == [
        "comparison.json",
        "comparison.csv",
        "comparison.tex",
        "comparison.png",
        "comparison.svg",
        "report.html",
    ]
    assert all(path.stat().st_size for path in written)


def family(rows):
    """Six of the first row, by growing size, training and cost."""
    return comparison(
        [
            replace(
                rows[0],
                target=f"w{size}_s{steps}",
                num_params=1000 * size,
                training_steps=steps,
                generation=GenerationCost(0.1 * size, 0.01 * size, "cpu"),
                auc=replace(rows[0].auc, estimate=0.5 + 0.1 * size + 0.001 * steps),
            )
            for size in (1, 2)
            for steps in (10, 20, 40)
        ]
    )


def test_what_leakage_goes_with_is_told_and_drawn(rows, tmp_path):
    results = family(rows)
    assert decode(encode(results), ComparisonResults, "it") == results
    console = Console(width=160, record=True, file=io.StringIO())
    print_comparison(results, console)
    said, page = console.export_text(), render_comparison(results)
    assert "w2_s40" in said  # a line of many
    for one in results.correlations:
        assert correlation(one.spearman) in said
        assert correlation(one.spearman) in page
    assert "checkpoints of one run" in said
    written = write_comparison(results, tmp_path)
    assert {path.name for path in written} >= {"scaling.png", "scaling.svg"}
    line = next(csv.DictReader(io.StringIO(comparison_csv(results.targets))))
    assert (line["training_steps"], line["generation_gflop"]) == ("10", "0.1")

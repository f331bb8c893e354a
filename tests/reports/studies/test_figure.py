"""Figures of the studies: what they draw is what the results hold, and files are reproducible."""

import matplotlib
import numpy as np
import pytest

from jaxaudit.audits.studies import STUDIES, StudiesConfig, run_study
from jaxaudit.reports.kit import style
from jaxaudit.reports.studies.figure import study_figure
from jaxaudit.results import FalsePositiveRate, Interval, NullStudyResults, replace
from jaxaudit.stats.cdi.sampling import StudyConfig
from tests.evidence_tables import make_evidence


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("evidence")
    evidence = [
        make_evidence(root / name, target=name, seed=seed) for seed, name in enumerate(("one", "$two$"))
    ]
    config = StudiesConfig(StudyConfig(repetitions=30), sizes=(20, 60, 140))
    return {study: run_study(study, evidence, config) for study in STUDIES}


def lines(figure):
    return {line.get_gid(): line for axes in figure.axes for line in axes.lines if line.get_gid()}


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("study", STUDIES)
def test_files_are_the_same_every_time(study, results, tmp_path):
    written = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        written.append(style.save(study_figure(results[study]), tmp_path / attempt, study))
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()
    figure = study_figure(results[study])
    assert study == "p_value" or {"one", "$two$"} <= set(texts(figure))
    assert any("30 draws each, procedure 'split', α = 1%" in text for text in texts(figure))


def test_targets_share_the_p_value_panels(results):
    drawn = lines(study_figure(results["p_value"]))
    for target in results["p_value"].targets:
        x, y = drawn[f"share-{target.target}"].get_data()
        assert list(x) == [20, 60, 140]
        np.testing.assert_allclose(y, [point.identified.estimate for point in target.points])
        medians = [point.p_quantiles[0.5] for point in target.points]
        y = np.array(drawn[f"p-{target.target}"].get_ydata())
        seen = np.array(medians) > 1e-11
        np.testing.assert_allclose(y[seen], np.array(medians)[seen])


def test_the_published_procedure_shows_mean_p_values(results):
    figure = study_figure(replace(results["p_value"], procedure="paper"))
    points = results["p_value"].targets[0].points
    assert lines(figure)["p-one"].get_ydata()[0] == pytest.approx(points[0].mean_p)
    assert "mean p-value" in texts(figure)


def test_contamination_has_a_line_per_size(results):
    figure = study_figure(results["contamination"])
    points = [p for p in results["contamination"].targets[1].points if p.series == "60 images"]
    x, y = lines(figure)["share-60 images"].get_data()  # of the last panel
    np.testing.assert_allclose(x, [point.ratio for point in points])
    np.testing.assert_allclose(y, [point.identified.estimate for point in points])


def test_set_membership_shows_the_best_scores_only(results):
    figure = study_figure(results["set_membership"])
    for axes in figure.axes:
        names = [line.get_gid() for line in axes.lines if line.get_gid()]
        assert len(names) == 5
        assert names[0] == "share-CDI"
    assert lines(figure)["share-CDI"].get_linewidth() > 2


def test_the_table_prints_every_share(results):
    target = results["features"].targets[0]
    figure = study_figure(results["features"])
    axes = next(axes for axes in figure.axes if axes.get_gid() == "table-one")
    printed = np.array([float(text.get_text()) for text in axes.texts]).reshape(len(target.sets), 3)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    for point in target.points:
        row = labels.index(f"{point.series} ({len(target.sets[point.series])})")
        column = (20, 60, 140).index(point.num_p)
        assert abs(printed[row, column] - 100 * point.identified.estimate) <= 0.5


def test_roc_curves(results):
    figure = study_figure(results["roc"])
    curve = results["roc"].targets[1].curves[1]
    x, y = lines(figure)["curve-60 images"].get_data()
    np.testing.assert_allclose(x[1:], np.maximum(curve.fpr[1:], 1e-4))
    np.testing.assert_allclose(y[1:], np.maximum(curve.tpr[1:], 1e-4))


def test_false_positive_rates():
    common = {"alpha": 0.01, "repetitions": 500, "confidence": 0.95, "seed": 0}

    def rate(procedure, accused, small):
        return FalsePositiveRate(
            procedure=procedure,
            kind="heavy_tails",
            num_p=20,
            num_u=100,
            num_features=26,
            accused=Interval(accused, accused / 2, accused * 2),
            small_p=Interval(small, accused / 2, accused * 2),
            mean_p=0.5,
            **common,
        )

    rates = (rate("split", 0.008, 0.008), rate("paper", 0.02, 0.06))
    figure = study_figure(NullStudyResults(rates=rates, **common))
    (axes,) = figure.axes
    dots = sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o")
    assert dots == [0.008, 0.02, 0.06]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "split, heavy tails, 20 vs 100",
        "paper, heavy tails, 20 vs 100",
    ]

import math
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports import draw_figures
from jaxaudit.reports.audit.figures import make_figures
from jaxaudit.reports.kit import style
from jaxaudit.results import replace
from tests.reports.synthetic import make_results


def line(figure, gid):
    return next(artist for axes in figure.axes for artist in axes.lines if artist.get_gid() == gid)


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_files_of_each_figure_are_written_and_are_the_same_every_time(tmp_path):
    results = make_results()
    paths = draw_figures(results, tmp_path / "one")
    assert [path.name for path in paths] == [
        f"{name}.{kind}" for name in ("roc", "scores", "auc", "p_value") for kind in ("png", "svg")
    ]
    with matplotlib.rc_context({"font.size": 20, "text.color": "red"}):  # a user's own settings
        again = draw_figures(results, tmp_path / "two")
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    with Image.open(paths[0]) as picture:
        assert picture.size == (1160, 1180)
    for path in paths[1::2]:
        ElementTree.parse(path)


def test_the_roc_figure_draws_the_curve_of_the_results():
    results = make_results()
    figure = make_figures(results)["roc"]
    for view, name in results.membership.groups.items():
        x, y = line(figure, f"curve-{view}").get_data()
        curve = results.membership.curves[name]
        np.testing.assert_allclose(x[1:], curve.fpr[1:])
        drawn = np.array(y) > figure.axes[0].get_ylim()[0]
        np.testing.assert_allclose(np.array(y)[drawn], np.array(curve.tpr)[drawn])
        assert np.all(np.array(curve.tpr)[~drawn] < figure.axes[0].get_ylim()[0])


def test_a_curve_that_begins_at_no_true_positive_lies_below_the_picture():
    results = make_results()
    name = results.membership.groups["diff"]
    curve = results.membership.curves[name]
    results.membership.curves[name] = replace(curve, tpr=(0.0,) * 5 + curve.tpr[5:])
    figure = make_figures(results)["roc"]
    y = line(figure, "curve-diff").get_ydata()
    assert all(math.isfinite(value) and value > 0 for value in y)
    assert max(y[:5]) < figure.axes[0].get_ylim()[0]


def test_titles_say_what_is_seen_with_the_numbers_of_the_results():
    results = make_results(effect=2.5)
    membership = results.membership
    best = membership.per_score[membership.selected]
    figures = make_figures(results)
    rate = best.tpr_at_fpr[0.01].estimate
    assert any(text.endswith(f"finds {rate:.1%} of members") for text in texts(figures["roc"]))
    assert any(f"{best.auc.estimate:.1%} of pairs" in text for text in texts(figures["scores"]))
    needed = results.power_curves["diff"].required.estimate
    assert any(text.startswith(f"{needed} images are enough") for text in texts(figures["p_value"]))


def test_the_histograms_are_shares_of_each_side():
    results = make_results()
    figure = make_figures(results)["scores"]
    for axes, view in zip(figure.axes, ("cond", "diff"), strict=True):
        histogram = results.histograms[results.membership.groups[view]]
        drawn = [patch.get_data() for patch in axes.patches]
        for values, edges, _ in drawn:
            np.testing.assert_allclose(edges, histogram.edges)
            assert sum(values) == pytest.approx(1)
        np.testing.assert_allclose(drawn[-1][0], np.array(histogram.members) / 600)


def test_the_p_value_figure_draws_medians_rates_and_sizes_of_the_results():
    results = make_results()
    figure = make_figures(results)["p_value"]
    for view, curve in results.power_curves.items():
        points = curve.points
        x, y = line(figure, f"median-{view}").get_data()
        assert list(x) == [point.n for point in points]
        seen = np.array(y) > figure.axes[0].get_ylim()[0]
        medians = np.array([point.p_quantiles[0.5] for point in points])
        np.testing.assert_allclose(np.array(y)[seen], medians[seen])
        rates = line(figure, f"rejection-rate-{view}").get_ydata()
        np.testing.assert_allclose(rates, [point.rejection_rate.estimate for point in points])
        assert list(line(figure, f"needed-{view}").get_xdata()) == [curve.required.estimate]


def test_the_published_procedure_is_drawn_with_its_criterion():
    results = make_results(PUBLISHED)
    figure = make_figures(results)["p_value"]
    means = line(figure, "mean-diff").get_ydata()
    assert means[0] == pytest.approx(results.power_curves["diff"].points[0].mean_p)
    assert not any("power" in text for text in texts(figure))


def test_without_a_verdict_there_is_no_p_value_figure_and_a_caveat(tmp_path):
    figures = make_figures(make_results(gate_shift=0.5))
    assert list(figures) == ["roc", "scores", "auc"]
    for figure in figures.values():
        assert any("the sets differ: no evidence" in text for text in texts(figure))


def test_a_set_too_small_for_any_rate_or_size_is_drawn():
    figures = make_figures(make_results(samples=90))
    assert any("reaches an AUC of" in text for text in texts(figures["roc"]))
    assert any("more than 80" in text for text in texts(figures["p_value"]))


def test_dollar_signs_are_no_formula():
    results = make_results()
    name = results.membership.groups["diff"]
    results.membership.groups["diff"] = odd = "diff/$x^2$"
    for part in (results.membership.per_score, results.membership.curves, results.histograms):
        part[odd] = part[name]
    assert "diff/$x^2$" in style.to_svg(make_figures(results)["roc"], "roc")


def test_every_score_has_its_auc_best_first():
    results = make_results(effect=2.5)
    found = results.membership
    figure = make_figures(results)["auc"]
    (axes,) = figure.axes
    dots = [artist.get_data() for artist in axes.lines if artist.get_marker() == "o"]
    expected = sorted((metrics.auc.estimate for metrics in found.per_score.values()), reverse=True)
    np.testing.assert_allclose([x[0] for x, _ in dots], expected[:40])
    assert [y[0] for _, y in dots] == list(range(len(dots)))
    names = {text.get_text(): text.get_fontweight() for text in axes.texts}
    assert names[found.selected] == "bold"
    assert names.keys() <= set(found.per_score)


def test_forty_scores_are_shown_at_most():
    results = make_results()
    name, metrics = next(iter(results.membership.per_score.items()))
    many = {f"{name}_{i}": metrics for i in range(60)} | results.membership.per_score
    figure = make_figures(replace(results, membership=replace(results.membership, per_score=many)))["auc"]
    assert len(figure.axes[0].texts) == 40
    assert any(f"the 40 best of {len(many)} scores" in text for text in texts(figure))

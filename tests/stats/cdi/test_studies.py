"""The studies: their settings, their limits, and what they must show."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED_FOLDS
from jaxaudit.stats import identification_power
from jaxaudit.stats.cdi import draws, scorer, studies
from jaxaudit.stats.cdi.feature_sets import ablation_sets, access_sets
from tests.stats import simulated

CONFIG = studies.StudyConfig(repetitions=200)
NAMES = [f"cond/score_{j}" for j in range(6)]


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    p, u = simulated.features(rng, (600, 6), shift=0.8), simulated.features(rng, (500, 6))
    return tuple(dict(zip(NAMES, side.T, strict=True)) for side in (p, u))


def test_contamination_weakens_the_test_until_it_is_silent(sides):
    points = studies.contamination(*sides, CONFIG, sizes=(20, 40, 300, 600), ratios=(0, 0.05, 0.1, 0.5, 1))
    settings = [(point.num_p, point.ratio) for point in points]
    assert settings == [
        *((20, ratio) for ratio in (0, 0.05, 0.1, 0.5, 1)),
        *((40, ratio) for ratio in (0, 0.05, 0.1, 0.5, 1)),
        *((300, ratio) for ratio in (0, 0.05, 0.1, 0.5)),  # 600 nonmembers there are not
    ]
    rates = {(point.num_p, point.ratio): point.identified.estimate for point in points}
    assert rates[40, 0] > rates[40, 0.1] > rates[40, 0.5] > rates[40, 1]
    assert rates[40, 1] <= 0.03
    by_setting = {(point.num_p, point.ratio): point for point in points}
    assert by_setting[300, 0].independent_draws == 1  # 300 of 500 nonmembers
    assert by_setting[40, 0.5].independent_draws == min(600 // 20, 500 // 60)


def test_contaminated_sets_are_mixtures_without_overlap(sides, monkeypatch):
    drawn = []

    def record(pool, p, u, **options):
        drawn.append((p, u))
        return np.full(len(p), 0.5), np.zeros(len(p))

    monkeypatch.setattr(draws, "draw_p_values", record)
    studies.contamination(*sides, CONFIG, sizes=(40,), ratios=(0.3,))
    ((p, u),) = drawn
    assert p.shape == u.shape == (200, 40)
    for one, other in zip(p, u, strict=True):
        assert len({*one, *other}) == 80
        assert (one >= 600).sum() == 12
    assert (u >= 600).all()
    assert 4 < (p[:, :20] >= 600).sum(axis=1).mean() < 8  # they stand anywhere


def test_imbalance(sides):
    points = studies.imbalance(*sides, CONFIG, sizes=(40, 300), ratios=(0.1, 0.5, 1, 2, 10))
    rates = {(point.series, point.ratio): point.identified.estimate for point in points}
    assert ("40 images", 0.1) not in rates  # 4 of U are too few to split
    assert ("300 images, nonmembers", 1) not in rates
    assert rates["40 images", 10] > rates["40 images", 0.5]
    assert all(rate <= 0.04 for (series, _), rate in rates.items() if series.endswith("nonmembers"))
    assert {point.num_u for point in points if point.num_p == 300} == {30, 150, 300}
    with pytest.raises(InputError, match="as many samples of U as of P"):
        studies.imbalance(*sides, studies.StudyConfig(PUBLISHED_FOLDS))


def test_a_level_that_few_relabellings_cannot_show_takes_more(sides):
    """Of 999 relabellings the smallest p-value is 0.001."""
    found = studies.imbalance(
        *sides, studies.StudyConfig(alpha=5e-4, repetitions=20), sizes=(150,), ratios=(2,)
    )
    assert found[0].identified.estimate == 1
    with pytest.raises(InputError, match=r"9999 permutations cannot give a p-value of 1e-05"):
        studies.imbalance(*sides, studies.StudyConfig(alpha=1e-5), sizes=(150,), ratios=(2,))


def test_set_membership_compares_with_maximum_and_mean_of_scores(sides):
    points = studies.set_membership(*sides, CONFIG, sizes=(20, 100))
    rates = {(point.series, point.num_p): point.identified.estimate for point in points}
    assert len(rates) == 2 * (1 + 2 * 6)
    assert rates["cond/score_0, mean", 100] > rates["cond/score_0, maximum", 100]
    assert rates["CDI", 100] > rates["CDI", 20]
    # Slowly: the threshold is the third largest of 200 nonmember sets (two may lie above, at 1%).
    config = studies.StudyConfig(repetitions=200, seed=5)
    point = studies.set_membership(*sides, config, sizes=(30,))[2]
    assert point.series == "cond/score_0, mean"
    rng = np.random.default_rng(5)
    scores = np.concatenate([side["cond/score_0"] for side in sides])
    sets = [
        scores[rows].mean(axis=1)
        for rows in (draws.draw_rows(600, 30, 200, rng), 600 + draws.draw_rows(500, 30, 200, rng))
    ]
    assert point.identified.estimate == pytest.approx(np.mean(sets[0] > np.sort(sets[1])[-3]))
    assert point.mean_p is None


def test_roc_of_sets(sides):
    curves = studies.identification_roc(*sides, CONFIG, sizes=(20, 60, 250, 300))
    assert [curve.n for curve in curves] == [20, 60, 250]
    assert curves[0].auc < curves[1].auc <= curves[2].auc
    assert curves[2].auc > 0.99
    assert all(curve.accused <= 0.04 for curve in curves)
    assert (curves[0].fpr[-1], curves[0].tpr[-1]) == (1, 1)
    assert curves[1].tpr_at_alpha == pytest.approx(curves[1].identified, abs=0.15)


def test_ablation_tests_single_scores_by_themselves(sides):
    sets = {"one": NAMES[:1], "two": NAMES[:2], "all": NAMES}
    points = studies.ablation(*sides, sets, CONFIG, sizes=(50,))
    assert [(point.series, point.num_p) for point in points] == [("one", 50), ("two", 50), ("all", 50)]
    scores = np.concatenate([side[NAMES[0]] for side in sides])
    rng = np.random.default_rng(0)
    p_rows, u_rows = draws.draw_rows(600, 50, 200, rng), 600 + draws.draw_rows(500, 50, 200, rng)
    p_values, _ = draws.direct_p_values(scores, p_rows, u_rows)
    assert points[0].mean_p == pytest.approx(p_values.mean(), rel=1e-6)
    pool, _ = scorer.make_pool(
        np.stack([np.concatenate([side[name] for side in sides]) for name in NAMES], axis=1)
    )
    assert points[2].mean_p == pytest.approx(draws.draw_p_values(pool, p_rows, u_rows)[0].mean(), rel=1e-6)


def test_a_power_curve_becomes_points(sides):
    curve = identification_power(*sides, grid=(20, 40), repetitions=50)
    points = studies.curve_points(curve, "digits_var")
    assert [(point.series, point.num_p, point.identified) for point in points] == [
        ("digits_var", point.n, point.rejection_rate) for point in curve.points
    ]


def test_sizes_that_do_not_fit_are_refused(sides):
    with pytest.raises(
        InputError, match=r"No size of 501, 5 lies between 10, .*600 members and 500 nonmembers"
    ):
        studies.contamination(*sides, CONFIG, sizes=(501, 5))
    with pytest.raises(InputError, match="0 are too few"):
        studies.contamination(*sides, studies.StudyConfig(repetitions=0))


def test_feature_sets():
    names = ["pia", "pian", "gradient_masking_0", "gradient_masking_900", "noise_opt_error", "noise_opt_norm"]
    access = {name: "white-box" if "g_" in name or "opt" in name else "gray-box" for name in names}
    assert access_sets(names, access) == {"gray-box": names[:2], "white-box": names[2:], "both": names}
    with pytest.raises(InputError, match="None of the 2 scores is white-box"):
        access_sets(names[:2], access)
    assert ablation_sets(names) == {
        "pia": names[:1],
        "pian": names[1:2],
        "gradient_masking": names[2:4],
        "noise_opt": names[4:],
        "single scores": names[:2],
        "all but pia": names[1:],
        "all but pian": [names[0], *names[2:]],
        "all but gradient_masking": [*names[:2], *names[4:]],
        "all but noise_opt": names[:4],
        "all": names,
    }
    views = ["cond/min_k_10", "diff/min_k_pp_20", "cond/loss"]
    assert ablation_sets(views) == {"min_k": views[:2], "loss": views[2:], "all": views}

"""Power curves: every draw against the test itself, the recorded published result, and errors."""

import numpy as np
import pytest
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.protocols import DEFAULT, PUBLISHED
from jaxaudit.stats import PUBLISHED_GRID, clopper_pearson, dataset_inference, power_curve
from jaxaudit.stats.power import _prefix_tests, summarise_draws
from tests.golden import weights
from tests.stats import simulated

_, IO = weights.load("dataset_inference")


def test_every_draw_is_the_test_on_its_samples():
    rng = np.random.default_rng(0)
    units = np.array([1, 100, 0.01, 1, 5])
    p, u = (simulated.features(rng, (3, 60, 5), "skewed", shift) * units for shift in (0.3, 0))
    sizes = (2, 3, 10, 57)
    t, df = _prefix_tests(p.transpose(2, 0, 1), u.transpose(2, 0, 1), sizes)
    for r in range(3):
        for g, n in enumerate(sizes):
            one = dataset_inference(p[r, :n], u[r, :n], protocol=PUBLISHED).welch
            np.testing.assert_allclose([t[r, g], df[r, g]], [one.t, one.df], rtol=1e-7)


def test_draws_without_variance_do_not_reject():
    p = np.ones((2, 1, 6))
    u = np.zeros((2, 1, 6))
    u[1, 0, 4:] = 1
    t, _ = _prefix_tests(p, u, (2, 4, 6))
    assert list(t[0, :2]) == [0, 0]
    assert t[0, 2] > 0


def test_published_requirement_and_mean_p_values():
    curve = power_curve(-IO["members"], -IO["nonmembers"], protocol=PUBLISHED, repetitions=300)
    assert [point.n for point in curve.points] == [n for n in PUBLISHED_GRID if n <= 2000]
    by_n = {point.n: point for point in curve.points}
    for n in IO["n_values_iar"]:
        recorded = IO[f"iar_p_two_sided_f64_n{n}"]
        error = np.std(recorded) / np.sqrt(len(recorded)) + 1e-6
        assert abs(by_n[n].mean_p - recorded.mean()) < 3 * error
    required = curve.required
    assert 700 <= required.estimate <= 1000  # recorded from 20 draws: 1000, of {10, 50, 200, 1000}
    assert (required.low, required.high, required.reason) == (None, None, None)
    assert by_n[required.estimate].mean_p <= 0.01
    assert all(point.mean_p > 0.01 for point in curve.points if point.n < required.estimate)


def test_rejection_rate_and_its_interval():
    rng = np.random.default_rng(1)
    p, u = simulated.features(rng, (4000, 6), "skewed", 0.8), simulated.features(rng, (3000, 6), "skewed")
    grid = (4, 5, 20, 50, 100, 200, 1000, 3000, 3001)
    curve = power_curve(p, u, grid=grid, repetitions=400, seed=2)
    assert [point.n for point in curve.points] == [5, 20, 50, 100, 200, 1000, 3000]
    for point in curve.points:
        assert point.independent_draws == min(3000 // point.n, 400)
        rate = point.rejection_rate
        assert rate == clopper_pearson(rate.estimate * point.independent_draws, point.independent_draws)
        quantiles = list(point.p_quantiles.values())
        assert quantiles == sorted(quantiles)
    # Fresh samples instead of subsets, tested as a verdict would be.
    for point in curve.points[1:4]:
        fresh = [
            dataset_inference(
                simulated.features(rng, (point.n, 6), "skewed", 0.8),
                simulated.features(rng, (point.n, 6), "skewed"),
                permutations=299,
            ).rejected
            for _ in range(150)
        ]
        assert point.rejection_rate.low - 0.05 < np.mean(fresh) < point.rejection_rate.high + 0.05
    required = curve.required
    rates = {point.n: point.rejection_rate for point in curve.points}
    assert required.estimate == min(n for n in rates if rates[n].estimate >= 0.8)
    assert (required.low, required.estimate, required.high) == (50, 50, 50)
    assert required.reason is None


def test_null_draws_reject_at_alpha_however_skewed():
    rng = np.random.default_rng(3)
    rates = []
    for seed in range(20):
        p, u = (simulated.features(rng, (2000, 18), "skewed") for _ in "pu")
        curve = power_curve(p, u, grid=(5, 10, 20, 50), repetitions=300, seed=seed)
        rates.append([point.rejection_rate.estimate for point in curve.points])
        assert curve.required.estimate is None
        assert "With 50 samples, the most drawn," in curve.required.reason
    np.testing.assert_allclose(np.mean(rates, axis=0), [0.006, 0.007, 0.009, 0.009], atol=0.002)


def test_limits_of_the_size_needed_cover_the_truth():
    """Sums of normal scores: the noncentral t distribution knows the power."""
    shift, rng = 0.5, np.random.default_rng(4)
    truth = next(
        n
        for n in range(2, 200)
        if stats.nct.sf(stats.t.isf(0.01, 2 * n - 2), 2 * n - 2, shift * np.sqrt(n / 2)) >= 0.8
    )
    assert truth == 82
    held, ratios = [], []
    for seed in range(40):
        p, u = rng.standard_normal((400, 1)) + shift, rng.standard_normal((400, 1))
        required = power_curve(p, u, grid=range(20, 401, 5), repetitions=100, seed=seed).required
        held.append(required.low <= truth <= required.high)
        ratios.append(required.high / required.low)
    assert np.mean(held) > 0.9
    assert np.median(ratios) < 3.5


def test_limits_by_hand():
    """Equations (3) to (5) for z-values that are normal quantiles: their mean and spread are known."""
    sizes, samples = [10, 20, 40, 80], 100
    levels = stats.norm.ppf((np.arange(500) + 0.5) / 500)
    share = np.array(sizes) / samples
    z = 0.45 * np.sqrt(sizes) + levels[:, None] * np.sqrt(1 - share)
    asked = {"samples": (samples, samples), "alpha": 0.01, "power": 0.8, "confidence": 0.95, "seed": 0}
    required = summarise_draws(sizes, stats.norm.sf(z), z, DEFAULT, **asked).required
    goal = stats.norm.isf(0.01) + stats.norm.ppf(0.8)
    upper = 0.45 * np.sqrt(80) - 1.96 * np.sqrt(0.8 + 0.2 / 500)  # 2.27: 80 are not sure to be enough
    assert upper < goal < 0.45 * np.sqrt(80)
    assert 80 * (goal / upper) ** 2 == pytest.approx(required.high, rel=0.04)
    assert (required.low, required.estimate) == (40, 80)


def test_without_a_sure_effect_there_is_no_upper_limit():
    rng = np.random.default_rng(5)
    p, u = rng.standard_normal((30, 2)), rng.standard_normal((30, 2))
    required = power_curve(p, u, grid=(10, 30), repetitions=50).required
    assert (required.estimate, required.high) == (None, None)
    lucky = power_curve(p, u, grid=(10, 30), repetitions=50, alpha=0.9, power=0.01).required
    assert lucky.estimate == lucky.low == 10


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    p, u = simulated.features(rng, (50, 3), shift=0.5), simulated.features(rng, (70, 3))
    whole = power_curve(p, u, grid=(5, 50), repetitions=30, protocol=DEFAULT)
    assert whole == power_curve(p, u, grid=(50, 5), repetitions=30)
    mean_p = {}
    for chunk in (10**6, 1):
        monkeypatch.setattr("jaxaudit.stats.power._CHUNK", chunk)
        mean_p[chunk] = power_curve(p[:50], u[:50], grid=(5, 50), repetitions=30, protocol=PUBLISHED).points
    # One order of the rows serves P and U, so the stream is the same; the order of summation is not.
    for one, other in zip(mean_p[1], mean_p[10**6], strict=True):
        assert one.mean_p == pytest.approx(other.mean_p, rel=1e-12)
        assert one.p_quantiles == pytest.approx(other.p_quantiles, rel=1e-10)
        assert one.rejection_rate == other.rejection_rate


def test_errors():
    rng = np.random.default_rng(6)
    p, u = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    with pytest.raises(InputError, match=r"No size of the grid lies between 5, .* and 20"):
        power_curve(p, u, grid=(2, 3, 21))
    with pytest.raises(InputError, match=r"power=1\.2 is not between"):
        power_curve(p, u, power=1.2)
    with pytest.raises(InputError, match="0 are too few; at least 1 repetitions"):
        power_curve(p, u, repetitions=0)
    with pytest.raises(InputError, match="Score 'a' is 0 for all 40"):
        power_curve(p * [0, 1], u * [0, 1], names=("a", "b"))


def test_sets_whose_scores_are_far_lower_need_a_number_that_nobody_can_give():
    rng = np.random.default_rng(12)
    p, u = rng.standard_normal((200, 3)) - 3, rng.standard_normal((200, 3))
    required = power_curve(p, u, repetitions=50).required
    assert (required.estimate, required.high) == (None, None)
    assert required.reason.endswith("0% of the draws reject.")

"""Dataset inference: recorded published results, measured error rates, properties and errors."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.protocols import DEFAULT, PUBLISHED
from jaxaudit.stats import dataset_inference, permutation_p_value, welch
from jaxaudit.stats.dataset_inference import summed_scores
from tests.golden import weights
from tests.stats import simulated

_, IO = weights.load("dataset_inference")


@pytest.mark.parametrize("n", IO["n_values_iar"])
def test_published_test_number_for_number(n):
    for r, index in enumerate(IO[f"iar_idx_n{n}"]):
        p, u = -IO["members"][index], -IO["nonmembers"][index]
        result = dataset_inference(p, u, protocol=PUBLISHED)
        for scores, side in zip(
            summed_scores(np.float64(p), np.float64(u)), ("members", "nonmembers"), strict=True
        ):
            np.testing.assert_allclose(18 - scores, IO[f"iar_scores_{side}_n{n}"][r], atol=1e-5)
        np.testing.assert_allclose(result.p_value, IO[f"iar_p_two_sided_f64_n{n}"][r], rtol=1e-9)
        np.testing.assert_allclose(result.p_value, IO[f"iar_p_two_sided_n{n}"][r], rtol=1e-3)
        np.testing.assert_allclose(result.welch.p_value, IO[f"iar_p_less_f64_n{n}"][r], rtol=1e-9)
        np.testing.assert_allclose(result.welch.t, -IO[f"iar_t_f64_n{n}"][r], rtol=1e-9)
        assert result.is_correct_order == IO[f"iar_is_correct_order_n{n}"][r]


@pytest.mark.parametrize(("case", "varying"), [("nan", 18), ("const", 17)])
def test_published_handling_of_nan_and_constants(case, varying):
    p, u = -IO[f"{case}_members"], -IO[f"{case}_nonmembers"]
    names = [str(name) for name in IO["feature_names"]]
    result = dataset_inference(p, u, protocol=PUBLISHED, names=names)
    np.testing.assert_allclose(result.p_value, IO[f"{case}_p_two_sided"], rtol=1e-3)
    for scores, side in zip(
        summed_scores(np.nan_to_num(p), np.nan_to_num(u)), ("members", "nonmembers"), strict=True
    ):
        np.testing.assert_allclose(varying - scores, IO[f"{case}_scores_{side}"], atol=1e-5)
    if case == "nan":
        assert result.notes[0].startswith(f"Score {names[0]!r}: ")
        assert result.notes[0].endswith("NaN replaced by 0, as published.")
    else:
        constant = np.nonzero(np.ptp(np.concatenate([p, u]), axis=0) == 0)[0]
        assert result.notes == (f"Score {names[constant[0]]!r} is constant and adds 0, as published.",)
    with pytest.raises(InputError, match=r"[Ss]core '"):
        dataset_inference(p, u)


def test_default_is_the_larger_of_welch_and_permutation():
    rng = np.random.default_rng(0)
    p, u = simulated.features(rng, (40, 6), shift=0.4), simulated.features(rng, (60, 6))
    result = dataset_inference(p, u, seed=3)
    low = np.minimum(p.min(0), u.min(0))
    span = np.maximum(p.max(0), u.max(0)) - low
    x, y = ([sum((row - low) / span) for row in side] for side in (p, u))
    assert result.welch.p_value == pytest.approx(welch(np.array(x), np.array(y)).p_value, rel=1e-9)
    permuted = permutation_p_value(np.array(x), np.array(y), seed=3)
    assert result.permutation_p_value == permuted
    assert result.p_value == max(permuted, result.welch.p_value)
    assert result.rejected == (result.p_value <= 0.01)
    assert (result.num_p, result.num_u, result.names[5]) == (40, 60, "feature 5")


# Rejections of 2,000 true nulls at 1%: recorded, and never above 1.5%.
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "n", "m", "rate"),
    [
        pytest.param("normal", 50, 50, 0.0095, marks=pytest.mark.slow),
        pytest.param("skewed", 50, 50, 0.0065, marks=pytest.mark.slow),
        ("heavy tails", 50, 50, 0.006),
        ("skewed left", 10, 100, 0.006),
        ("skewed", 100, 20, 0.01),
    ],
)
def test_false_positive_rate_is_at_most_alpha(kind, n, m, rate):
    rng = np.random.default_rng(1)
    rejected = 0
    for seed in range(2000):
        p, u = (simulated.features(rng, (size, 18), kind) for size in (n, m))
        rejected += dataset_inference(p, u, permutations=299, seed=seed).rejected
    assert rejected / 2000 == pytest.approx(rate, abs=0.002)
    assert rejected / 2000 <= 0.015


@pytest.mark.slow
def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(2)
    p_values = np.sort(
        [
            dataset_inference(
                *(simulated.features(rng, (40, 18), "skewed") for _ in "pu"), permutations=199
            ).p_value
            for _ in range(1000)
        ]
    )
    for level in (0.01, 0.05, 0.1, 0.25, 0.5):
        assert np.mean(p_values <= level) <= level + 2.6 * np.sqrt(level * (1 - level) / 1000)
    assert np.abs(p_values - np.arange(1, 1001) / 1000).max() < 0.05


def test_it_finds_a_weak_signal():
    rng = np.random.default_rng(3)
    rejected = [
        dataset_inference(
            simulated.features(rng, (200, 18), "skewed", shift=0.4),
            simulated.features(rng, (200, 18), "skewed"),
            permutations=199,
        ).rejected
        for _ in range(200)
    ]
    assert np.mean(rejected) > 0.9
    wrong_way = dataset_inference(
        simulated.features(rng, (200, 18), shift=-1), simulated.features(rng, (200, 18))
    )
    assert not wrong_way.rejected
    assert wrong_way.p_value > 0.99
    assert wrong_way.welch.hedges_g.high < 0


def test_order_units_and_offsets_do_not_matter():
    rng = np.random.default_rng(4)
    p, u = simulated.features(rng, (30, 4), shift=0.3), simulated.features(rng, (30, 4))
    for protocol in (DEFAULT, PUBLISHED):
        reference = dataset_inference(p, u, protocol=protocol)
        moved = dataset_inference(
            rng.permutation(p) * [1, 1e6, 1e-6, 3] + 5,
            rng.permutation(u) * [1, 1e6, 1e-6, 3] + 5,
            protocol=protocol,
        )
        assert moved.welch.p_value == pytest.approx(reference.welch.p_value, rel=1e-6)
        assert moved.p_value == pytest.approx(reference.p_value, rel=0.2)
        assert moved.rejected == reference.rejected


@pytest.mark.usefixtures("unchecked")
def test_errors_name_the_score_and_the_samples():
    rng = np.random.default_rng(5)
    p, u = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    names = ("loss", "zlib", "min_k_20")
    bad = p.copy()
    bad[[3, 7], 1] = np.nan, np.inf
    with pytest.raises(
        InputError, match=r"Values of score 'zlib' in P are NaN or infinite for 2 of 20 .*indexes 3, 7"
    ):
        dataset_inference(bad, u, names=names)
    with pytest.raises(InputError, match="score 'zlib' in U"):
        dataset_inference(p, bad, names=names)
    with pytest.raises(InputError, match="score 'zlib' in P"):  # the published code keeps infinity
        dataset_inference(bad, u, names=names, protocol=PUBLISHED)
    with pytest.raises(InputError, match="Score 'min_k_20' is 0 for all 40 samples"):
        dataset_inference(p * [1, 1, 0], u * [1, 1, 0], names=names)
    with pytest.raises(InputError, match=r"shapes \(20, 3\) and \(20, 2\)"):
        dataset_inference(p, u[:, :2])
    with pytest.raises(InputError, match="2 names do not fit 3"):
        dataset_inference(p, u, names=("a", "b"))
    with pytest.raises(InputError, match="as many samples of P as of U; got 20 and 19"):
        dataset_inference(p, u[:19], protocol=PUBLISHED)
    with pytest.raises(InputError, match="5 on each side are enough"):
        dataset_inference(p[:4], u[:4])
    with pytest.raises(InputError, match="1 are too few; at least 2 samples"):
        dataset_inference(p[:1], u)
    with pytest.raises(InputError, match="alpha=1 is not between"):
        dataset_inference(p, u, alpha=1)

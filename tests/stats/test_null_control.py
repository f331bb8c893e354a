"""The null control against the test it repeats, and its errors."""

import importlib

import numpy as np
import pytest
from scipy import stats

from jaxaudit.errors import InputError
from jaxaudit.protocols import DEFAULT, PUBLISHED
from jaxaudit.stats import clopper_pearson, dataset_inference, identification_null_control, null_control
from tests.stats import simulated

null_module = importlib.import_module("jaxaudit.stats.null_control")


def test_it_repeats_the_test_on_random_splits():
    rng = np.random.default_rng(0)
    u = simulated.features(rng, (90, 5), "skewed left")
    control = null_control(u, num_p=10, alpha=0.05, repetitions=2000, permutations=1999)
    assert (control.num_pseudo_p, control.num_pseudo_u) == (10, 80)
    slow = []
    for seed in range(1000):
        split = rng.permutation(90)
        one = dataset_inference(u[split[:10]], u[split[10:]], alpha=0.05, permutations=199, seed=seed)
        slow.append([one.rejected, one.welch.p_value <= 0.05, one.p_value])
    rejected, welch_rejected, p_value = np.transpose(slow)
    assert control.rejection_rate.estimate == pytest.approx(rejected.mean(), abs=0.02)
    assert control.welch_rejection_rate.estimate == pytest.approx(welch_rejected.mean(), abs=0.03)
    assert control.median_p == pytest.approx(np.median(p_value), abs=0.05)
    # Welch alone accuses too often here; the test as a whole does not.
    assert control.welch_rejection_rate.low > 0.06
    assert control.rejection_rate.low < 0.05 < control.rejection_rate.high


def test_halves_and_the_published_test():
    u = simulated.features(np.random.default_rng(1), (401, 5), "heavy tails")
    for protocol, sizes in ((DEFAULT, (200, 201)), (PUBLISHED, (200, 200))):
        control = null_control(
            u, protocol=protocol, num_p=7 if protocol is PUBLISHED else None, repetitions=3000
        )
        assert (control.num_pseudo_p, control.num_pseudo_u) == sizes
        assert 0.45 < control.median_p < 0.55
        allowed = 0.005 if protocol is PUBLISHED else 0.01  # two-sided and in the right order
        count = control.rejection_rate.estimate * 3000
        assert stats.binomtest(round(count), 3000, allowed).pvalue > 0.01
        assert control.rejection_rate == clopper_pearson(round(count), 3000)
    assert null_control(u, num_p=10**6).num_pseudo_p == 200


def test_the_learned_control_has_the_permutations_that_alpha_needs(monkeypatch):
    """Scores that tell all apart reject at every level that can be reached: 999 relabellings show 0.001."""
    real = null_module.draw_p_values

    def separated(pool, p, u, **options):
        pool = np.array(pool)
        pool[:, 0] = 0
        pool[p[0], 0] = 1
        return real(pool, p[:1], u[:1], **options)

    monkeypatch.setattr(null_module, "draw_p_values", separated)
    u = np.random.default_rng(3).standard_normal((200, 2))
    found = identification_null_control(u, num_p=60, alpha=5e-4, repetitions=1)
    assert found.rejection_rate.estimate == 1
    with pytest.raises(InputError, match="9999 permutations cannot give a p-value of 1e-05"):
        identification_null_control(u, num_p=60, alpha=1e-5, repetitions=1)


def test_errors():
    u = np.random.default_rng(2).standard_normal((20, 2))
    with pytest.raises(InputError, match="3 are too few; at least 4 samples of U"):
        null_control(u[:3])
    with pytest.raises(InputError, match="2 samples against 6 can be split in 28 ways"):
        null_control(u[:8], num_p=2)
    with pytest.raises(InputError, match="0 are too few; at least 1 repetitions"):
        null_control(u, repetitions=0)
    u[4, 1] = np.nan
    with pytest.raises(InputError, match="score 'feature 1'"):
        null_control(u)

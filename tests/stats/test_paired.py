"""Differences of AUC and TPR between two measurements of the same pictures."""

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.errors import InputError


def measurements(num_members=40, num_nonmembers=60, seed=0):
    """Two noisy ones of the same pictures, with ties."""
    generator = np.random.default_rng(seed)
    truth = generator.standard_normal(num_members) + 0.5, generator.standard_normal(num_nonmembers)
    return [
        tuple(np.round(each + 0.3 * generator.standard_normal(len(each)), 1) for each in truth) for _ in "ab"
    ]


def test_intervals_are_those_of_pictures_drawn_one_by_one():
    first, second = measurements()
    counts = np.random.default_rng(3)
    w, v = (counts.multinomial(size, np.full(size, 1 / size), 200) for size in (40, 60))
    for found, measure in zip(
        stats.paired_differences(first, second, fpr=0.1, repetitions=200, seed=3),
        (stats.auc, lambda x, y: stats.tpr_at_fpr(x, y, fpr=0.1)),
        strict=True,
    ):

        def drawn(pair, r, measure=measure):
            return measure(np.repeat(pair[0], w[r]), np.repeat(pair[1], v[r]))

        differences = [drawn(second, r) - drawn(first, r) for r in range(200)]
        np.testing.assert_allclose(
            [found.low, found.high], np.quantile(differences, [0.025, 0.975]), atol=1e-12
        )
        assert found.estimate == pytest.approx(measure(*second) - measure(*first))


def test_what_both_share_cancels():
    first, second = measurements(200, 200)
    auc, _ = stats.paired_differences(first, second)
    alone = stats.auc_interval(*first)
    assert auc.high - auc.low < 0.5 * (alone.high - alone.low)
    for change in stats.paired_differences(first, first):
        assert (change.estimate, change.low, change.high) == (0, 0, 0)


def test_a_fall_of_every_member_is_found():
    (x, y), _ = measurements(200, 200)
    auc, tpr = stats.paired_differences((x, y), (x - 0.5, y))
    assert auc.low < auc.high < 0
    assert tpr.high <= 0 > tpr.estimate


@pytest.mark.usefixtures("unchecked")
def test_other_pictures_are_refused():
    first, second = measurements()
    with pytest.raises(InputError, match="40 members and 60 nonmembers cannot be paired with 39 and 60"):
        stats.paired_differences(first, (second[0][1:], second[1]))

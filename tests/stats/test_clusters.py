"""What hangs together counts as one: rows by a loop, and how often a true null is rejected."""

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.stats.omnibus import omnibus
from jaxaudit.stats.relabelling import normal_scores, relabel_for
from tests.stats import simulated

DRAWS, ALPHA = 40, 0.05


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    clusters = rng.permutation(np.concatenate([np.arange(20), rng.integers(0, 20, 50), np.arange(20)]))
    r = stats.smallest_cluster(clusters, np.arange(9).repeat(4))
    by_cluster = {}
    for row, cluster in enumerate(clusters.tolist()):
        by_cluster.setdefault(cluster, []).append(row)
    assert r == min(4, *map(len, by_cluster.values())) >= 2
    expected = [rows[:r] for rows in by_cluster.values()]
    assert stats.first_of_clusters(clusters, r).tolist() == expected


def test_pictures_that_stand_alone_stay_as_they_are():
    clusters = np.random.default_rng(0).permutation(30)
    assert stats.smallest_cluster(clusters) == 1
    assert stats.first_of_clusters(clusters, 1).tolist() == [[row] for row in range(30)]


def rejections(copies, alike, count, n=30, m=80):
    """How often P, of `copies` pictures per cluster, is told from U, of single ones, under the null.

    By the first of the two tests of a verdict, whose p-value is no smaller.
    """
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(DRAWS):
        common, own = (simulated.features(rng, (n, size, 4)) for size in (1, copies))
        pictures = (np.sqrt(alike) * common + np.sqrt(1 - alike) * own).reshape(-1, 4)
        p, u = count(pictures, np.arange(n).repeat(copies)), simulated.features(rng, (m, 4))
        labels = relabel_for(ALPHA, len(p), m, 99, rng)
        rejected += omnibus(normal_scores(np.concatenate([p, u])), labels).p_value <= ALPHA
    return rejected


def first(values, clusters):
    return values[stats.first_of_clusters(clusters, 1)].mean(axis=1)


def test_copies_make_a_true_null_look_certain_unless_they_count_once(unchecked):
    """Every picture of P ten times, altered a little. 0.05 of 40 is 2; more than 6 has probability 0.4%."""
    assert rejections(10, 0.97, lambda values, clusters: values) > 12
    assert rejections(10, 0.97, first) <= 6


def test_means_over_whole_clusters_are_not_exchangeable_with_single_pictures(unchecked):
    """Why every cluster stands as the mean of equally many pictures."""

    def mean(values, clusters):
        return values.reshape(clusters[-1] + 1, -1, 4).mean(axis=1)

    assert rejections(40, 0.05, mean, n=200, m=30) > 8
    assert rejections(40, 0.05, first, n=200, m=30) <= 6

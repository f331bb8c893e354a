"""Statistics of relabelled tables, against loops, SciPy and the definition of an exact test."""

import itertools

import numpy as np
import pytest
from scipy import special, stats

from jaxaudit.errors import InputError
from jaxaudit.stats import relabelling
from jaxaudit.stats.relabelling import Relabelling, normal_scores, relabel


def every_labelling(n, m):
    """All ways to call n of n + m rows P, the observed one first."""
    rows = np.arange(n + m)
    chosen = itertools.combinations(range(n + m), n)
    return Relabelling(rows[:, None], np.array([np.isin(rows, rows_p) for rows_p in chosen], np.float32))


def t_by_loops(columns, chosen):
    """Equation (1), column by column."""
    found = []
    for column in columns.T:
        p, u = column[chosen], column[~chosen]
        spread = column.std(ddof=1)
        found.append((p.mean() - u.mean()) / (spread * np.sqrt(1 / len(p) + 1 / len(u))) if spread else 0)
    return found


def test_t_is_its_definition_and_0_for_constants():
    rng = np.random.default_rng(0)
    columns = np.c_[rng.standard_normal((11, 2)) * [1, 1e6], np.full(11, 3e5), np.full(11, 0.1)]
    labels = relabel(4, 7, 20, rng)
    assert labels.labels.shape == (21, 11)
    assert (labels.labels.sum(axis=1) == 4).all()
    for t, row in zip(labels.statistics(columns), labels.labels, strict=True):
        chosen = np.isin(np.arange(11), labels.blocks[row == 1])
        np.testing.assert_allclose(t, t_by_loops(columns, chosen), atol=1e-5)
    np.testing.assert_array_equal(np.sort(labels.blocks[labels.labels[0] == 1, 0]), np.arange(4))


def test_p_values_are_those_of_scipy():
    rng = np.random.default_rng(1)
    column = np.round(rng.standard_normal(9), 1)
    t = every_labelling(4, 5).statistics(column[:, None])
    ours = relabelling.p_values(t[:, 0])[0]
    expected = stats.permutation_test(
        (column[:4], column[4:]),
        lambda p, u, axis: p.mean(axis=axis) - u.mean(axis=axis),
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert ours == pytest.approx(expected.pvalue)


def test_p_values_count_ties_and_are_whole_numbers_of_labellings():
    np.testing.assert_array_equal(
        relabelling.p_values(np.array([2.0, 1, 2, 3, 2 + 1e-9])), [0.8, 1, 0.8, 0.2, 0.8]
    )
    p = relabelling.p_values(np.arange(10_000.0)[None])
    assert p[0, 9900] == 0.01  # as 1 - 0.99 is not
    assert p[0, -1] == 1e-4


STATISTICS = {
    "largest": relabelling.largest,
    "squares": relabelling.squares,
    "hotelling": lambda t: relabelling.hotelling(t, np.random.default_rng(2).standard_normal((8, 3)), 0.1),
}


def test_each_p_value_and_their_combination_are_exact_over_all_relabellings():
    """Had any other labelling been observed, its p-value is what stands in its place: P(p <= a) <= a."""
    columns = np.random.default_rng(2).standard_normal((8, 3))
    t = every_labelling(4, 4).statistics(columns)
    each = relabelling.p_values(np.stack([statistic(t) for statistic in STATISTICS.values()]))
    for p in (*each, relabelling.harmonic(each)):
        for level in np.unique(p):
            assert np.mean(p <= level) == pytest.approx(level)  # exact: uniform on the values it takes


def test_harmonic_is_the_rank_of_the_harmonic_mean():
    p = np.array([[0.25, 0.5, 0.75, 1.0], [0.5, 1.0, 0.25, 0.75]])
    means = [2 / (1 / a + 1 / b) for a, b in p.T]
    expected = [np.mean([other <= mean for other in means]) for mean in means]
    np.testing.assert_allclose(relabelling.harmonic(p), expected)


def test_hotelling_is_its_formula_whatever_is_constant():
    rng = np.random.default_rng(3)
    columns = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 4))
    labels = relabel(12, 18, 5, rng)
    t = labels.statistics(columns)
    inverse = np.linalg.inv(np.corrcoef(columns.T) + 0.1 * np.eye(4))
    expected = [row @ inverse @ row for row in t]
    np.testing.assert_allclose(relabelling.hotelling(t, columns, 0.1), expected)
    constant = np.c_[columns, np.full(30, 0.1)]
    found = relabelling.hotelling(labels.statistics(constant), constant, 0.1)
    np.testing.assert_allclose(found, expected)


def test_no_columns_show_nothing():
    labels = relabel(5, 6, 9, np.random.default_rng(4))
    t = labels.statistics(np.zeros((11, 0)))
    for found in (
        relabelling.largest(t),
        relabelling.squares(t),
        relabelling.hotelling(t, np.zeros((11, 0)), 0.1),
    ):
        np.testing.assert_array_equal(relabelling.p_values(found), np.ones(10))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(relabelling, "_MOST_BLOCKS", 40)
    monkeypatch.setattr(relabelling, "_FEWEST_BLOCKS", 5)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_exchanged_instead_of_rows():
    rng = np.random.default_rng(5)
    columns = rng.standard_normal((103, 2))
    labels = relabel(31, 72, 7, rng)
    size = 3
    assert labels.blocks.shape == (10 + 24, size)
    assert set(labels.blocks[:10].ravel()) <= set(range(31))
    assert set(labels.blocks[10:].ravel()) <= set(range(31, 103))
    np.testing.assert_array_equal(labels.rows, np.unique(labels.blocks))
    means = np.stack([columns[block].mean(axis=0) for block in labels.blocks])
    for t, row in zip(labels.statistics(columns), labels.labels, strict=True):
        np.testing.assert_allclose(t, t_by_loops(means, row == 1), atol=1e-5)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("n", "m", "blocks_p", "blocks_u"), [(7, 200, 7, 33), (200, 7, 33, 7), (2, 60, 2, 38)]
)
def test_a_small_side_keeps_its_blocks_beside_a_large_one(n, m, blocks_p, blocks_u):
    labels = relabel(n, m, 3, np.random.default_rng(6))
    assert labels.blocks.shape == (blocks_p + blocks_u, 1)
    assert (labels.labels.sum(axis=1) == blocks_p).all()


def test_blocks_are_few_however_many_the_samples():
    labels = relabel(60_000, 20_000, 1, np.random.default_rng(7))
    assert labels.blocks.shape == (3000 + 1000, 20)


@pytest.mark.usefixtures("small_blocks", "unchecked")
def test_blocks_keep_the_level():
    rng = np.random.default_rng(8)
    small = []
    for _ in range(2000):
        t = relabel(30, 60, 99, rng).statistics(rng.exponential(size=(90, 1)))
        small.append(relabelling.p_values(t[:, 0])[0] <= 0.05)
    assert np.mean(small) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 2000))


def test_too_few_relabellings_are_refused():
    rng = np.random.default_rng(9)
    with pytest.raises(InputError, match="50 permutations cannot give a p-value of 0.01; at least 99"):
        relabelling.relabel_for(0.01, 10, 10, 50, rng)
    with pytest.raises(InputError, match="4 samples against 4"):
        relabelling.relabel_for(0.01, 4, 4, 99, rng)


def test_normal_scores_share_ties():
    scores = normal_scores(np.array([[5.0], [-2], [1e9], [5]]))
    np.testing.assert_allclose(special.ndtr(scores[:, 0]), [0.5, 0.125, 0.875, 0.5])

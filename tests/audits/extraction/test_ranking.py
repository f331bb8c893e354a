import pathlib

import numpy as np
import pytest

from jaxaudit.audits.extraction import best_per_class

GOLDEN = np.load(pathlib.Path(__file__).parents[2] / "golden" / "memorization_scores" / "io.npz")
NAMES = np.array([f"{row:02d}" for row in range(40)])


@pytest.mark.parametrize("family", ["var", "rar", "mar"])
def test_candidates_are_the_published_ones(family):
    scores = GOLDEN[f"{family}_scores"]
    scores = scores[:, -1] if scores.ndim == 2 else scores
    best = best_per_class(GOLDEN["classes"], scores, NAMES, 5)
    published = GOLDEN[f"{family}_selected_class_rank_index"]
    published = published[np.lexsort((published[:, 1], published[:, 0]))]
    np.testing.assert_array_equal(best, published[:, 2])


def loop(labels, scores, names, k):
    chosen = []
    for label in sorted(set(labels)):
        rows = [row for row in range(len(labels)) if labels[row] == label]
        rows.sort(key=lambda row: (-scores[row], names[row]))
        chosen += rows[: k or None]
    return chosen


@pytest.mark.parametrize("k", [0, 1, 3])
def test_ties_are_broken_by_name_in_any_order_and_any_parts(k):
    rng = np.random.default_rng(k)
    labels, scores = rng.integers(0, 4, 60), rng.integers(0, 3, 60) / 3
    names = np.array([f"{row:03d}.png" for row in rng.permutation(60)])
    best = best_per_class(labels, scores, names, k)
    assert list(best) == loop(labels, scores, names, k)
    for parts in (np.split(rng.permutation(60), [7, 31]), np.split(np.arange(60), range(5, 60, 5))):
        kept = np.zeros(0, int)
        for part in parts:  # a running choice
            kept = np.concatenate([kept, part])
            kept = kept[best_per_class(labels[kept], scores[kept], names[kept], k)]
        assert list(names[kept]) == list(names[best])


def test_a_class_may_have_fewer_pictures():
    assert list(best_per_class(np.array([2, 0]), np.array([0.1, 0.2]), np.array(["a", "b"]), 5)) == [1, 0]
    assert best_per_class(np.zeros(0, int), np.zeros(0), np.zeros(0, np.str_), 5).size == 0

"""What is compared: equally many of both sides, one of each cluster; and how often it errs."""

import numpy as np
import pytest

from jaxaudit.audits.extraction import Candidates
from jaxaudit.audits.extraction.alike import choose_alike, independent_ids
from jaxaudit.audits.extraction.assess import _p_value
from jaxaudit.audits.extraction.ranking import best_per_class, draws
from jaxaudit.data import Clusters


def ranked(labels, scores, prefix):
    names = np.array([f"{prefix}{row:06d}" for row in range(len(labels))])
    scores = {"greedy_match": np.asarray(scores, np.float32)}
    return Candidates(names, np.asarray(labels, np.int32), names, scores, "greedy_match", len(labels))


def test_the_best_of_equally_many_of_each_class_are_chosen():
    """By sorting a class at a time; a class of one side only is none."""
    rng = np.random.default_rng(0)
    counts = ({0: 40, 1: 7, 2: 3}, {0: 9, 1: 30, 3: 5})
    sides = []
    for prefix, of_class in zip("pv", counts, strict=True):
        labels = rng.permutation(np.repeat(list(of_class), list(of_class.values())))
        sides.append(ranked(labels, rng.normal(size=len(labels)), prefix))
    for top_k in (4, 0):
        chosen = choose_alike(*sides, top_k=top_k, seed=3)
        for side, found in zip(sides, chosen, strict=True):
            expected = []
            for label, size in ((0, 9), (1, 7)):
                rows = np.flatnonzero(side.labels == label)
                keys = draws(side.sample_ids[rows], 3)
                drawn = rows[np.argsort(keys)[:size]]
                best = drawn[np.argsort(-side.scores["greedy_match"][drawn])]
                expected += side.sample_ids[best[: top_k or None]].tolist()
            assert found.sample_ids.tolist() == expected


def test_the_choice_depends_neither_on_order_nor_on_what_was_not_drawn():
    rng = np.random.default_rng(1)
    many, few = ranked(np.zeros(500), rng.normal(size=500), "p"), ranked(np.zeros(20), np.zeros(20), "v")
    expected, _ = choose_alike(many, few, top_k=5, seed=0)
    keys = -draws(many.sample_ids, 0)
    drawn = many.take(best_per_class(many.labels, keys, many.sample_ids, {0: 20}))
    for other in (many.take(rng.permutation(500)), drawn):
        found, _ = choose_alike(other, few, top_k=5, seed=0)
        assert found.sample_ids.tolist() == expected.sample_ids.tolist()
    other, _ = choose_alike(many, few, top_k=5, seed=1)
    assert other.sample_ids.tolist() != expected.sample_ids.tolist()


def test_of_a_cluster_one_is_drawn_and_no_copy_of_the_other_side():
    clusters = Clusters(("a", "a", "c", "a", "e"), ("", "", "", "", "v7"))
    ids = ["a", "b", "c", "d", "e"]
    first = min("abd", key=lambda name: draws([name], 0)[0])
    assert independent_ids(clusters, ids, 0) == {first, "c"}
    mixed = Clusters(("a", "a", "e", "c", "a"), ("", "", "v7", "", ""))
    assert independent_ids(mixed, ["d", "b", "e", "c", "a"], 0) == {first, "c"}


@pytest.mark.slow
@pytest.mark.parametrize("many", [50, 1300])
def test_where_nothing_is_memorised_nothing_is_extracted(many):
    """A picture has an ease; its ranking score and the similarity of its completion both rise with it."""
    rng, rejected = np.random.default_rng(0), 0
    for seed in range(60):
        sides, reached = [], {}
        for prefix, size in (("p", many), ("v", 50)):
            ease = rng.normal(size=20 * size)
            similar = 0.7 * ease + np.sqrt(1 - 0.7**2) * rng.normal(size=20 * size)
            sides.append(ranked(np.repeat(np.arange(20), size), ease, f"{prefix}{seed}-"))
            reached |= dict(zip(sides[-1].sample_ids.tolist(), similar >= 2.5, strict=True))
        chosen = choose_alike(*sides, top_k=5, seed=0)
        passed = (np.array([reached[name] for name in side.sample_ids.tolist()]) for side in chosen)
        rejected += _p_value(*passed) <= 0.01
    assert rejected <= 3

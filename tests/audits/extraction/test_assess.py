import dataclasses
from math import comb

import numpy as np
import pytest

from jaxaudit.audits.extraction import ExtractionConfig, Reference
from jaxaudit.audits.extraction.tables import completed_table
from jaxaudit.results import encode
from jaxaudit.results.extraction import Counts
from tests.audits.extraction.synthetic import assessed, completions, reference, unit

CONFIG = ExtractionConfig(top_k=10)


def assess(candidates, validation=None, config=CONFIG, others=None):
    return assessed(candidates, validation, config, others or reference())


def column(reached, count):
    """[N,1]: the first `reached` of `count` similarities are at the threshold."""
    return np.where(np.arange(count) < reached, 0.95, 0.5)[:, None]


def test_counts_rates_and_bounds():
    candidates, validation = completions(column(4, 10)), completions(column(0, 600), prefix="v")
    results, _ = assess(candidates, validation)
    (entry,) = results.prefixes
    assert (entry.prefix, entry.tokens, entry.share) == (1, 1, 1 / 85)
    assert entry.extracted == entry.distinct == entry.closest_to_own == 4
    assert entry.rate.estimate == 0.4
    bound = entry.false_positives.all
    assert (bound.count, bound.trials) == (0, 600)
    assert bound.high == pytest.approx(1 - 0.05 ** (1 / 600))
    assert bound.high == pytest.approx(3 / 600, rel=0.01)  # the rule of three
    assert results.num_ranked == Counts(candidates=100, validation=6000)
    encode(results)


def test_candidates_are_compared_with_held_out_pictures_chosen_alike():
    candidates = completions(column(6, 100))
    validation = completions(column(3, 100), prefix="v")  # the three have the best scores
    entry = assess(candidates, validation)[0].prefixes[0]
    assert (entry.extracted, entry.false_positives.all.count) == (6, 3)
    ours, chosen = entry.false_positives.candidates, entry.false_positives.chosen
    assert (ours.count, ours.trials) == (6, 10)
    assert (chosen.count, chosen.trials, chosen.estimate) == (3, 10, 0.3)
    assert chosen.high == pytest.approx(0.6066, abs=1e-4)
    tail = sum(comb(10, k) * comb(10, 9 - k) for k in range(6, 10)) / comb(20, 9)  # hypergeometric
    assert entry.p_value == pytest.approx(tail)


@pytest.mark.parametrize(
    ("extracted", "passed", "status"),
    [(0, 0, "none"), (8, 0, "extracted"), (8, 7, "indistinguishable"), (8, None, "unchecked")],
)
def test_what_the_longest_prefix_shows(extracted, passed, status):
    candidates = completions(np.concatenate([column(9, 10), column(extracted, 10)], axis=1))
    validation = None
    if passed is not None:
        validation = completions(np.concatenate([column(0, 10), column(passed, 10)], axis=1), prefix="v")
    assert assess(candidates, validation)[0].status == status


def test_pictures_of_other_classes_are_not_compared_with():
    candidates = completions(column(4, 10), labels=np.zeros(10))
    results, _ = assess(candidates, completions(column(0, 10), labels=np.ones(10), prefix="v"))
    assert results.status == "unchecked"
    assert results.prefixes[0].false_positives.chosen.trials == 0
    assert results.prefixes[0].p_value is None


def test_near_duplicates_count_once():
    """A chain a-b-c whose ends are not alike, a pair, a loner; and one that is like a but not extracted."""
    angles = np.array([0.0, 0.4, 0.8, 3.0, 3.1, 5.0, 0.1])
    features = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    similarity = np.where(np.arange(7) < 6, 0.95, 0.2)[:, None]
    results, extracted = assess(completions(similarity, features=features))
    assert features[0] @ features[2] < 0.9 < features[0] @ features[1]
    assert results.prefixes[0].extracted == 6
    assert results.prefixes[0].distinct == 3
    assert list(extracted["cluster"]) == [1, 1, 1, 2, 2, 3]
    shown = [entry.sample_id for entry in results.gallery]
    assert shown == ["p0000", "p0003", "p0005", "p0006"]


def test_the_table_lists_every_picture_and_prefix_best_first():
    similarity = [[0.91, 0.93], [0.2, 0.99], [0.95, 0.2]]
    results, extracted = assess(completions(similarity, nearest=0.94))
    assert list(extracted["prefix"]) == [2, 2, 1, 1]
    assert list(extracted["prefix_tokens"]) == [5, 5, 1, 1]
    assert list(extracted["sample_id"]) == ["p0001", "p0000", "p0002", "p0000"]
    assert list(extracted["closest_to_own"]) == [True, False, True, False]
    assert [entry.closest_to_own for entry in results.prefixes] == [1, 1]
    assert set(extracted) == {
        "sample_id", "label", "prefix", "prefix_tokens", "greedy_match", "similarity", "nearest_other",
        "nearest_other_id", "closest_to_own", "cluster",
    }  # fmt: skip


def test_the_threshold_is_put_into_context():
    angles = np.array([0.0, 0.1, 2.0, 4.0])
    others = Reference(
        np.array(list("abcd")),
        np.array(list("abcd")),
        unit(np.stack([np.cos(angles), np.sin(angles)], axis=1)),
    )
    results, _ = assess(completions(column(1, 4)), others=others)
    assert results.reference.size == 4
    assert results.reference.reaching_threshold.estimate == 0.5
    assert results.reference.quantiles[1] == pytest.approx(np.cos(0.1))
    strict = dataclasses.replace(CONFIG, threshold=0.999)
    results, _ = assess(completions(column(1, 4)), config=strict, others=others)
    assert results.reference.reaching_threshold.estimate == 0
    assert results.similarity.threshold == 0.999
    assert results.similarity.default_threshold == 0.9


@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.9999, 1.0])
def test_a_bin_begins_at_the_threshold(threshold):
    config = dataclasses.replace(CONFIG, threshold=threshold)
    results, _ = assess(completions(column(4, 10)), completions(column(1, 30), prefix="v"), config)
    histograms = results.histograms
    edges = np.array(histograms.edges)
    assert np.abs(edges - threshold).min() < 1e-9
    assert np.all(np.diff(edges) > 0)
    assert edges[-1] == pytest.approx(1)
    at = int(np.abs(edges - threshold).argmin())
    assert sum(histograms.candidates) == 10
    assert sum(histograms.validation) == 30
    assert sum(histograms.candidates[at:]) == sum(column(4, 10)[:, 0] >= threshold)


def test_a_reference_picture_is_not_its_own_neighbour():
    others = Reference(np.array(["a", "b"]), np.array(["a", "b"]), unit(np.array([[1.0, 0.0], [1.0, 1.0]])))
    similarity, names = others.nearest(unit(np.array([[1.0, 0.0]] * 2)), np.array(["a", "z"]))
    np.testing.assert_allclose(similarity, [np.sqrt(0.5), 1], rtol=1e-6)
    assert list(names) == ["b", "a"]


def test_everything_completed_is_listed():
    table = completed_table(completions([[0.91, 0.93], [0.2, 0.99]]))
    assert list(table["similarity/2"]) == pytest.approx([0.93, 0.99])
    assert {len(values) for values in table.values()} == {2}

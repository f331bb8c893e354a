import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats.diversity import relative_diversity

LABELS = np.arange(60) % 3


def pictures(seed, scale=1.0, count=60):
    return scale * np.random.default_rng(seed).standard_normal((count, 4))


def test_it_is_the_mean_distance_within_classes_against_that_of_the_others():
    def slow(x):
        each = [
            np.mean([np.linalg.norm(x[i] - x[j]) for j in range(60) if j != i and LABELS[j] == LABELS[i]])
            for i in range(60)
        ]
        return np.mean(each)

    a, b = pictures(0, scale=0.5), pictures(1)
    found = relative_diversity(a, LABELS, b, LABELS)
    assert found.estimate == pytest.approx(slow(a) / slow(b))
    assert found.low < found.estimate < found.high


def test_the_same_picture_again_and_again_has_none():
    found = relative_diversity(np.ones((60, 4)), LABELS, pictures(1), LABELS)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
    with pytest.raises(InputError, match="all alike"):
        relative_diversity(pictures(1), LABELS, np.ones((60, 4)), LABELS)
    with pytest.raises(InputError, match="of one class"):
        relative_diversity(pictures(1), np.arange(60), pictures(1), LABELS)


@pytest.mark.slow
def test_the_interval_covers_the_ratio(unchecked):
    """Pictures of one class, half as spread as the others: the ratio is 1/2."""
    labels = np.zeros(60, int)
    found = [
        relative_diversity(pictures(2 * seed, 0.5), labels, pictures(2 * seed + 1), labels)
        for seed in range(1_000)
    ]
    assert np.mean([each.low <= 0.5 <= each.high for each in found]) > 0.93

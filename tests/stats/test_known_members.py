"""Known members are compared with U without the model."""

import numpy as np

from jaxaudit.stats import KnownMembers


def test_pictures_of_another_kind_are_told_and_those_of_the_same_are_not():
    rng = np.random.default_rng(0)
    labels, unseen = np.arange(80) % 4, rng.normal(size=(80, 5))
    same, other = (
        KnownMembers(rng.normal(size=(80, 2)), rng.normal(at, 1, (80, 5)), labels) for at in (0, 1)
    )
    beside = np.hstack([unseen, rng.normal(5, 1, (80, 3))])  # of a reference, which M was not asked
    assert not same.differ(unseen, labels)
    assert other.differ(unseen, labels)
    assert same.differ(unseen, labels) == same.differ(beside, labels)
    assert same.differ(unseen, np.zeros(80, int))  # another mix of classes
    assert not KnownMembers(same.features, same.blind).differ(unseen, None)

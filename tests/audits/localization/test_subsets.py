import numpy as np

from jaxaudit.audits.localization.subsets import choose
from jaxaudit.data import open_source


def test_a_share_of_one_takes_every_picture_of_uneven_classes():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 3)
    source = open_source("digits:members").take(range(12))
    source.labels[:] = labels
    chosen = choose(source, (0.5, 1.0), seed=0)
    assert sorted(chosen.source.ids) == sorted(source.ids)
    assert chosen.labels.tolist() == sorted(labels.tolist())
    assert np.bincount(chosen.labels[chosen.tiers == 0]).tolist() == [2, 2, 2]
    assert chosen.sizes == (6, 12)


def test_parts_are_whole_classes():
    source = open_source("digits:members").take(range(12))
    source.labels[:] = np.array([0] * 7 + [1] * 2 + [2] * 3)
    chosen = choose(source, None, seed=0)
    assert list(chosen.parts(1)) == [range(7), range(7, 9), range(9, 12)]
    assert list(chosen.parts(8)) == [range(9), range(9, 12)]
    assert list(chosen.parts(100)) == [range(12)]

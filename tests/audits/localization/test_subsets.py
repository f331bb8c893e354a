import numpy as np

from jaxaudit.audits.localization import subsets
from jaxaudit.data import open_source


def test_a_share_of_one_takes_every_picture_of_uneven_classes():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 3)
    source = open_source("digits:members").take(range(12))
    source.labels[:] = labels
    rows, tiers = subsets.choose(source, (0.5, 1.0), seed=0)
    assert sorted(rows) == list(range(12))
    assert np.bincount(labels[rows[tiers == 0]]).tolist() == [2, 2, 2]

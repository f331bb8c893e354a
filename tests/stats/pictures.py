"""Synthetic pictures: blind features and labels of classes that differ, and of which mirroring turns some."""

import numpy as np

NUM_CLASSES = 4
_MEANS = np.random.default_rng(0).normal(0, 1.5, (NUM_CLASSES, 6))


def pictures(rng, n, *, mix=None):
    """Features [n,6] and labels [n]; `mix` are the classes' shares."""
    labels = rng.choice(NUM_CLASSES, n, p=mix)
    return _MEANS[labels] + rng.standard_normal((n, 6)), labels


def mislabelled(rng, labels, share):
    """A share of the labels replaced by another."""
    wrong = rng.random(len(labels)) < share
    return np.where(wrong, (labels + rng.integers(1, NUM_CLASSES, len(labels))) % NUM_CLASSES, labels)


def mirrored(rng, features, share):
    """A share of the pictures mirrored: the signs of the last two features turn."""
    turned = rng.random(len(features)) < share
    return np.c_[features[:, :4], np.where(turned[:, None], -1, 1) * features[:, 4:]]

"""Two pools of real pictures that differ, and models that have seen neither: for what matching makes of them.

Which of scikit-learn's digits are in P is drawn by their ink, so that every picture might have been in either
pool and a model's scores differ for no other reason.
"""

import functools

import numpy as np
from scipy import special, stats
from sklearn.decomposition import PCA

from jaxaudit.data import BLIND_NAMES, blind_features, open_source


@functools.cache
def digit_pictures():
    """All digits [1797,8,8,3] uint8 and their classes [1797]."""
    sources = [open_source(f"digits:{half}") for half in ("members", "nonmembers")]
    images = np.stack([source.read(row).pixels for source in sources for row in range(len(source))])
    return images, np.concatenate([source.labels for source in sources])


@functools.cache
def digit_features():
    """Blind features [1797,112] and classes."""
    images, labels = digit_pictures()
    return np.stack([blind_features(image, image) for image in images]).astype(np.float64), labels


@functools.cache
def ink():
    """Brightness of every digit, standardised."""
    mean = digit_pictures()[0].mean(axis=(1, 2, 3))
    return (mean - mean.mean()) / mean.std()


def draw_pools(seed, shift, *, twisted=False):
    """Rows of P and of U.

    Args:
      seed: of the draw.
      shift: log-odds of P per standard deviation of ink; with a shift, odd digits are likelier too.
      twisted: also by whether two features are both above or both below their means, which each of them, its
        square, and any sum of them leave unseen.
    """
    features, labels = digit_features()
    odds = shift * ink() + (0.5 if shift else 0) * (labels % 2 * 2 - 1)
    if twisted:
        pair = features[:, [BLIND_NAMES.index(name) for name in ("centre_x", "coherence")]]
        odds = odds + 1.7 * np.sign(np.prod(pair - pair.mean(axis=0), axis=1))
    in_p = np.random.default_rng(seed).random(len(labels)) < special.expit(odds)
    return np.flatnonzero(in_p), np.flatnonzero(~in_p)


@functools.cache
def null_scores():
    """Scores of models that treat both pools alike: a density model of all pixels, and the ink itself."""
    pixels = digit_pictures()[0][..., 0].reshape(len(ink()), -1).astype(np.float64)
    density = PCA(20, random_state=0).fit(pixels).score_samples(pixels)
    return {"log density": density, "loss": -density, "ink": ink(), "contrast": pixels.std(axis=1)}


def rises(p, u):
    """Whether a one-sided t test at 5% takes the scores of P for higher."""
    return stats.ttest_ind(p, u, equal_var=False, alternative="greater").pvalue <= 0.05

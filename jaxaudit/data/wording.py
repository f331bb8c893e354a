"""What captions give away by themselves: how long they are, and which words they use.

The columns are the numbers of words and characters, the share of characters outside ASCII, and the leading
components of the words' frequencies, weighted by how rare they are (latent semantic analysis, Deerwester et
al., Journal of the American Society for Information Science 1990). Components are those of all captions given
together; nobody says which set each is of.

Axes: N captions, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_COMPONENTS = 32
_MOST_WORDS = 20_000
_ROUNDING = 1e-6  # of the largest singular value: a component with less is made of rounding


def wording_features(captions: Sequence[str]) -> tuple[Float[np.ndarray, "N K"], tuple[str, ...]]:
    """The columns of captions, and their names."""
    lengths = np.array(
        [
            (len(text.split()), len(text), sum(not c.isascii() for c in text) / max(len(text), 1))
            for text in captions
        ],
        np.float64,
    ).reshape(-1, 3)
    words = _words(captions)
    names = ("caption_words", "caption_characters", "caption_not_ascii")
    return np.hstack([lengths, words]), (*names, *(f"wording_{k:02d}" for k in range(words.shape[1])))


def _words(captions: Sequence[str]) -> Float[np.ndarray, "N Q"]:
    from sklearn.decomposition import TruncatedSVD  # slow to import, and only captions need it
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(token_pattern=r"\w+", min_df=2, max_features=_MOST_WORDS, dtype=np.float64)
    try:
        weights = weigh.fit_transform(captions)
    except ValueError:  # no word occurs in two captions
        return np.zeros((len(captions), 0))
    components = min(_COMPONENTS, weights.shape[1] - 1, len(captions) - 1)
    if components < 1:
        return np.zeros((len(captions), 0))
    svd = TruncatedSVD(components, random_state=0)
    found = svd.fit_transform(weights)
    return found[:, svd.singular_values_ > _ROUNDING * svd.singular_values_.max()]

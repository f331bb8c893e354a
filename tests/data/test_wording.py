"""What captions give away by themselves."""

import numpy as np

from jaxaudit.data.wording import wording_features


def test_lengths_are_counted():
    values, names = wording_features(["a red dog", "čau", ""])
    assert names == ("caption_words", "caption_characters", "caption_not_ascii")
    np.testing.assert_allclose(values, [[3, 9, 0], [1, 3, 1 / 3], [0, 0, 0]])


def test_captions_of_other_words_stand_apart():
    values, names = wording_features(["a red dog", "a red cat", "the blue sea", "the blue sky"] * 5)
    assert names[3] == "wording_00"
    words = values[:, 3:]
    near = np.linalg.norm(words[0] - words[1])
    assert near < np.linalg.norm(words[0] - words[2])
    np.testing.assert_allclose(words[0], words[4])


def test_components_that_are_made_of_rounding_are_left_out():
    """Two captions span two dimensions, however many words they have."""
    values, _ = wording_features(["one two three four five", "six seven eight nine ten"] * 8)
    assert values.shape[1] <= 3 + 2

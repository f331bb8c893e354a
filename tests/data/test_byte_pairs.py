"""Byte-pair encoding: CLIP's known ids, merges by hand, cutting and filling up, and broken files."""

import json

import numpy as np
import pytest

from jaxaudit.data.byte_pairs import learn_vocabulary, read_vocabulary, token_ids, write_vocabulary
from jaxaudit.errors import InputError
from tests import vocabulary as small


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return read_vocabulary(small.save(tmp_path_factory.mktemp("vocabulary")))


def pieces_of(vocabulary, caption):
    """The pieces between start and end."""
    ids = token_ids(vocabulary, [caption], length=77, pad=0)[0].tolist()
    assert ids[0] == small.SIZE - 2
    names = small.pieces()
    return [names[i] for i in ids[1 : ids.index(small.SIZE - 1)]]


def test_single_letters_have_the_released_ids(vocabulary):
    """Of vocab.json of ViT-L/14, whose first 512 ids are the bytes: "a" is 320, "," 267, "0" 271."""
    assert token_ids(vocabulary, ["a , 0"], length=5, pad=0)[0, 1:4].tolist() == [320, 267, 271]


@pytest.mark.parametrize(
    ("caption", "pieces"),
    [
        ("hand", ["hand</w>"]),
        ("Hand  to\thand", ["hand</w>", "to</w>", "hand</w>"]),
        ("ha", ["h", "a</w>"]),
        ("photo", ["pho", "to</w>"]),
        ("aaab", ["aa", "a", "b</w>"]),
        ("haab", ["ha", "a", "b</w>"]),  # h a stands before a a
        ("", []),
        ("it's 42!?", ["i", "t</w>", "'", "s</w>", "4</w>", "2</w>", "!", "?</w>"]),
        ("e\u0301", ["Ã", "©</w>"]),
        ("½²", ["Â", "½</w>", "Â", "²</w>"]),
    ],
)
def test_pieces(vocabulary, caption, pieces):
    assert pieces_of(vocabulary, caption) == pieces


def test_what_is_found_most_often_is_merged_first():
    learned = learn_vocabulary(["low low low lower", "Lowest"])
    assert list(learned.ranks) == [
        ("l", "o"), ("lo", "w</w>"), ("lo", "w"), ("low", "e"), ("lowe", "r</w>"), ("lowe", "s"),
        ("lowes", "t</w>"),
    ]  # fmt: skip
    assert token_ids(learned, ["lowest low"], length=5, pad=0)[0].tolist() == [519, 518, 513, 520, 0]
    assert list(learn_vocabulary(["low low low lower"], most_merges=1).ranks) == [("l", "o")]


def test_a_learned_vocabulary_is_read_as_it_was_written(tmp_path):
    learned = learn_vocabulary(["a handwritten zero, « é »"])
    write_vocabulary(tmp_path, learned)
    read = read_vocabulary(tmp_path)
    assert (dict(read.ids), dict(read.ranks)) == (dict(learned.ids), dict(learned.ranks))


def test_captions_are_cut_and_filled_up(vocabulary):
    ids = token_ids(vocabulary, ["a b c d e", "a", ""], length=4, pad=7)
    start, end = small.SIZE - 2, small.SIZE - 1
    np.testing.assert_array_equal(ids, [[start, 320, 321, end], [start, 320, end, 7], [start, end, 7, 7]])
    assert ids.dtype == np.int32


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("vocab.json", None, "vocab.json cannot be read: .*No such file"),
        ("vocab.json", "{", "vocab.json is no JSON"),
        ("vocab.json", "[1]", "is no vocabulary"),
        ("vocab.json", json.dumps({"a": -1}), "is no vocabulary"),
        ("vocab.json", json.dumps({"a": 1}), "has no id for 520 of the pieces of merges.txt, e.g. '<|start"),
        ("merges.txt", None, "merges.txt cannot be read"),
        ("merges.txt", "h a\nhand", r"merges.txt, line 2 is 'hand'; expected two pieces"),
        ("merges.txt", "x y", "has no id for 1 of the pieces of merges.txt, e.g. 'xy'"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path, file, text, message):
    folder = small.save(tmp_path)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(InputError, match=message):
        read_vocabulary(folder)

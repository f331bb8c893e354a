"""Captions as tokens: the byte-pair encoding of CLIP, by the files that come with a released text encoder.

    vocab.json    {piece: id}
    merges.txt    a pair of pieces per line, what is merged first above; the first line may be a version

A caption is normalised (NFC, spaces collapsed, lower case) and cut into words: contractions, runs of letters,
single digits, runs of other signs. The UTF-8 bytes of a word are its first pieces, the last one marked as the
end of a word; neighbours are merged, the pair that stands first in the file first, until none is left to be.
Between a start and an end token, cut and filled up to one length, these are the tokens.

Captions are not repaired first (HTML entities, wrongly decoded text, typographic quotes), as some programs
do.
Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", ACL 2016, as
in Radford et al. 2021 (arXiv 2103.00020).

Axes: B captions, T tokens.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from jaxaudit.errors import InputError, reason
from jaxaudit.paths import Location, as_place

FILES = ("vocab.json", "merges.txt")
"""What the two files are called."""
START, END = "<|startoftext|>", "<|endoftext|>"
"""The pieces before and behind a caption."""

_WORD_END = "</w>"
_CACHED_WORDS = 2**16


@dataclasses.dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the two files say.

    Attributes:
      ids: {piece: id}.
      ranks: {pair of pieces: its line in the file}, the lowest are merged first.
    """

    ids: Mapping[str, int]
    ranks: Mapping[tuple[str, str], int]


def read_vocabulary(folder: Location) -> Vocabulary:
    """The vocabulary in a folder.

    Raises:
      InputError: if a file is missing or broken, or a piece that captions may hold has no id.
    """
    folder = as_place(folder)
    texts = {}
    for name in FILES:
        try:
            texts[name] = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The vocabulary {folder / name} cannot be read: {reason(error)}.") from error
    ids = _ids(str(folder / FILES[0]), texts[FILES[0]])
    pairs = list(_pairs(str(folder / FILES[1]), texts[FILES[1]]))
    letters = _letters()
    needed = [START, END, *letters, *(letter + _WORD_END for letter in letters), *map("".join, pairs)]
    if missing := [piece for piece in needed if piece not in ids]:
        raise InputError(
            f"{folder / FILES[0]} has no id for {len(missing)} of the pieces of {FILES[1]}, e.g. "
            f"{missing[0]!r}."
        )
    return Vocabulary(ids, {pair: rank for rank, pair in enumerate(pairs)})


def learn_vocabulary(captions: Iterable[str], *, most_merges: int = 256) -> Vocabulary:
    """A vocabulary in which the words of captions are few pieces.

    Of the pairs of neighbours the one that is found most often is merged (of equals the first by name), until
    every word is one piece or there are `most_merges`.
    """
    counts = collections.Counter(word for caption in captions for word in _words(caption))
    pieces = {word: _split(word) for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < most_merges:
        found: collections.Counter[tuple[str, str]] = collections.Counter()
        for word, parts in pieces.items():
            for pair in itertools.pairwise(parts):
                found[pair] += counts[word]
        if not found:
            break
        merges.append(min(found, key=lambda pair: (-found[pair], pair)))
        pieces = {word: _joined(parts, merges[-1]) for word, parts in pieces.items()}
    letters = _letters()
    names = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges), START, END]
    return Vocabulary(
        {name: number for number, name in enumerate(dict.fromkeys(names))},
        {pair: rank for rank, pair in enumerate(merges)},
    )


def write_vocabulary(folder: str | Path, vocabulary: Vocabulary) -> None:
    """Writes the two files into a folder, from which `read_vocabulary` reads the same."""
    texts = json.dumps(vocabulary.ids), "\n".join(["#version: 0.2", *map(" ".join, vocabulary.ranks)]) + "\n"
    for name, text in zip(FILES, texts, strict=True):
        (Path(folder) / name).write_text(text, encoding="utf-8")


def token_ids(
    vocabulary: Vocabulary, captions: Sequence[str], *, length: int, pad: int
) -> Int32[np.ndarray, "B T"]:
    """The tokens of captions, [B,length]: start, pieces (as many as fit), end, then `pad`."""
    ids = np.full((len(captions), length), pad, np.int32)
    for row, caption in zip(ids, captions, strict=True):
        pieces = [piece for word in _words(caption) for piece in _merged(vocabulary, word)]
        tokens = [vocabulary.ids[piece] for piece in (START, *pieces[: length - 2], END)]
        row[: len(tokens)] = tokens
    return ids


def _ids(path: str, text: str) -> dict[str, int]:
    try:
        ids = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {reason(error)}.") from error
    if not isinstance(ids, dict) or not all(type(value) is int and value >= 0 for value in ids.values()):
        raise InputError(f"{path} is no vocabulary; expected one object of pieces and their numbers.")
    return ids


def _pairs(path: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        first, space, second = line.rstrip("\r").partition(" ")
        if not (first and space and second) or " " in second:
            raise InputError(f"{path}, line {number} is {line!r}; expected two pieces and a space between.")
        yield first, second


@functools.cache
def _letters() -> tuple[str, ...]:
    """The sign that stands for each byte: printable ones for themselves, the others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


_CONTRACTION = re.compile("'(?:s|t|re|ve|m|ll|d)")
_RUN = re.compile("L+|N|O+")


def _words(caption: str) -> Iterator[str]:
    text = " ".join(unicodedata.normalize("NFC", caption).split()).lower()
    kinds = "".join(map(_kind, text))
    position = 0
    while position < len(text):
        if found := _CONTRACTION.match(text, position) or _RUN.match(kinds, position):
            yield text[position : found.end()]
        position = found.end() if found else position + 1


def _kind(sign: str) -> str:
    """L letter, N number, O other, or a space."""
    category = unicodedata.category(sign)[0]
    return category if category in "LN" else " " if sign.isspace() else "O"


def _split(word: str) -> list[str]:
    """The first pieces of a word, a byte each."""
    letters = _letters()
    *pieces, last = (letters[byte] for byte in word.encode())
    return [*pieces, last + _WORD_END]


def _joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces, those of the pair merged: from the left, so that of overlapping pairs the first is."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


@functools.lru_cache(_CACHED_WORDS)
def _merged(vocabulary: Vocabulary, word: str) -> tuple[str, ...]:
    """The pieces of a word."""
    pieces = _split(word)
    while len(pieces) > 1:
        pairs = itertools.pairwise(pieces)
        best = min(pairs, key=lambda pair: vocabulary.ranks.get(pair, len(vocabulary.ranks)))
        if best not in vocabulary.ranks:
            break
        pieces = _joined(pieces, best)
    return tuple(pieces)

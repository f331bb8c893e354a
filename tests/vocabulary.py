"""A vocabulary of CLIP's kind, with as few merges as a test needs."""

import json

from jaxaudit.data.byte_pairs import END, START

MERGES = ("h a", "n d</w>", "ha nd</w>", "p h", "ph o", "t o</w>", "a a")


def pieces(merges=MERGES):
    """All pieces, in the order of their ids: the bytes, the bytes at the end of a word, merges, the ends."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [*map(chr, printable), *(chr(0x100 + i) for i in range(256 - len(printable)))]
    joined = [merge.replace(" ", "") for merge in merges]
    return [*letters, *(f"{letter}</w>" for letter in letters), *joined, START, END]


SIZE = len(pieces())
"""Its ids are 0 .. SIZE - 1."""


def save(folder, merges=MERGES):
    """The two files, in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = {piece: i for i, piece in enumerate(pieces(merges))}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return folder

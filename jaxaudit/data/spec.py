"""The text that names a source: `SCHEME:LOCATION[?OPTION=VALUE[&OPTION=VALUE...]][SLICE]`.

    digits:members                                    scikit-learn's digits, the half the built-in targets saw
    folder:/data/val?classes=names.txt[:1000]         picture files
    npz:/data/pictures.npz                            arrays
    tfds:imagenet2012/train?data_dir=/data[0:9000:3]  a prepared TensorFlow dataset
    matched:sets#p                                    pictures that `jaxaudit match_sets` chose, P or U

Every source takes

    shuffle=SEED       a fixed permutation
    embeddings=FILE    embeddings of the pictures' captions, by their ids (`jaxaudit.data.embeddings`)

and a slice as Python writes it, which may also stand before the options. The slice counts in the shuffled
order. A class-sorted folder should be shuffled before it is sliced: its first samples are all of the first
classes.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping

from jaxaudit.data.digits import open_digits
from jaxaudit.data.embeddings import open_embeddings
from jaxaudit.data.folder import open_folder
from jaxaudit.data.matched import open_matched
from jaxaudit.data.npz import open_npz
from jaxaudit.data.source import Source
from jaxaudit.data.tfds import open_tfds
from jaxaudit.errors import InputError, unknown_name

_Opener = Callable[[str, Mapping[str, str]], Source]
_OPENERS: dict[str, tuple[_Opener, tuple[str, ...]]] = {
    "digits": (open_digits, ()),
    "folder": (open_folder, ("classes", "label", "captions", "group")),
    "npz": (open_npz, ("label", "group")),
    "tfds": (open_tfds, ("data_dir", "caption", "group")),
    "matched": (lambda location, options: open_matched(location, open_source), ()),
}
SCHEMES = tuple(_OPENERS)
"""The kinds of sources."""

_ANY_SOURCE = ("shuffle", "embeddings")

_SLICE = re.compile(r"\[(-?\d+)?:(-?\d+)?(?::(-?\d+)?)?\]$")


def open_source(spec: str, *, skip_unreadable: bool = False, index: str | None = None) -> Source:
    """Opens the source that `spec` names (see the module); no picture is read yet.

    Args:
      spec: the text.
      skip_unreadable: leave out pictures that cannot be read or are too small, and list them in
        `source.skipped`, instead of raising an error.
      index: the folder in which what reading tells is kept, for later looks at the same files.

    Raises:
      InputError: if the text cannot be understood, or what it names is missing, broken or empty.
    """
    scheme, colon, rest = spec.partition(":")
    if not colon:
        raise InputError(
            f"Source {spec!r} has no scheme; write one of {', '.join(f'{name}:...' for name in SCHEMES)}, "
            f"for example folder:{spec}."
        )
    if scheme not in _OPENERS:
        raise unknown_name("source", scheme, SCHEMES)
    opener, known = _OPENERS[scheme]
    rest, outer = _split_slice(rest)
    location, question, query = rest.partition("?")
    location, inner = _split_slice(location)
    if outer and inner:
        raise InputError(f"Source {spec!r} has two slices; one of them is enough.")
    options = _options(spec, query, (*known, *_ANY_SOURCE)) if question else {}
    if not location:
        raise InputError(
            f"Source {spec!r} names nothing after {scheme!r}; see the schemes: {', '.join(SCHEMES)}."
        )
    seed, embeddings = (options.pop(name, None) for name in _ANY_SOURCE)
    source = opener(location, options)
    if embeddings is not None:
        if source.embeddings is not None:
            raise InputError(f"Source {spec!r} holds embeddings itself; leave out embeddings={embeddings}.")
        source = dataclasses.replace(source, embeddings=open_embeddings(embeddings))
    if len(source) and seed is not None:
        source = source.take(_shuffled(source, seed))
    if rows := outer or inner:
        source = _sliced(spec, source, rows)
    elif not len(source):
        raise InputError(f"Source {spec!r} holds no picture.")
    return dataclasses.replace(source, spec=spec, skip_unreadable=skip_unreadable, index=index)


def _split_slice(text: str) -> tuple[str, re.Match[str] | None]:
    match = _SLICE.search(text)
    return (text[: match.start()], match) if match else (text, None)


def _options(spec: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in query.split("&"):
        name, equals, value = item.partition("=")
        if not equals or not value or name in options:
            raise InputError(
                f"Source {spec!r}: {item!r} is not one OPTION=VALUE; options are {', '.join(known)}."
            )
        if name not in known:
            raise unknown_name(f"option of {spec.partition(':')[0]} sources", name, known)
        options[name] = value
    return options


def _sliced(spec: str, source: Source, match: re.Match[str]) -> Source:
    start, stop, step = (int(part) if part else None for part in match.groups())
    if step == 0:
        raise InputError(f"Source {spec!r} has a slice of step 0; steps are 1 or more.")
    rows = range(len(source))[start:stop:step]
    if not rows:
        raise InputError(f"Source {spec!r} is empty: {match.group()} of {len(source)} pictures holds none.")
    return source.take(rows)


def _shuffled(source: Source, seed: str) -> list[int]:
    """The rows by the sha256 of seed and id: the same on every machine and for every version of anything."""
    keys = [hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest() for sample_id in source.ids]
    return sorted(range(len(keys)), key=keys.__getitem__)

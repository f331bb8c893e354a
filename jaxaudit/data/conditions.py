"""What a picture tells the model beside itself: its class, the embedding of its caption, or nothing.

A wrong condition costs no error later, only a wrong verdict, so a source is asked before it is used.

Axes: N samples of a source, T tokens and D channels of a caption's embedding.
"""

import dataclasses
import hashlib
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from jaxaudit.data.embeddings import NULL_EMBEDDING, Embeddings
from jaxaudit.data.source import UNKNOWN_LABEL, Source
from jaxaudit.errors import InputError


def resolve_labels(source: Source, num_classes: int) -> Source:
    """The source, once it is certain that its labels mean the target's classes 0 .. num_classes - 1.

    With `num_classes` = 0 (no class is a condition) every label becomes 0.

    Raises:
      InputError: if labels are missing, out of range, or the source tells another number of classes apart.
    """
    if num_classes == 0:
        zeros = np.zeros(len(source), np.int32)
        return dataclasses.replace(
            source, labels=zeros, num_classes=0, label_rule="the target has no classes"
        )
    if source.num_classes not in (None, num_classes):
        raise InputError(
            f"{source.spec} tells {source.num_classes} classes apart ({source.label_rule}), but the target "
            f"has {num_classes}, so its labels do not mean the target's classes. {_HOW_TO_LABEL}"
        )
    if source.labels is None:
        return dataclasses.replace(source, target_classes=num_classes)
    unknown = np.flatnonzero(source.labels == UNKNOWN_LABEL)
    if unknown.size:
        raise InputError(
            f"{source.spec} gives no label for {unknown.size} of its {len(source)} pictures, e.g. "
            f"{source.ids[unknown[0]]!r} ({source.label_rule}), but the target is conditioned on "
            f"{num_classes} classes. {_HOW_TO_LABEL}"
        )
    wrong = np.flatnonzero((source.labels < 0) | (source.labels >= num_classes))
    if wrong.size:
        raise InputError(
            f"{source.spec} gives {source.ids[wrong[0]]!r} the label {source.labels[wrong[0]]} "
            f"({source.label_rule}), but the target's classes are 0..{num_classes - 1}."
        )
    return source


def check_labelled_alike(*sides: tuple[str, Int[np.ndarray, " _"] | None]) -> None:
    """Makes sure that one label for all (`?label=N`) is not on one side only, nor two different ones.

    A model that is told one class for all of P, and for each of U its own, tells P from U by that.

    Args:
      sides: (the text a source was opened from, its labels or None if only reading tells) of each.

    Raises:
      InputError: unless all pictures of all sides have the same label, or none is given so.
    """
    given = {spec: label[1] for spec, _ in sides if (label := _ONE_LABEL.search(spec))}
    known = [labels for _, labels in sides if labels is not None]
    if not given or (len(known) == len(sides) and np.unique(np.concatenate(known)).size == 1):
        return
    spec, label = next(iter(given.items()))
    others = " and ".join(other for other, _ in sides if other != spec)
    raise InputError(
        f"{spec} gives all its pictures the label {label}, {others} gives others: a model that is told "
        "different things about them tells them apart by that. Label both alike, picture by picture or with "
        "the same ?label=N."
    )


def resolve_captions(
    source: Source, context_shape: tuple[int, int] | None, *, embeds_text: bool = False
) -> Source:
    """The source with one kind of caption, that which the target is told: embeddings, or text to be embedded.

    Without `context_shape` captions are no condition, and none are left.

    Args:
      source: stored embeddings come before its text.
      context_shape: (T, D) of the target's captions, None if it reads none.
      embeds_text: whether the target embeds text itself.

    Raises:
      InputError: if captions are missing, there is text only and the target does not embed it, or an
        embedding has another shape.
    """
    if context_shape is None:
        return dataclasses.replace(source, captions={}, embeddings=None)
    if source.embeddings is not None:
        _check_embeddings(source, source.embeddings, context_shape)
        return dataclasses.replace(source, captions={})
    wanted = "embeddings of captions [{},{}]".format(*context_shape)
    if not (source.captions is None or source.captions.keys() & set(source.ids)):
        raise InputError(
            f"{source.spec} has no captions, but the target is conditioned on {wanted}. {_HOW_TO_EMBED}"
        )
    if not embeds_text:
        raise InputError(
            f"{source.spec} has captions as text, but the target is conditioned on {wanted} and has no text "
            f"encoder. {_HOW_TO_EMBED}"
        )
    if source.captions is not None:
        _check_complete(source, [name for name in source.ids if name not in source.captions], "caption")
    return source


def condition_digest(label: int, caption: str | None, embedding: Float32[np.ndarray, "T D"] | None) -> bytes:
    """sha256 of what a picture tells the model; of a resolved source that is one thing."""
    told = b""
    if embedding is not None:
        told += b"embedding\0" + embedding.astype("<f4").tobytes()
    if caption is not None:
        told += b"caption\0" + caption.encode()
    if told:
        return hashlib.sha256(told).digest()
    return hashlib.sha256(b"label\0%d" % label).digest()


def _check_embeddings(source: Source, embeddings: Embeddings, context_shape: tuple[int, int]) -> None:
    _check_complete(
        source,
        [name for name in source.ids if name not in embeddings.shapes],
        f"embedding in {embeddings.where}",
    )
    shapes = {name: tuple(embeddings.shapes[name]) for name in source.ids}
    if embeddings.null is not None:
        shapes[NULL_EMBEDDING] = embeddings.null.shape
    for name, shape in shapes.items():
        if shape != context_shape:
            raise InputError(
                f"{embeddings.where}: the embedding of {name!r} has shape {shape}; the target's captions "
                f"have {context_shape}."
            )


def _check_complete(source: Source, missing: Sequence[str], what: str) -> None:
    if missing:
        raise InputError(
            f"{source.spec} has no {what} for {len(missing)} of its {len(source)} pictures, e.g. "
            f"{missing[0]!r}; a model of captions needs one for each."
        )


_ONE_LABEL = re.compile(r"[?&]label=(\d+)")
_HOW_TO_LABEL = (
    "Name the class folders by class index; or pass their names in the target's order with ?classes=FILE, or "
    "?classes=sorted if that is their alphabetical order; or give one class to all with ?label=N."
)
_HOW_TO_EMBED = (
    "Embed the captions with the model's text encoder and name the file with ?embeddings=FILE "
    "(jaxaudit.data.embeddings says what is in it)."
)

"""What a target is told beside the picture: its class, the embedding of its caption, or nothing.

    classes [B] int32           a target with `num_classes`
    embeddings [B,T,D] float32  a target with a `context_shape`: stored ones, or text that the target embeds
    nothing                     an unconditional target

Axes: B batch, T tokens and D channels of a caption's embedding.
"""

from __future__ import annotations

from collections.abc import Iterable

import jax
import numpy as np
from jaxtyping import Float, Float32

from jaxaudit.data import PictureBatch, Source, resolve_captions, resolve_labels
from jaxaudit.errors import InputError
from jaxaudit.targets import AnyArray, Given, Target, check_labels


def resolve_condition(source: Source, target: Target) -> Source:
    """The source, once it is certain that it says what the target is conditioned on, and nothing else.

    Raises:
      InputError: if labels or captions are missing or do not fit, see `jaxaudit.data.conditions`.
    """
    source = resolve_labels(source, target.num_classes)
    embeds_text = target.embed_captions is not None
    return resolve_captions(source, target.context_shape, embeds_text=embeds_text)


def condition_of(target: Target, batch: PictureBatch) -> Given:
    """What a target is told about the pictures of a batch, from a source that `resolve_condition` gave."""
    if target.context_shape is None:
        return batch.labels if target.num_classes else None
    if batch.embeddings is not None:
        return batch.embeddings
    return _embedded(target, [caption or "" for caption in batch.captions])


def null_context(target: Target, sources: Iterable[Source]) -> Float32[np.ndarray, "T D"] | None:
    """What a model of captions is told where there is none; None if nobody knows it.

    That is what the model has learned for it; or else the embedding of the empty caption, from sources that
    `resolve_condition` gave or by the target's text encoder.

    Raises:
      InputError: if two sources have different ones.
    """
    if target.context_shape is None:
        return None
    if target.null_context is not None:
        return np.asarray(target.null_context, np.float32)
    sources = list(sources)
    stored = [each.embeddings for each in sources if each.embeddings is not None]
    found = [(each.where, each.null) for each in stored if each.null is not None]
    if len(stored) < len(sources):
        found.append((f"the text encoder of {target.name}", _embedded(target, [""])[0]))
    for where, null in found[1:]:
        if not np.array_equal(null, found[0][1]):
            raise InputError(
                f"{found[0][0]} and {where} have different embeddings of the empty caption; a model has one."
            )
    return found[0][1] if found else None


def condition_arrays(
    target: Target, given: Given, count: int, null: Float[AnyArray, "T D"] | None = None
) -> dict[str, np.ndarray]:
    """The part of a step's batch that conditions it: "condition" and "null", each [B,...], as far as there.

    Args:
      target: what is conditioned.
      given: classes [B], embeddings of captions [B,T,D], or None.
      count: B.
      null: the embedding of the empty caption; None: what the model has learned in its place, if it has.

    Raises:
      InputError: if one of them is missing, has another shape or is of no use, or a label is no class.
    """
    context_shape = target.context_shape
    shape = () if given is None else np.shape(given)
    if null is not None and np.shape(null) != context_shape:
        raise InputError(
            f"null_context of shape {np.shape(null)} does not fit: {target.name} {_conditioned_on(target)}."
        )
    if context_shape:
        if given is None or shape != (count, *context_shape):
            raise InputError(
                f"{target.name} {_conditioned_on(target)}: labels must be those of {count} captions, "
                f"not of shape {shape}."
            )
        condition = np.asarray(given, np.float32)
        null = target.null_context if null is None else null
        if null is None:
            return {"condition": condition}
        return {
            "condition": condition,
            "null": np.broadcast_to(np.asarray(null, np.float32), condition.shape),
        }
    if not target.num_classes:
        if given is not None:
            raise InputError(f"{target.name} {_conditioned_on(target)}: labels must be None.")
        return {}
    if given is None or shape != (count,):
        raise InputError(f"Labels of shape {shape} do not fit {count} images; expected one each.")
    labels = np.asarray(given)
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"Labels of {labels.dtype} are no classes, which are integers.")
    check_labels(labels, target.num_classes, has_null_label=target.has_null_label)
    return {"condition": labels.astype(np.int32)}


def condition_spec(
    target: Target, count: int, *, null_context: bool = False
) -> dict[str, jax.ShapeDtypeStruct]:
    """`condition_arrays` of `count` pictures, as shapes and dtypes."""
    if target.context_shape:
        embeddings = jax.ShapeDtypeStruct((count, *target.context_shape), np.float32)
        knows_null = null_context or target.null_path is not None
        return {"condition": embeddings, **({"null": embeddings} if knows_null else {})}
    return {"condition": jax.ShapeDtypeStruct((count,), np.int32)} if target.num_classes else {}


def _embedded(target: Target, captions: list[str]) -> Float32[np.ndarray, "B T D"]:
    assert target.embed_captions is not None, "resolve_condition leaves text only to targets that embed it"
    return np.asarray(target.embed_captions(captions), np.float32)


def _conditioned_on(target: Target) -> str:
    if context_shape := target.context_shape:
        return "is conditioned on embeddings of captions [{},{}]".format(*context_shape)
    return f"is conditioned on {target.num_classes} classes" if target.num_classes else "is unconditional"

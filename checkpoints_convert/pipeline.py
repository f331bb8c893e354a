"""Files in, everything a target is made of out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.mapping import Table, convert
from checkpoints_convert.reading import read, sha256, unwrap
from checkpoints_convert.records import Conversion, Part, StateDict
from checkpoints_convert.stored import StoredArray
from jaxaudit.checkpoint.parameters import cast
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.families import get_family
from jaxaudit.families.contract import Variant
from jaxaudit.targets import Params


@dataclasses.dataclass(frozen=True)
class Converted:
    """The arguments of `jaxaudit.save_target`, but for the directory.

    Attributes:
      family: name of the family.
      config: its config dict, read from the shapes.
      params: {"generator": ..., "tokenizer": ...}, nested dicts of arrays that stay in the files until they
        are saved (`np.asarray` reads one).
      preprocessing: how a picture becomes the target's input.
      provenance: "variant" and "licence" (None where not stated) and "sources": for each part the name,
        address (None where not known), sha256 and nesting of its file.
      vocabulary: the folder of the vocabulary of its text encoder, None without one.
    """

    family: str
    config: Mapping[str, Any]
    params: Any
    preprocessing: Preprocessing
    provenance: Mapping[str, Any]
    vocabulary: Path | None = None


def convert_files(
    family: str,
    files: Mapping[str, str | Path],
    *,
    variant: str | None = None,
    num_heads: int | None = None,
    context_length: int | None = None,
    weights: str | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Converted:
    """Converts the checkpoint files of one target, which need not fit into memory.

    Args:
      family: a name in `CONVERSIONS`.
      files: {"generator": path, "tokenizer": path}; both may be the same training checkpoint.
      variant: the released model the files are said to be. Its shape is checked, and its address and licence
        are recorded; the weights themselves cannot be recognised.
      num_heads: attention heads, for families whose shapes keep no trace of them; default those of the
        released model with these shapes.
      context_length: tokens of a caption, for families whose shapes keep no trace of them; default CLIP's.
      weights: "ema" or "raw", for families whose state dicts hold both; default the moving average, where
        there is one.
      dtype: of the floating parameters.

    Raises:
      InputError: if a file cannot be read, is something else (and what), or does not fit, with all that is
        wrong in one message.
    """
    if family not in CONVERSIONS:
        raise unknown_name("family", family, CONVERSIONS)
    conversion, home = CONVERSIONS[family], get_family(family)
    if variant is not None and variant not in home.VARIANTS:
        raise unknown_name(f"{family} variant", variant, home.VARIANTS)
    asked = {
        "num_heads": conversion.asks_heads,
        "context_length": conversion.asks_context_length,
        "variant": conversion.asks_variant,
    }
    said = {"num_heads": num_heads, "context_length": context_length, "variant": variant}
    for name in ("num_heads", "context_length"):
        if said[name] is not None and not asked[name]:
            raise InputError(
                f"{name}={said[name]} is not needed: the shapes of a {family} checkpoint tell it."
            )
    if weights is not None and not any(weights in part.weights for part in conversion.parts.values()):
        raise InputError(f"weights={weights} is not needed: a {family} checkpoint has one set of weights.")
    paths = {name: Path(files[name]) for name in conversion.parts}
    contents = {path: read(path) for path in dict.fromkeys(paths.values())}
    chosen = {name: _select(contents[path], conversion, name, path) for name, path in paths.items()}
    states, sets = {}, {}
    for name, part in conversion.parts.items():
        states[name], sets[name] = _weights(part, chosen[name][1], weights, paths[name])
    config = conversion.infer_config(states, **{name: said[name] for name in said if asked[name]})
    released = home.VARIANTS[variant] if variant is not None else None
    if variant is not None and released is not None:
        _check_variant(variant, released, config)
    tables = {name: part.rows(states[name]) for name, part in conversion.parts.items()}
    titles = {name: f"{paths[name]}, read as a {part.title}," for name, part in conversion.parts.items()}
    params = convert_parts(states, tables, home.abstract_params(config), titles, dtype=dtype)
    sources = {
        name: {
            "file": path.name,
            "url": released.sources[name] if released is not None else None,
            "sha256": sha256(path),
            "nesting": chosen[name][0],
            **sets[name],
        }
        for name, path in paths.items()
    }
    provenance = {"variant": variant, "licence": released and released.licence, "sources": sources}
    return Converted(family, config, params, conversion.preprocessing(config), provenance)


def convert_parts(
    states: Mapping[str, Any],
    tables: Mapping[str, Table],
    abstract: Params,
    titles: Mapping[str, str],
    *,
    dtype: DTypeLike,
) -> Params:
    """The parameters of every part of a target.

    Args:
      states: {part: state dict}.
      tables: {part: rows for its keys}.
      abstract: {part: nested dict of `jax.ShapeDtypeStruct`}.
      titles: {part: what the error message calls it}.
      dtype: of the floating parameters.

    Raises:
      InputError: if they do not fit, with all that is wrong of all parts in one message.
    """
    abstract = cast(abstract, jnp.dtype(dtype))
    params, problems = {}, []
    for name, table in tables.items():
        try:
            params[name] = convert(states[name], table, abstract[name], source=titles[name])
        except InputError as error:
            problems += [error.sentence, *error.details]
    if problems:
        raise InputError(problems[0], problems[1:])
    return params


def matching_variant(converted: Converted) -> str | None:
    """The released variant with this config, None if there is none; a text encoder may be there besides."""
    for name, variant in get_family(converted.family).VARIANTS.items():
        if all(converted.config.get(part) == config for part, config in variant.config.items()):
            return name
    return None


def _select(
    content: Mapping[str, Any], conversion: Conversion, name: str, path: Path
) -> tuple[str, dict[str, StoredArray]]:
    """Where in the file the state dict of that part is, and the state dict."""
    part = conversion.parts[name]
    if (found := find(content, part)) is not None:
        return found
    if part.raw is not None and find(content, dataclasses.replace(part, nestings=(part.raw,))) is not None:
        raise InputError(
            f"{path} holds only the raw weights of a {part.title} (at {part.raw}); convert a file that also "
            f"has their moving average (at {part.nestings[0]}), of which all released results are."
        )
    every = [other for conversion in CONVERSIONS.values() for other in conversion.parts.values()]
    for other in every:
        if find(content, other) is not None:
            swapped = " Are the two files swapped?" if other in conversion.parts.values() else ""
            raise InputError(f"{path} is a {other.title}, not a {part.title}.{swapped}")
    raise not_such(part, content, path)


def _weights(part: Part, state: StateDict, asked: str | None, path: Path) -> tuple[StateDict, dict[str, str]]:
    """The set of weights that is asked for, or the first that is there, and what to record of it."""
    if not part.weights:
        return state, {}
    for name, choose in part.weights.items():
        if asked in (None, name) and (found := choose(state)) is not None:
            return found, {"weights": name}
    raise InputError(f"{path} has no {asked} weights of a {part.title}.")


def not_such(part: Part, content: Mapping[str, Any], path: Path) -> InputError:
    """The error for a file that holds no such part: what it lacks and what it holds."""
    keys = [str(key) for key in content]
    shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return InputError(
        f"{path} is not a {part.title}: no tensors {' and '.join(part.landmarks)} "
        f"at {' or '.join(nesting or 'its top' for nesting in part.nestings)}. It holds {shown or 'nothing'}."
    )


def find(content: Mapping[str, Any], part: Part) -> tuple[str, dict[str, StoredArray]] | None:
    """Where in the file such a part is, and its state dict; None if there is none."""
    for nesting in part.nestings:
        state = unwrap(content, nesting)
        if all(key in state for key in part.landmarks):
            return nesting, state
    return None


def _check_variant(name: str, released: Variant, config: Mapping[str, Any]) -> None:
    differences = [
        f"{part} {field} {found} instead of {value}"
        for part, fields in released.config.items()
        for field, value in fields.items()
        if (found := config.get(part, {}).get(field)) != value
    ]
    if differences:
        raise InputError(f"The files do not hold {name}: {', '.join(differences)}.")

"""Extractors on disk: one safetensors file, the parameters as tensors named by their paths.

The header's metadata hold, as JSON, what the file is: format, kind, config, provenance and a fingerprint.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgspec
import numpy as np
import safetensors
from flax import traverse_util
from jax.typing import DTypeLike
from safetensors.numpy import save_file

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.feature_extractors.base import (
    NETWORKS,
    Extractor,
    Params,
    abstract_params,
    build_extractor,
    fingerprint,
    pixels,
)

_FORMAT = 1
_METADATA = "jaxaudit_extractor"


def save_extractor(
    file: str | Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    params: Params,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes an extractor to `file`, all of it or nothing.

    Args:
      file: must not exist, unless `overwrite` and it is an extractor.
      kind: "sscd" or "inception".
      config: JSON-able, as `abstract_params` takes it.
      params: arrays with the shapes of `abstract_params(kind, config)`.
      provenance: JSON-able; where the weights came from.
      overwrite: replace the extractor that is there.

    Returns:
      What the file says of itself; "fingerprint" is a SHA-256 of kind, config and every parameter.

    Raises:
      InputError: if something is in the way, the parameters do not fit, or the disk refuses.
    """
    file = Path(file).absolute()
    check_writable(file, overwrite=overwrite)
    tensors = {path: np.ascontiguousarray(leaf) for path, leaf in _flat(params).items()}
    _check_shapes(f"The parameters are not those of such a {kind}", abstract_params(kind, config), tensors)
    record = {"format": _FORMAT, "kind": kind, "config": dict(config), "provenance": dict(provenance)}
    record["fingerprint"] = fingerprint(kind, config, params)
    work = file.with_name(f".{file.name}.unfinished-{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, work, metadata={_METADATA: json.dumps(record)})
        with work.open("rb") as written:
            os.fsync(written.fileno())
        work.replace(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"Cannot write {file}: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        work.unlink(missing_ok=True)
    return record


def load_extractor(name: str | Path, *, dtype: DTypeLike = jnp.float32) -> Extractor:
    """The extractor "pixels", or the one in a file.

    Args:
      name: "pixels" or a file written by `save_extractor` (one called so is "./pixels").
      dtype: of the parameters and the computation; features are float32.

    Raises:
      InputError: if there is no such extractor (with the nearest names, or for released weights the command
        that converts them), or the file is something else or damaged.
    """
    if str(name) == "pixels":
        return pixels()
    file = Path(name)
    if not file.is_file():
        raise _not_found(str(name))
    record = _read_record(file)
    try:
        with safetensors.safe_open(file, framework="numpy") as content:
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except (OSError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(f"{file} is damaged: {error}.") from error
    wanted = abstract_params(record.kind, record.config)
    _check_shapes(f"{file} does not fit its config", wanted, tensors)
    if fingerprint(record.kind, record.config, tensors) != record.fingerprint:
        raise InputError(
            f"{file} is damaged: its weights are not those of its fingerprint; convert it again."
        )
    params = {key: jnp.asarray(value, dtype) for key, value in tensors.items()}
    return build_extractor(
        str(name),
        record.kind,
        record.config,
        traverse_util.unflatten_dict(params, sep="/"),
        {**record.provenance, "fingerprint": record.fingerprint},
        dtype=dtype,
    )


def check_writable(file: str | Path, *, overwrite: bool = False) -> None:
    """Raises InputError if `save_extractor` would refuse `file` because of what is already there."""
    file = Path(file).absolute()
    if not os.path.lexists(file):
        return
    if not overwrite:
        raise InputError(f"{file} exists; choose another file, or say overwrite.")
    if not file.is_file():
        raise InputError(f"{file} is no file; an extractor is one.")
    _read_record(file)


class _Record(msgspec.Struct, frozen=True):
    """What a file says of itself."""

    kind: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    fingerprint: str


class _Header(msgspec.Struct, frozen=True):
    format: Any = None


def _read_record(file: Path) -> _Record:
    try:
        with safetensors.safe_open(file, framework="numpy") as content:
            text = (content.metadata() or {}).get(_METADATA)
        if text is None:
            raise InputError(
                f"{file} is no extractor; convert released weights with `python -m checkpoints_convert`."
            )
        if (version := msgspec.json.decode(text, type=_Header).format) != _FORMAT:
            raise InputError(f"{file} has format {version!r}; this jaxaudit reads format {_FORMAT}.")
        return msgspec.json.decode(text, type=_Record)
    except (OSError, msgspec.DecodeError, UnicodeError, safetensors.SafetensorError) as error:
        raise InputError(f"{file} is no extractor, or damaged: {error}.") from error


def _not_found(name: str) -> InputError:
    variants = {variant: kind for kind, network in NETWORKS.items() for variant in network.variants}
    kind = variants.get(name, name)
    if kind not in NETWORKS:
        return unknown_name("extractor", name, ["pixels", *NETWORKS, *variants])
    source = NETWORKS[kind].variants[name if name in variants else _DEFAULT[kind]].source
    return InputError(
        f"The weights of {name} do not come with jaxaudit. Download {source}, run "
        f"`python -m checkpoints_convert --family={kind} --weights={source.rsplit('/', 1)[-1]} "
        f"--out={kind}.safetensors`, and load {kind}.safetensors."
    )


_DEFAULT = {"sscd": "sscd_disc_mixup", "inception": "inception_2015_12_05"}


def _check_shapes(sentence: str, wanted: Params, tensors: Mapping[str, np.ndarray]) -> None:
    shapes = {path: leaf.shape for path, leaf in _flat(wanted).items()}
    found = {path: leaf.shape for path, leaf in tensors.items()}
    if shapes != found:
        wrong = sorted(path for path in shapes.keys() | found.keys() if shapes.get(path) != found.get(path))
        example = f"{wrong[0]} is {found.get(wrong[0])}, not {shapes.get(wrong[0])}"
        raise InputError(f"{sentence}: {len(wrong)} tensors differ, e.g. {example}.")


def _flat(tree: Params) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/")

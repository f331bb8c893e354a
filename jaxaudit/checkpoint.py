"""Targets on disk.

    DIRECTORY/target.json    what it is: format, family, config, preprocessing, provenance, fingerprint, files
    DIRECTORY/params-1a2b/   the parameters, one Orbax checkpoint

A directory is a target if and only if it has `target.json`, which says where the parameters are, with a
sha256 of every file and of itself: what was changed since it was written is not loaded.

Saving writes and syncs the parameters under a name of their own, and then renames `target.json` into its
place, the one step by which the target becomes another. Whatever kills a save, the target is the old one or
the new one, and the next save removes what it left.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from jax.typing import DTypeLike

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.families import FAMILIES, get_family
from jaxaudit.families.contract import Variant
from jaxaudit.families.random_params import random_params
from jaxaudit.seals import SEAL, files_sha256, is_sealed, seal
from jaxaudit.targets import Params, Target

_FORMAT = 2
_RECORD, _PARAMS = "target.json", "params"


class _Record(msgspec.Struct, frozen=True):
    """What `target.json` holds beside its format."""

    jaxaudit_version: str
    family: str
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    provenance: dict[str, Any]
    num_params: int
    fingerprint: str
    params: str
    files: dict[str, _File]
    sha256: str


class _File(msgspec.Struct, frozen=True):
    """A file of the checkpoint."""

    bytes: int
    sha256: str


def save_target(
    directory: str | Path,
    *,
    family: str,
    config: Mapping[str, Any],
    params: Params,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a target to `directory`, all of it or nothing.

    Args:
      directory: must not exist or be empty, unless `overwrite`.
      family: a name in `jaxaudit.families.FAMILIES`.
      config: JSON-able, as the family's `abstract_params` takes it.
      params: arrays with the shapes of `abstract_params(config)`, saved in their own dtypes.
      preprocessing: how a picture becomes the target's input.
      provenance: JSON-able; where the weights came from (files and their sha256, licence, address).
      overwrite: replace the target that is there; a directory that is no target is never replaced.

    Returns:
      What `target.json` holds. `fingerprint` is a SHA-256 of the family, config, preprocessing and every
      parameter: targets with the same one give the same scores. `files` has the size and SHA-256 of every
      file, `sha256` is that of all the other fields.

    Raises:
      InputError: if something is in the way, the parameters do not fit the config, or the disk refuses.
    """
    directory = Path(directory).absolute()
    check_writable(directory, overwrite=overwrite)
    params = jax.tree.map(np.asarray, params)
    abstract = get_family(family).abstract_params(config)
    _check_shapes(abstract, params, "The parameters do not fit their config")
    record = {
        "format": _FORMAT,
        "jaxaudit_version": importlib.metadata.version("jaxaudit"),
        "family": family,
        "config": config,
        "preprocessing": dataclasses.asdict(preprocessing),
        "provenance": provenance,
        "num_params": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    record["fingerprint"] = _fingerprint(record, params)
    kept = set(os.listdir(directory)) if directory.is_dir() else set()
    replaces, new = _RECORD in kept, directory / f"{_PARAMS}-{uuid.uuid4().hex[:8]}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(params)), shutil.disk_usage(directory).free
        if free < needed:
            raise InputError(
                f"{directory} needs {needed / 1e9:.2f} GB; its disk has {free / 1e9:.2f} GB free."
            )
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(new, params)
        for path in (*_files(new), *_directories(new), directory):
            _sync(path)
        record = seal({**record, "params": new.name, "files": _described(directory, new)})
        _put_in_place(directory, record)
        kept = {_RECORD, new.name}
    except OSError as error:
        raise InputError(f"Cannot write {directory}: {error.strerror or error}.") from error
    finally:
        _remove_leftovers(directory, kept, replaces)
    return record


def load_target(
    name: str | Path,
    *,
    dtype: DTypeLike = jnp.float32,
    sharding: jax.sharding.Sharding | None = None,
    verify: bool = True,
) -> Target:
    """The built-in target of that name, or the one in that directory.

    Args:
      name: a built-in name, which comes first, or a directory written by `save_target` (one that is called
        like a built-in target is "./NAME").
      dtype: of the floating parameters, which are restored straight into it, and of the computation.
      sharding: of every parameter; default the first device.
      verify: hash every file of the checkpoint (about 1 GB/s for each core) and compare with its record.

    Raises:
      InputError: if there is no such target (with the nearest names, or for a released model the command
        that converts it), or it is damaged, unfinished, of another format, or changed since it was written.
    """
    directory = _find(name)
    record = _read_record(directory)
    _check_files(directory, record["files"], verify=verify)
    family = get_family(record["family"])
    try:
        preprocessing = Preprocessing(**record["preprocessing"])
        msgspec.convert(dataclasses.asdict(preprocessing), Preprocessing)  # are its types right?
        abstract = family.abstract_params(record["config"])
    except InputError:
        raise
    except Exception as error:  # whatever a network makes of a config that describes none
        raise InputError(f"{directory / _RECORD} does not describe such a target: {error!r}.") from error
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    params = _restore(directory / record["params"], abstract, jnp.dtype(dtype), sharding)
    provenance = {**record["provenance"], "fingerprint": record["fingerprint"]}
    return family.build_target(
        str(name),
        record["config"],
        params,
        preprocessing,
        provenance,
        dtype=jnp.dtype(dtype),
        platform=min(sharding.device_set, key=lambda device: device.id).platform,
    )


def read_record(name: str | Path) -> dict[str, Any]:
    """What `target.json` of the target of that name or in that directory holds, see `save_target`.

    Raises:
      InputError: as `load_target`; files are not hashed.
    """
    return _read_record(_find(name))


def reseal_target(directory: str | Path) -> dict[str, Any]:
    """Brings a target of format 1, which had no seals, to the format of today; its weights stay as they are.

    Returns:
      What `target.json` holds now.

    Raises:
      InputError: if there is no such target, or its parameters are not those of its fingerprint.
    """
    directory = Path(directory).absolute()
    path = directory / _RECORD
    try:
        record = json.loads(path.read_text())
        if record["format"] != 1:
            raise InputError(f"{path} has format {record['format']!r}; only format 1 is without seals.")
        abstract = get_family(record["family"]).abstract_params(record["config"])
        params = _restore(directory / _PARAMS, abstract, None, None)
        if _fingerprint(record, params) != record["fingerprint"]:
            raise InputError(f"{directory} is damaged: its parameters are not those of its fingerprint.")
        described = _described(directory, directory / _PARAMS)
        record = seal({**record, "format": _FORMAT, "params": _PARAMS, "files": described})
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error!r}.") from error
    _put_in_place(directory, record)
    return record


def random_target(name: str, *, seed: int = 0, dtype: DTypeLike = jnp.float32) -> Target:
    """A released model's shape with random weights: for benchmarks, its scores mean nothing.

    Args:
      name: a released variant, such as "var_d16".
      seed: of the weights.
      dtype: of weights and computation.

    Raises:
      InputError: if no family has such a variant, with the nearest names.
    """
    variants = _variants()
    if name not in variants:
        raise unknown_name("released model", name, variants)
    family, variant = variants[name]
    abstract = _cast(FAMILIES[family].abstract_params(variant.config), jnp.dtype(dtype), None)
    params = random_params(abstract, seed=seed)
    provenance = {"random_weights": {"variant": name, "seed": seed}}
    return FAMILIES[family].build_target(
        f"random {name}", variant.config, params, variant.preprocessing, provenance, dtype=jnp.dtype(dtype)
    )


def check_writable(directory: str | Path, *, overwrite: bool = False) -> None:
    """Raises InputError if `save_target` would refuse `directory` because of what is already there."""
    directory = Path(directory).absolute()
    if not os.path.lexists(directory):
        return
    if (directory / _RECORD).exists():
        if not overwrite:
            raise InputError(f"{directory} already holds a target; choose another, or say overwrite.")
    elif not directory.is_dir():
        raise InputError(f"{directory} is a file; a target is a directory.")
    elif set(directory.iterdir()) - set(_leftovers(directory)):
        raise InputError(f"{directory} is not empty and not a target; choose another directory.")


def builtin_names() -> list[str]:
    """The names of the targets that come with jaxaudit."""
    return sorted(path.parent.name for path in _builtin_folder().glob(f"*/{_RECORD}"))


def _builtin_folder() -> Path:
    return Path(str(importlib.resources.files("jaxaudit"))) / "builtin"


def _variants() -> dict[str, tuple[str, Variant]]:
    return {
        name: (family, variant)
        for family, module in FAMILIES.items()
        for name, variant in module.VARIANTS.items()
    }


def _find(name: str | Path) -> Path:
    builtin, variants = builtin_names(), _variants()
    if str(name) in builtin:
        return _builtin_folder() / name
    directory = Path(name).absolute()
    if (directory / _RECORD).is_file():
        return directory
    if directory.is_dir() and _leftovers(directory):
        raise InputError(
            f"{directory} is no target: it has no {_RECORD}, for saving it did not finish; save it again."
        )
    if directory.is_dir():
        raise InputError(f"{directory} is no target: it has no {_RECORD}.")
    if directory.exists():
        raise InputError(f"{directory} is a file; a target is a directory.")
    if str(name) in variants:
        family, variant = variants[str(name)]
        names = {part: url.partition("?")[0].rsplit("/", 1)[-1] for part, url in variant.sources.items()}
        files = " ".join(f"--{part}={file}" for part, file in names.items())
        raise InputError(
            f"The weights of {name} do not come with jaxaudit. "
            f"Download {' and '.join(variant.sources.values())}, run `python -m checkpoints_convert "
            f"--family={family} --variant={name} {files} --out=targets/{name}`, and load targets/{name}."
        )
    raise unknown_name("target", str(name), [*builtin, *variants])


def _read_record(directory: Path) -> dict[str, Any]:
    path = directory / _RECORD
    try:
        record = json.loads(path.read_text())
        version = record.get("format") if isinstance(record, dict) else None
        if version == 1:
            raise InputError(
                f"{path} has format 1, without seals; "
                f"`jaxaudit.checkpoint.reseal_target({str(directory)!r})` brings it to format {_FORMAT}."
            )
        if version != _FORMAT:
            raise InputError(f"{path} has format {version!r}; this jaxaudit reads format {_FORMAT}.")
        msgspec.convert(record, _Record)
    except InputError:
        raise
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    if not is_sealed(record):
        raise InputError(
            f"{path} has been changed since it was written: it does not match its {SEAL}. Convert or copy "
            "the target again."
        )
    return record


def _check_files(directory: Path, files: Mapping[str, Mapping[str, Any]], *, verify: bool) -> None:
    """Refuses a checkpoint whose files are not those that were written."""
    damaged = functools.partial("{} is damaged: {} {}. Convert or copy it again.".format, directory)
    for name, file in files.items():
        found = (directory / name).stat().st_size if (directory / name).is_file() else None
        if found != file["bytes"]:
            state = "is missing" if found is None else f"has {found} bytes instead of {file['bytes']}"
            raise InputError(damaged(name, state))
    if not verify:
        return
    try:
        hashes = files_sha256(directory / name for name in files)
    except OSError as error:
        raise InputError(f"{directory} cannot be read: {error.strerror or error}.") from error
    for (name, file), found in zip(files.items(), hashes, strict=True):
        if found != file["sha256"]:
            raise InputError(damaged(name, "is not what was written"))


def _described(directory: Path, params: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file of the parameters, by its place in the target."""
    paths = list(_files(params))
    return {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": found}
        for path, found in zip(paths, files_sha256(paths), strict=True)
    }


def _restore(
    folder: Path, abstract: Params, dtype: np.dtype | None, sharding: jax.sharding.Sharding | None
) -> Params:
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            stored = checkpointer.metadata(folder).item_metadata.tree
            _check_shapes(abstract, stored, f"{folder.parent} does not fit its config")
            wanted = abstract if dtype else jax.tree.map(_spec, stored)
            return checkpointer.restore(folder, _cast(wanted, dtype, sharding))
    except InputError:
        raise
    except Exception as error:  # no common type covers what Orbax and TensorStore raise on damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(f"Cannot restore the parameters of {folder.parent}: {reason}.") from error


def _spec(stored: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(stored.shape, stored.dtype)


def _cast(abstract: Params, dtype: np.dtype | None, sharding: jax.sharding.Sharding | None) -> Params:
    """The same shapes, with `dtype` for floating leaves, if there is one."""

    def leaf(spec: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        cast = dtype if dtype and jnp.issubdtype(spec.dtype, jnp.floating) else spec.dtype
        return jax.ShapeDtypeStruct(spec.shape, cast, sharding=sharding)

    return jax.tree.map(leaf, abstract)


def _check_shapes(wanted: Params, found: Any, sentence: str) -> None:
    wanted, found = (traverse_util.flatten_dict(tree, sep="/") for tree in (wanted, found))
    problems = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    problems += [f"{path} is unknown" for path in found.keys() - wanted.keys()]
    problems += [
        f"{path} has shape {tuple(found[path].shape)} instead of {wanted[path].shape}"
        for path in wanted.keys() & found.keys()
        if tuple(found[path].shape) != wanted[path].shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"{sentence}: {'; '.join(sorted(problems)[:5])}{more}.")


def _fingerprint(record: Mapping[str, Any], params: Params) -> str:
    described = {field: record[field] for field in ("family", "config", "preprocessing")}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for path, leaf in sorted(traverse_util.flatten_dict(params, sep="/").items()):
        digest.update(f"{path} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).view(np.uint8).data)
    return digest.hexdigest()


def _put_in_place(directory: Path, record: Mapping[str, Any]) -> None:
    """Makes the directory the target that `record` describes, in one step."""
    partial = directory / f".{_RECORD}.{uuid.uuid4().hex[:8]}.partial"
    partial.write_text(json.dumps(record, indent=1))
    _sync(partial)
    os.replace(partial, directory / _RECORD)
    _sync(directory)


def _leftovers(directory: Path) -> list[Path]:
    """What saves write to a directory beside its record; some of it may be in use."""
    mark = "[0-9a-f]" * 8
    patterns = (f"{_PARAMS}-{mark}", f"{_PARAMS}-{mark}.orbax-*", f".{_RECORD}.{mark}.partial")
    return [path for pattern in patterns for path in directory.glob(pattern)]


def _remove_leftovers(directory: Path, kept: Set[str], replaced: bool) -> None:
    """Removes what saves have left, but for what is kept; `params` too where its target was replaced."""
    for path in [*_leftovers(directory), *([directory / _PARAMS] if replaced else [])]:
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _directories(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (path for path in sorted(folder.rglob("*")) if path.is_dir())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

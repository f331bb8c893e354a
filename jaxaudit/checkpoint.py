"""Targets on disk.

    DIRECTORY/target.json   what it is: format, family, config, preprocessing, provenance, sizes, fingerprint
    DIRECTORY/params/       the parameters, one Orbax checkpoint

A directory is a target if and only if it has `target.json`. Everything is written and synced beside it, under
a name that marks it as unfinished, and renamed as the last step: a target is whole or absent.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from jax.typing import DTypeLike

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.families import FAMILIES, get_family
from jaxaudit.families.contract import Variant
from jaxaudit.families.random_params import random_params
from jaxaudit.targets import Params, Target

_FORMAT = 1
_RECORD, _PARAMS = "target.json", "params"
_UNFINISHED = ".unfinished-"
_FIELDS = ("family", "config", "preprocessing", "provenance", "num_params", "fingerprint", "files")


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
      parameter: targets with the same one give the same scores.

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
    work = directory.with_name(f".{directory.name}{_UNFINISHED}{uuid.uuid4().hex[:8]}")
    try:
        work.mkdir(parents=True)
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(params)), shutil.disk_usage(work).free
        if free < needed:
            raise InputError(
                f"{directory} needs {needed / 1e9:.2f} GB; its disk has {free / 1e9:.2f} GB free."
            )
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(work / _PARAMS, params)
        (work / _PARAMS / "commit_success.txt").unlink(missing_ok=True)  # names `work`, which is renamed
        record["files"] = {str(path.relative_to(work)): path.stat().st_size for path in _files(work)}
        (work / _RECORD).write_text(json.dumps(record, indent=1))
        for path in (*_files(work), *_directories(work)):
            _sync(path)
        _put_in_place(work, directory)
    except OSError as error:
        raise InputError(f"Cannot write {directory}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return record


def load_target(
    name: str | Path, *, dtype: DTypeLike = jnp.float32, sharding: jax.sharding.Sharding | None = None
) -> Target:
    """The built-in target of that name, or the one in that directory.

    Args:
      name: a built-in name, which comes first, or a directory written by `save_target` (one that is called
        like a built-in target is "./NAME").
      dtype: of the floating parameters, which are restored straight into it, and of the computation.
      sharding: of every parameter; default the first device.

    Raises:
      InputError: if there is no such target (with the nearest names, or for a released model the command
        that converts it), or it is damaged, unfinished or of another format.
    """
    directory, record = _find(name), read_record(name)
    family = get_family(record["family"])
    try:
        preprocessing = Preprocessing(**record["preprocessing"])
        abstract = family.abstract_params(record["config"])
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{directory / _RECORD} does not describe such a target: {error!r}.") from error
    params = _restore(directory, abstract, jnp.dtype(dtype), sharding)
    provenance = {**record["provenance"], "fingerprint": record["fingerprint"]}
    return family.build_target(
        str(name), record["config"], params, preprocessing, provenance, dtype=jnp.dtype(dtype)
    )


def read_record(name: str | Path) -> dict[str, Any]:
    """What `target.json` of the target of that name or in that directory holds, see `save_target`.

    Raises:
      InputError: as `load_target`.
    """
    return _read_record(_find(name))


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
    elif any(directory.iterdir()):
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
    if (directory / _RECORD).is_file() and _UNFINISHED not in directory.name:
        return directory
    if _UNFINISHED in directory.name:
        raise InputError(f"{directory} was left by a save that did not finish; delete it and save again.")
    if remains := sorted(directory.parent.glob(f".{glob.escape(directory.name)}{_UNFINISHED}*")):
        raise InputError(
            f"{directory} is no target: saving it did not finish. Delete {remains[0]} and save again."
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
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
    version = record.get("format") if isinstance(record, dict) else None
    if version != _FORMAT:
        raise InputError(f"{path} has format {version!r}; this jaxaudit reads format {_FORMAT}.")
    if missing := [field for field in _FIELDS if field not in record]:
        raise InputError(f"{path} is damaged: it has no {', '.join(missing)}.")
    for name, size in record["files"].items():
        file = directory / name
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise InputError(f"{directory} is damaged: {name} {state}. Convert or copy it again.")
    return record


def _restore(
    directory: Path, abstract: Params, dtype: np.dtype, sharding: jax.sharding.Sharding | None
) -> Params:
    sharding = sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            stored = checkpointer.metadata(directory / _PARAMS).item_metadata.tree
            _check_shapes(abstract, stored, f"{directory} does not fit its config")
            return checkpointer.restore(directory / _PARAMS, _cast(abstract, dtype, sharding))
    except InputError:
        raise
    except Exception as error:  # no common type covers what Orbax and TensorStore raise on damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(f"Cannot restore the parameters of {directory}: {reason}.") from error


def _cast(abstract: Params, dtype: np.dtype, sharding: jax.sharding.Sharding | None) -> Params:
    """The same shapes, with `dtype` for floating leaves."""

    def leaf(spec: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        floating = jnp.issubdtype(spec.dtype, jnp.floating)
        return jax.ShapeDtypeStruct(spec.shape, dtype if floating else spec.dtype, sharding=sharding)

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


def _put_in_place(work: Path, directory: Path) -> None:
    """Renames `work` to `directory`, an existing target out of the way first."""
    if (directory / _RECORD).exists():
        replaced = work.with_name(work.name + "-replaced")
        directory.rename(replaced)
        work.rename(directory)
        shutil.rmtree(replaced)
    else:
        work.rename(directory)
    _sync(directory.parent)


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

"""Writing a target."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxaudit.checkpoint.files import (
    PARAMS,
    RECORD,
    VOCABULARY,
    described,
    leftovers,
    remove_leftovers,
    sync,
    sync_folder,
)
from jaxaudit.checkpoint.parameters import Fingerprint, check_shapes, fingerprint, restore
from jaxaudit.checkpoint.record import FORMAT, put_in_place
from jaxaudit.checkpoint.writing import write
from jaxaudit.data.byte_pairs import FILES, read_vocabulary
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.captions import check_vocabulary
from jaxaudit.paths import Location, as_place
from jaxaudit.seals import seal
from jaxaudit.targets import Params


def save_target(
    directory: str | Path,
    *,
    family: str,
    config: Mapping[str, Any],
    params: Params,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    vocabulary: Location | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a target to `directory`, all of it or nothing.

    Args:
      directory: must not exist or be empty, unless `overwrite`.
      family: a name in `jaxaudit.families.FAMILIES`.
      config: JSON-able, as the family's `abstract_params` takes it.
      params: arrays with the shapes of `abstract_params(config)`, saved in their own dtypes; or whatever has
        shape, dtype, size and nbytes of one, and is read by `np.asarray` when its turn comes. Saving takes
        the memory of a few of them.
      preprocessing: how a picture becomes the target's input.
      provenance: JSON-able; where the weights came from (files and their sha256, licence, address).
      vocabulary: the folder of vocab.json and merges.txt of its text encoder, which a config with one needs.
      overwrite: replace the target that is there; a directory that is no target is never replaced.

    Returns:
      What `target.json` holds. `fingerprint` is a SHA-256 of the family, config, preprocessing, every
      parameter and the vocabulary: targets with the same one give the same scores. `files` has the size and
      SHA-256 of every file, `sha256` is that of all the other fields.

    Raises:
      InputError: if something is in the way, the parameters or the vocabulary do not fit the config, or the
        disk refuses.
    """
    directory = Path(directory).absolute()
    check_writable(directory, overwrite=overwrite)
    abstract = get_family(family).abstract_params(config)
    check_shapes(abstract, params, "The parameters do not fit their config")
    check_vocabulary(config, None if vocabulary is None else read_vocabulary(vocabulary))
    texts = {} if vocabulary is None else {name: (as_place(vocabulary) / name).read_bytes() for name in FILES}
    record = {
        "format": FORMAT,
        "jaxaudit_version": importlib.metadata.version("jaxaudit"),
        "family": family,
        "config": config,
        "preprocessing": dataclasses.asdict(preprocessing),
        "provenance": provenance,
        "num_params": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "dtypes": sorted({str(leaf.dtype) for leaf in jax.tree.leaves(params)}),
    }
    digest = Fingerprint(record)
    kept = set(os.listdir(directory)) if directory.is_dir() else set()
    replaces, mark = RECORD in kept, uuid.uuid4().hex[:8]
    new, beside = directory / f"{PARAMS}-{mark}", directory / f"{VOCABULARY}-{mark}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(params)), shutil.disk_usage(directory).free
        if free < needed:
            raise InputError(
                f"{directory} needs {needed / 1e9:.2f} GB; its disk has {free / 1e9:.2f} GB free."
            )
        write(new, params, each=digest.add)
        folders = [new]
        if texts:
            folders.append(beside)
            record["vocabulary"] = beside.name
            beside.mkdir()
        for name, text in texts.items():
            (beside / name).write_bytes(text)
            digest.add(f"{VOCABULARY}/{name}", np.frombuffer(text, np.uint8))
        record["fingerprint"] = digest.hexdigest()
        for folder in folders:
            sync_folder(folder)
        sync(directory)
        record = seal({**record, "params": new.name, "files": described(directory, *folders)})
        put_in_place(directory, record)
        kept = {RECORD, *(folder.name for folder in folders)}
    except OSError as error:
        raise InputError(f"Cannot write {directory}: {error.strerror or error}.") from error
    finally:
        remove_leftovers(directory, kept, replaced=replaces)
    return record


def check_writable(directory: str | Path, *, overwrite: bool = False) -> None:
    """Raises InputError if `save_target` would refuse `directory` because of what is already there."""
    directory = Path(directory).absolute()
    if not os.path.lexists(directory):
        return
    if (directory / RECORD).exists():
        if not overwrite:
            raise InputError(f"{directory} already holds a target; choose another, or say overwrite.")
    elif not directory.is_dir():
        raise InputError(f"{directory} is a file; a target is a directory.")
    elif set(directory.iterdir()) - set(leftovers(directory)):
        raise InputError(f"{directory} is not empty and not a target; choose another directory.")


def reseal_target(directory: str | Path) -> dict[str, Any]:
    """Brings a target of format 1, which had no seals, to the format of today; its weights stay as they are.

    Returns:
      What `target.json` holds now.

    Raises:
      InputError: if there is no such target, or its parameters are not those of its fingerprint.
    """
    directory = Path(directory).absolute()
    path = directory / RECORD
    try:
        record = json.loads(path.read_text())
        if record["format"] != 1:
            raise InputError(f"{path} has format {record['format']!r}; only format 1 is without seals.")
        abstract = get_family(record["family"]).abstract_params(record["config"])
        first = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        params = restore(directory / PARAMS, abstract, None, first)
        if fingerprint(record, params) != record["fingerprint"]:
            raise InputError(f"{directory} is damaged: its parameters are not those of its fingerprint.")
        files = described(directory, directory / PARAMS)
        record = seal({**record, "format": FORMAT, "params": PARAMS, "files": files})
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error!r}.") from error
    put_in_place(directory, record)
    return record

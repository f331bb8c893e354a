"""Reading a target."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import msgspec
from jax.typing import DTypeLike

from jaxaudit.checkpoint.bucket import copied
from jaxaudit.checkpoint.files import RECORD, check_files
from jaxaudit.checkpoint.finding import find, released
from jaxaudit.checkpoint.parameters import cast, restore, sharded
from jaxaudit.checkpoint.record import read_sealed
from jaxaudit.data.byte_pairs import read_vocabulary
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.families import FAMILIES, get_family
from jaxaudit.families.captions import with_text_encoder
from jaxaudit.families.random_params import random_params
from jaxaudit.models.attention_backend import AttentionChoice, check_pieces
from jaxaudit.paths import Location, Place, as_place, in_bucket
from jaxaudit.runtime.mesh import MODEL_AXIS
from jaxaudit.runtime.partition import param_shardings
from jaxaudit.runtime.placement import Placement
from jaxaudit.targets import Target

FIRST_DEVICE = Placement(num_devices=1)
"""Where a target is loaded unless something else is said."""


def load_target(
    name: Location,
    *,
    dtype: DTypeLike = jnp.float32,
    placement: Placement = FIRST_DEVICE,
    verify: bool = True,
    attention: AttentionChoice = "auto",
) -> Target:
    """The built-in target of that name, or the one in that directory.

    Args:
      name: a built-in name, which comes first, or a directory written by `save_target` (one that is called
        like a built-in target is "./NAME"), or its copy in a bucket.
      dtype: of the floating parameters, which are restored straight into it, and of the computation.
      placement: the devices on which it will work. Where one is too small (see `Placement.shard_params`), the
        parameters are restored in pieces, and no device ever holds the whole of one that is split.
      verify: hash every file of the checkpoint (about 1 GB/s for each core) and compare with its record.
      attention: what computes the generator's attention, as `build_target` takes it.

    Raises:
      InputError: if there is no such target (with the nearest names, or for a released model the command
        that converts it), it is damaged, unfinished, of another format, or changed since it was written, it
        does not fit the devices, or the attention asked for cannot be used.
    """
    place = as_place(name)
    if in_bucket(place):
        with copied(place) as copy:
            found = load_target(copy, dtype=dtype, placement=placement, verify=verify, attention=attention)
        return dataclasses.replace(found, name=str(place))
    directory = find(name)
    record = read_sealed(directory)
    check_files(directory, record["files"], verify=verify)
    family = get_family(record["family"])
    try:
        preprocessing = Preprocessing(**record["preprocessing"])
        msgspec.convert(dataclasses.asdict(preprocessing), Preprocessing)  # are its types right?
        abstract = family.abstract_params(record["config"])
    except InputError:
        raise
    except Exception as error:  # whatever a network makes of a config that describes none
        raise InputError(f"{directory / RECORD} does not describe such a target: {error!r}.") from error
    mesh = placement.mesh(cast(abstract, jnp.dtype(dtype)), family.PARTITION)
    check_pieces(attention, mesh.shape[MODEL_AXIS])
    shardings = param_shardings(abstract, family.PARTITION, mesh)
    params = restore(directory / record["params"], abstract, jnp.dtype(dtype), shardings)
    provenance = {**record["provenance"], "fingerprint": record["fingerprint"]}
    target = family.build_target(
        str(name),
        record["config"],
        params,
        preprocessing,
        provenance,
        dtype=jnp.dtype(dtype),
        platform=mesh.devices.flat[0].platform,
        attention=attention,
    )
    stored = record.get("vocabulary")
    vocabulary = read_vocabulary(directory / stored) if stored else None
    return with_text_encoder(target, record["config"], vocabulary, dtype=dtype)


def find_vocabulary(name: Location) -> Place | None:
    """The folder of the vocabulary of the target of that name or in that directory, None if it has none.

    Raises:
      InputError: as `load_target`; files are not hashed.
    """
    place = as_place(name)
    directory = place if in_bucket(place) else find(name)
    stored = read_sealed(directory).get("vocabulary")
    return directory / stored if stored else None


def read_record(name: Location) -> dict[str, Any]:
    """What `target.json` of the target of that name or in that directory holds, see `save_target`.

    Raises:
      InputError: as `load_target`; files are not hashed.
    """
    place = as_place(name)
    if in_bucket(place):
        return read_sealed(place)
    return read_sealed(find(name))


def random_target(
    name: str,
    *,
    seed: int = 0,
    dtype: DTypeLike = jnp.float32,
    placement: Placement = FIRST_DEVICE,
    attention: AttentionChoice = "auto",
) -> Target:
    """A released model's shape with random weights: for benchmarks, its scores mean nothing.

    Args:
      name: a released variant, such as "var_d16".
      seed: of the weights.
      dtype: of weights and computation.
      placement: the devices on which it will work, as for `load_target`.
      attention: what computes the generator's attention, as `build_target` takes it.

    Raises:
      InputError: if no family has such a variant, with the nearest names, it does not fit the devices, or the
        attention asked for cannot be used.
    """
    variants = released()
    if name not in variants:
        raise unknown_name("released model", name, variants)
    of_family, variant = variants[name]
    family = FAMILIES[of_family]
    abstract = cast(family.abstract_params(variant.config), jnp.dtype(dtype))
    mesh = placement.mesh(abstract, family.PARTITION)
    check_pieces(attention, mesh.shape[MODEL_AXIS])
    params = random_params(sharded(abstract, param_shardings(abstract, family.PARTITION, mesh)), seed=seed)
    return family.build_target(
        f"random {name}",
        variant.config,
        params,
        variant.preprocessing,
        {"random_weights": {"variant": name, "seed": seed}},
        dtype=jnp.dtype(dtype),
        platform=mesh.devices.flat[0].platform,
        attention=attention,
    )

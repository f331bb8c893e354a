"""A folder in, everything a target is made of out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.diffusers import autoencoder, dit, text_encoder, unet
from checkpoints_convert.diffusers.folder import ASIDE, INDEX, Folder, open_folder
from checkpoints_convert.diffusers.networks import Denoiser, Network
from checkpoints_convert.diffusers.scheduler import process
from checkpoints_convert.diffusers.weights import Weights, read_weights
from checkpoints_convert.lora import merge_lora
from checkpoints_convert.pipeline import Converted, convert_parts
from checkpoints_convert.reading import sha256
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.captions import TEXT_ENCODER
from jaxaudit_kernels.processes import declared

DENOISERS: dict[str, Denoiser] = {
    "DiTTransformer2DModel": dit.NETWORK,
    "Transformer2DModel": dit.NETWORK,  # its name in folders of before
    "UNet2DConditionModel": unet.NETWORK,
}
"""The generators that are known."""

OTHERS: dict[str, Network] = {
    "AutoencoderKL": autoencoder.NETWORK,
    "CLIPTextModel": text_encoder.NETWORK,
}
"""The other networks that are known."""

_PARTS = {"text_encoder": TEXT_ENCODER, "transformer": "generator", "unet": "generator", "vae": "tokenizer"}
"""Components that are networks, in the order in which their configs tell of each other, and their parts."""


def convert_folder(
    directory: str | Path,
    *,
    family: str | None = None,
    variant: str | None = None,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    dtype: DTypeLike = jnp.float32,
) -> Converted:
    """Converts a folder of a diffusers pipeline, whose weights need not fit into memory.

    Args:
      directory: the folder, with model_index.json.
      family: that it is said to be of; by default that of its denoiser.
      variant: of the weights, as in "fp16", where a component has it; default those of none.
      lora: file of low-rank changes that are added to the weights (`checkpoints_convert.lora`).
      lora_scale: what they are multiplied with.
      dtype: of the floating parameters.

    Raises:
      InputError: if there is no such pipeline, it is of another family, it brings code, has networks or
        settings that are not known, lacks weights, or does not fit, with all that is wrong in one message.
    """
    folder = open_folder(directory, known=[*DENOISERS, *OTHERS])
    component, denoiser = _denoiser(folder)
    if family not in (None, denoiser.family):
        raise InputError(
            f"{folder.path} has a {folder.components[component]}, which is of the family {denoiser.family}, "
            f"not {family}."
        )
    networks = _networks(folder, component, denoiser)
    config, home = _config(folder, networks, denoiser), get_family(denoiser.family)
    abstract = home.abstract_params(config)
    weights = {name: read_weights(folder.path / name, variant=variant) for name in networks}
    if variant is not None and all(each.variant is None for each in weights.values()):
        raise InputError(f"{folder.path} has no weights of the variant {variant}; leave it out.")
    states: dict[str, Any] = {name: networks[name].named(each.state) for name, each in weights.items()}
    if lora is not None:
        states = merge_lora(states, lora, denoiser=component, scale=lora_scale)
    told = {name: config[_PARTS[name]] for name in networks}
    params = convert_parts(
        {_PARTS[name]: networks[name].prepare(states[name], told[name]) for name in networks},
        {_PARTS[name]: network.table(told[name]) for name, network in networks.items()},
        abstract,
        {_PARTS[name]: f"{folder.path / name}, a {network.title}," for name, network in networks.items()},
        dtype=dtype,
    )
    provenance = _provenance(folder, weights)
    if lora is not None:
        provenance["lora"] = {"file": Path(lora).name, "sha256": sha256(lora), "scale": lora_scale}
    return Converted(
        denoiser.family,
        config,
        params,
        CONVERSIONS[denoiser.family].preprocessing(config),
        provenance,
        folder.path / "tokenizer" if TEXT_ENCODER in config else None,
    )


def _denoiser(folder: Folder) -> tuple[str, Denoiser]:
    """The component that is the generator, and what is known of its class."""
    found = [name for name in folder.components if _PARTS.get(name) == "generator"]
    if len(found) != 1:
        raise InputError(
            f"{folder.path / INDEX} lists no transformer or unet, or both: what is its generator?"
        )
    return found[0], _known(folder, found[0], DENOISERS)


def _networks(folder: Folder, component: str, denoiser: Denoiser) -> dict[str, Network]:
    """{component: what is known of its class}, in the order of `_PARTS`."""
    for name, kind in folder.components.items():
        if name not in (*_PARTS, *ASIDE):
            raise InputError(
                f"{folder.path} is a {folder.pipeline} with {name} ({kind}), a component that is not known; "
                f"known are {', '.join(_PARTS)}."
            )
    if "vae" not in folder.components:
        raise InputError(f"{folder.path / INDEX} lists no vae; a model of pixels is not known here.")
    return {
        name: denoiser if name == component else _known(folder, name, OTHERS)
        for name in _PARTS
        if name in folder.components
    }


def _config(folder: Folder, networks: Mapping[str, Network], denoiser: Denoiser) -> dict[str, Any]:
    """The target's config."""
    told: dict[str, Any] = {}
    if "text_encoder" in networks:
        told["vocabulary"] = text_encoder.tokens(folder)
    for name, network in networks.items():
        told[_PARTS[name]] = network.config(folder.settings(name), told)
    told.pop("vocabulary", None)
    declaration = process(folder.settings("scheduler"))
    if declared(declaration) is not declared(denoiser.process):
        told["process"] = declaration
    return told


def _known(folder: Folder, name: str, known: Mapping[str, Any]) -> Any:
    kind = folder.components[name]
    if kind not in known:
        raise InputError(
            f"{folder.path / name} is a {kind}, which is not known; known classes: "
            f"{', '.join(sorted(known))}."
        )
    return known[kind]


def _provenance(folder: Folder, weights: Mapping[str, Weights]) -> dict[str, Any]:
    """What the target's record says of where it is from."""
    sources = {
        _PARTS[name]: {
            "class": folder.components[name],
            "files": {str(file.relative_to(folder.path)): sha256(file) for file in each.files},
        }
        for name, each in weights.items()
    }
    pipeline = {"class": folder.pipeline, "diffusers": folder.version}
    return {"variant": None, "licence": None, "pipeline": pipeline, "sources": sources}

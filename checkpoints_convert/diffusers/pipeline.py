"""A folder in, everything a target is made of out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.diffusers import autoencoder, dit
from checkpoints_convert.diffusers.folder import INDEX, Folder, open_folder
from checkpoints_convert.diffusers.networks import Denoiser, Network
from checkpoints_convert.diffusers.scheduler import process
from checkpoints_convert.diffusers.weights import Weights, read_weights
from checkpoints_convert.lora import merge_lora
from checkpoints_convert.pipeline import Converted, convert_parts
from checkpoints_convert.reading import sha256
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit_kernels.processes import declared

DENOISERS: dict[str, Denoiser] = {
    "DiTTransformer2DModel": dit.NETWORK,
    "Transformer2DModel": dit.NETWORK,  # its name in folders of before
}
"""The generators that are known."""

OTHERS: dict[str, Network] = {
    "AutoencoderKL": autoencoder.NETWORK,
}
"""The other networks that are known."""

_PARTS = {"vae": "tokenizer"}
"""Components beside the denoiser, and what a target calls them."""

_NO_NETWORKS = ("scheduler", "tokenizer", "feature_extractor", "safety_checker")
"""Components that compute nothing that an audit looks at."""


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
    networks = {component: denoiser} | _others(folder, component)
    parts = {name: _PARTS.get(name, "generator") for name in networks}
    configs: dict[str, Any] = {}
    for name, network in networks.items():
        configs[parts[name]] = network.config(folder.settings(name), configs)
    config = {"tokenizer": None, **configs}
    if "scheduler" in folder.components:
        declaration = process(folder.settings("scheduler"))
        if declared(declaration) is not declared(denoiser.process):
            config["process"] = declaration
    abstract = get_family(denoiser.family).abstract_params(config)
    weights = {name: read_weights(folder.path / name, variant=variant) for name in networks}
    if variant is not None and all(each.variant is None for each in weights.values()):
        raise InputError(f"{folder.path} has no weights of the variant {variant}; leave it out.")
    states: dict[str, Any] = {name: each.state for name, each in weights.items()}
    provenance = _provenance(folder, weights, parts)
    if lora is not None:
        states = merge_lora(states, lora, denoiser=component, scale=lora_scale)
        provenance["lora"] = {"file": Path(lora).name, "sha256": sha256(lora), "scale": lora_scale}
    params = convert_parts(
        {parts[name]: networks[name].prepare(states[name], configs[parts[name]]) for name in networks},
        {parts[name]: network.table(configs[parts[name]]) for name, network in networks.items()},
        abstract,
        {parts[name]: f"{folder.path / name}, a {network.title}," for name, network in networks.items()},
        dtype=dtype,
    )
    return Converted(
        denoiser.family, config, params, CONVERSIONS[denoiser.family].preprocessing(config), provenance
    )


def _denoiser(folder: Folder) -> tuple[str, Denoiser]:
    """The component that is the generator, and what is known of its class."""
    found = [name for name in ("transformer", "unet") if name in folder.components]
    if len(found) != 1:
        raise InputError(
            f"{folder.path / INDEX} lists no transformer or unet, or both: what is its generator?"
        )
    return found[0], _known(folder, found[0], DENOISERS)


def _others(folder: Folder, denoiser: str) -> dict[str, Network]:
    """The other components that are networks."""
    found = {}
    for name in sorted(set(folder.components) - {denoiser, *_NO_NETWORKS}):
        if name not in _PARTS:
            raise InputError(
                f"{folder.path} is a {folder.pipeline} with {name} ({folder.components[name]}), a component "
                f"that is not known; known are transformer, unet, {', '.join(_PARTS)}."
            )
        found[name] = _known(folder, name, OTHERS)
    return found


def _known(folder: Folder, name: str, known: Mapping[str, Any]) -> Any:
    kind = folder.components[name]
    if kind not in known:
        raise InputError(
            f"{folder.path / name} is a {kind}, which is not known; known classes: "
            f"{', '.join(sorted(known))}."
        )
    return known[kind]


def _provenance(folder: Folder, weights: Mapping[str, Weights], parts: Mapping[str, str]) -> dict[str, Any]:
    """What the target's record says of where it is from."""
    sources = {
        parts[name]: {
            "class": folder.components[name],
            "files": {str(file.relative_to(folder.path)): sha256(file) for file in each.files},
        }
        for name, each in weights.items()
    }
    pipeline = {"class": folder.pipeline, "diffusers": folder.version}
    return {"variant": None, "licence": None, "pipeline": pipeline, "sources": sources}

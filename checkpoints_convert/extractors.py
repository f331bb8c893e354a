"""One file with weights in, everything a feature extractor is made of out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from checkpoints_convert import inception, sscd
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import find, not_such
from checkpoints_convert.reading import read, sha256
from checkpoints_convert.records import Part, StateDict
from jaxaudit.configs import to_dict
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.feature_extractors import abstract_params
from jaxaudit.feature_extractors.base import get_network


@dataclasses.dataclass(frozen=True)
class ExtractorConversion:
    """How the weights of one kind of extractor are read.

    Attributes:
      layouts: what a file with the weights may look like.
      infer_config: state dict in any of the layouts -> config dict, read from the shapes.
    """

    layouts: tuple[Part, ...]
    infer_config: Callable[[StateDict], dict[str, Any]]


EXTRACTORS: Mapping[str, ExtractorConversion] = {
    "inception": ExtractorConversion(inception.LAYOUTS, inception.infer_config),
    "sscd": ExtractorConversion(sscd.LAYOUTS, sscd.infer_config),
}
"""Every kind of extractor with weights."""


@dataclasses.dataclass(frozen=True)
class ConvertedExtractor:
    """The arguments of `jaxaudit.feature_extractors.save_extractor`, but for the file.

    Attributes:
      kind: "sscd" or "inception".
      config: its config dict, read from the shapes.
      params: nested dict of float32 NumPy arrays.
      provenance: "variant", "licence" and "url" (None where not stated), "file" and "sha256".
    """

    kind: str
    config: dict[str, Any]
    params: Any
    provenance: dict[str, Any]


def convert_extractor(kind: str, weights: str | Path, *, variant: str | None = None) -> ConvertedExtractor:
    """Reads and converts the weights of an extractor.

    Args:
      kind: "sscd" or "inception".
      weights: the released file: PyTorch, TorchScript or safetensors.
      variant: the release it is said to be. Its shape is checked, its address and licence are recorded; the
        weights themselves cannot be recognised.

    Raises:
      InputError: if the file cannot be read, is something else, or does not fit, with all that is wrong.
    """
    network = get_network(kind)
    if variant is not None and variant not in network.variants:
        raise unknown_name(f"{kind} variant", variant, network.variants)
    path, conversion = Path(weights), EXTRACTORS[kind]
    content = read(path)
    fitting = ((layout, found) for layout in conversion.layouts if (found := find(content, layout)))
    layout, found = next(fitting, (None, None))
    if layout is None or found is None:
        raise not_such(conversion.layouts[0], content, path)
    _, state = found
    config = conversion.infer_config(state)
    released = network.variants[variant] if variant is not None else None
    if released is not None and to_dict(released.config) != config:
        raise InputError(f"{path} does not hold {variant}: its shape is {config}.")
    source = f"{path}, read as a {layout.title},"
    params = convert(state, layout.table, abstract_params(kind, config), source=source)
    return ConvertedExtractor(
        kind=kind,
        config=config,
        params=jax.tree.map(np.asarray, params),
        provenance={
            "variant": variant,
            "licence": released and released.licence,
            "url": released and released.source,
            "file": path.name,
            "sha256": sha256(path),
        },
    )

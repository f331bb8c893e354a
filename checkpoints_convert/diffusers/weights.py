"""The weights of a component: one file, or shards that an index lists, of a variant or of none.

    STEM.safetensors                             STEM.VARIANT.safetensors
    STEM.safetensors.index.json                  STEM.safetensors.index.VARIANT.json
    STEM-00001-of-00005.safetensors              STEM.VARIANT-00001-of-00003.safetensors

STEM is diffusion_pytorch_model, or model in components of transformers. Where there is no safetensors file,
PyTorch's (.bin) are read, in the same way.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

from checkpoints_convert.reading import read, unwrap
from checkpoints_convert.stored import StoredArray
from jaxaudit.errors import InputError, reason

_STEMS = (
    ("diffusion_pytorch_model", "safetensors"),
    ("model", "safetensors"),
    ("diffusion_pytorch_model", "bin"),
    ("pytorch_model", "bin"),
)
_VARIANT = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)\.(\w+)(?:-\d+-of-\d+)?\.(?:safetensors|bin)"
)
_SHARD = re.compile(r".+-\d+-of-\d+\.(?:safetensors|bin)")


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a component.

    Attributes:
      files: that hold them, in order.
      variant: which they are, None where they are of none.
      state: {key: array}.
    """

    files: tuple[Path, ...]
    variant: str | None
    state: dict[str, StoredArray]


def read_weights(folder: Path, *, variant: str | None = None) -> Weights:
    """The weights in a component's folder: of the variant if it is there, else of none.

    Raises:
      InputError: if there are none, only those of a variant that is not asked for, or a shard is missing or
        does not hold what the index says.
    """
    for wanted in dict.fromkeys((variant, None)):
        for stem, kind in _STEMS:
            for name in _indexes(stem, kind, wanted):
                if (folder / name).is_file():
                    return _sharded(folder, name, wanted)
            file = folder / (f"{stem}.{wanted}.{kind}" if wanted else f"{stem}.{kind}")
            if file.is_file():
                return Weights((file,), wanted, unwrap(read(file), ""))
    raise InputError(_what_is_there(folder))


def _indexes(stem: str, kind: str, variant: str | None) -> Iterator[str]:
    if variant is None:
        yield f"{stem}.{kind}.index.json"
    else:
        yield f"{stem}.{kind}.index.{variant}.json"
        yield f"{stem}.{kind}.{variant}.index.json"  # as some versions wrote it


def _sharded(folder: Path, name: str, variant: str | None) -> Weights:
    index = folder / name
    try:
        places = json.loads(index.read_text())["weight_map"]
        files = sorted({str(file) for file in places.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is damaged: {reason(error)}.") from error
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise InputError(
            f"{folder} lacks {', '.join(missing)} of the {len(files)} files that {name} lists; download "
            "them again."
        )
    state: dict[str, StoredArray] = {}
    for file in files:
        held = unwrap(read(folder / file), "")
        listed = {key for key, place in places.items() if place == file}
        for key in sorted(listed ^ set(held)):
            is_there = "lists" if key in listed else "does not list"
            raise InputError(f"{folder / file} is not the file that {name} {is_there} with {key}.")
        state |= held
    return Weights(tuple(folder / file for file in files), variant, state)


def _what_is_there(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    variants = sorted({match[1] for name in names if (match := _VARIANT.fullmatch(name))})
    if variants:
        return f"{folder} has weights of variants only: say --diffusers_variant={' or '.join(variants)}."
    if any(_SHARD.fullmatch(name) for name in names):
        return f"{folder} has shards of weights, but not their index, {_STEMS[0][0]}.safetensors.index.json."
    return f"{folder} has no weights, as {_STEMS[0][0]}.safetensors."

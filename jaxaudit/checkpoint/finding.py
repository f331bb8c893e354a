"""Which directory a name stands for."""

from __future__ import annotations

import importlib.resources
import shlex
from pathlib import Path

from jaxaudit.checkpoint.files import RECORD, leftovers
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.families import FAMILIES
from jaxaudit.families.contract import Variant
from jaxaudit.paths import Location, as_place


def builtin_names() -> list[str]:
    """The names of the targets that come with jaxaudit."""
    return sorted(path.parent.name for path in builtin_folder().glob(f"*/{RECORD}"))


def find(name: Location) -> Path:
    """The directory of the built-in target of that name, which comes first, or the directory of that name.

    Raises:
      InputError: if there is no target, with the nearest names, or the command that converts it.
    """
    name = name if isinstance(name, str) else str(as_place(name))  # paths forget "./"
    builtin, variants = builtin_names(), released()
    if name in builtin:
        return builtin_folder() / name
    directory = Path(name).absolute()
    if (directory / RECORD).is_file():
        return directory
    if directory.is_dir() and leftovers(directory):
        raise InputError(
            f"{directory} is no target: it has no {RECORD}, for saving it did not finish; save it again."
        )
    if (directory / "model_index.json").is_file():
        out = f"targets/{directory.name}"
        raise InputError(
            f"{directory} is a folder of diffusers, not yet a target: run `python -m checkpoints_convert "
            f"--diffusers={shlex.quote(str(directory))} --out={shlex.quote(out)}`, and load {out}."
        )
    if directory.is_dir():
        raise InputError(f"{directory} is no target: it has no {RECORD}.")
    if directory.exists():
        raise InputError(f"{directory} is a file; a target is a directory.")
    if name in variants:
        family, variant = variants[name]
        names = {part: url.partition("?")[0].rsplit("/", 1)[-1] for part, url in variant.sources.items()}
        files = " ".join(f"--{part}={file}" for part, file in names.items())
        raise InputError(
            f"The weights of {name} do not come with jaxaudit. "
            f"Download {' and '.join(variant.sources.values())}, run `python -m checkpoints_convert "
            f"--family={family} --variant={name} {files} --out=targets/{name}`, and load targets/{name}."
        )
    raise unknown_name("target", name, [*builtin, *variants])


def released() -> dict[str, tuple[str, Variant]]:
    """{name: (family, variant)} of every released model."""
    return {
        name: (family, variant)
        for family, module in FAMILIES.items()
        for name, variant in module.VARIANTS.items()
    }


def builtin_folder() -> Path:
    """Where the targets are that come with jaxaudit."""
    return Path(str(importlib.resources.files("jaxaudit"))) / "builtin"

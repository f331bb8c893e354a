"""Whose a folder is: the request it was begun for, written down before anything else is in it.

    DIRECTORY/manifest.json       {"format", "holds", "request", "run"}
    DIRECTORY/run-01ab23cd.json   a later run that differed from the first, one file each

A *request* is everything that the numbers in the folder depend on. Whoever asks for the same goes on with
what is there; whoever asks for anything else is refused, with every difference. A *run* is what may differ in
between: it is recorded and never compared.

What is on which side:

    request   target, pictures, preprocessing, seeds, options; the `method` of what is measured; the versions
              of what decodes pictures, draws and computes. An audit scores members first: an upgrade half way
              would make rounding, or a decoder, tell them from nonmembers.
    run       version and commit of jaxaudit, machine, batch size, Python. A change to jaxaudit that changes a
              number by more than rounding raises the `method`; all others leave an unfinished audit valid.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxaudit.errors import InputError
from jaxaudit.evidence.files import write_atomically, write_once

_MANIFEST = "manifest.json"
_COMPUTES = ("jax", "jaxlib", "flax", "numpy", "pillow")
_PATIENCE = 5.0  # seconds until an empty manifest is a damaged one


@dataclasses.dataclass(frozen=True)
class Contents:
    """A kind of folder.

    Attributes:
      name: what it holds, as sentences say it: "evidence".
      format: of its files; raised when they are laid out in another way. 1 had no number written down.
      method: of the numbers in it; raised when jaxaudit computes them in another way, beyond rounding.
    """

    name: str
    format: int = 2
    method: int = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is written down about a folder: the request it holds, and the runs that filled it, first to last.

    Both are JSON-able. Runs after the first are in no particular order.
    """

    request: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]


def claim(
    directory: str | os.PathLike[str],
    contents: Contents,
    request: Mapping[str, Any],
    run: Mapping[str, Any] | None = None,
) -> Manifest:
    """Makes `directory` the folder of this request, or finds that it is.

    Several processes may claim at once: one of them writes the manifest, and the others are refused if they
    ask for something else.

    Args:
      directory: created if missing.
      contents: what it holds.
      request: JSON-able; the method and the versions of what computes are added.
      run: JSON-able, the machine and how it is used; version and commit of jaxaudit are added.

    Returns:
      What the folder's manifest says.

    Raises:
      InputError: if the folder holds something else, another format or another request (the message names
        every difference), or its manifest is damaged.
    """
    path = Path(directory) / _MANIFEST
    wanted = _as_json({**request, "method": contents.method, "versions": _versions()})
    ours = _as_json({**(run or {}), **_jaxaudit()})
    manifest = {"format": contents.format, "holds": contents.name, "request": wanted, "run": ours}
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() and write_once(path, json.dumps(manifest, indent=1).encode()):
        return Manifest(wanted, (ours,))
    found = read_manifest(directory, contents)
    if differences := list(_differences(found.request, wanted)):
        raise InputError(
            f"{directory} holds {contents.name} of another request ({'; '.join(differences)}); "
            "repeat that request or choose another folder."
        )
    if ours not in found.runs:
        text = json.dumps(ours, indent=1).encode()
        write_atomically(path.with_name(f"run-{hashlib.sha256(text).hexdigest()[:8]}.json"), text)
    return found


def read_manifest(directory: str | os.PathLike[str], contents: Contents) -> Manifest:
    """What is written down about a folder that was claimed.

    Raises:
      InputError: if it was not, holds something else or another format, or its manifest is damaged.
    """
    path = Path(directory) / _MANIFEST
    try:
        found = json.loads(_read(path))
        holds, layout = found.get("holds", contents.name), found.get("format", 1)
        if holds != contents.name:
            raise InputError(f"{directory} holds {holds}, not {contents.name}.")
        if layout != contents.format:
            raise InputError(
                f"{path} is of format {layout}, and this jaxaudit reads format {contents.format} of "
                f"{contents.name}: make it again, in another folder."
            )
        later = [json.loads(each.read_text()) for each in sorted(path.parent.glob("run-????????.json"))]
        return Manifest(found["request"], (found["run"], *later))
    except FileNotFoundError:
        raise InputError(f"{directory} holds no {contents.name}: it has no {_MANIFEST}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        raise InputError(f"{path} is not a manifest of {contents.name}.") from None


def _read(path: Path) -> str:
    """The text of a manifest, which may be in the middle of being written (`write_once`)."""
    end = time.monotonic() + _PATIENCE
    while not (text := path.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    return text


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _COMPUTES}


def _jaxaudit() -> dict[str, str | None]:
    return {"jaxaudit": importlib.metadata.version("jaxaudit"), "git_commit": _git_commit()}


@functools.cache
def _git_commit() -> str | None:
    """The commit of the checkout jaxaudit runs from, with "+" if files differ from it; None if installed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = functools.partial(subprocess.run, cwd=root, capture_output=True, text=True, check=True)
    try:
        commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = git(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + "+" * bool(changed)


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON will give back, so that tuples and lists compare equal."""
    return json.loads(json.dumps(value))


def _differences(found: Any, wanted: Any, path: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted(found.keys() | wanted.keys()):
            yield from _differences(found.get(name), wanted.get(name), f"{path}.{name}" if path else name)
    elif found != wanted:
        yield f"{path} is {_short(found)}, now {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:45]}... ({len(text)} characters)"

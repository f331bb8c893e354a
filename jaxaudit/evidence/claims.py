"""Whose a folder is: the request it was begun for, written down before anything else is in it.

    DIRECTORY/manifest.json       {"format", "holds", "request", "run", "sha256"}
    DIRECTORY/run-01ab23cd.json   a later run that differed from the first, one file each

A *request* is everything that the numbers in the folder depend on. Whoever asks for the same goes on with
what is there; whoever asks for anything else is refused, with every difference. A *run* is what may differ in
between: it is recorded and never compared. The sha256 seals the rest (`jaxaudit.seals`): what was edited
since is refused.

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
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from jaxaudit.errors import InputError
from jaxaudit.files import remove_partials, write_atomically, write_once
from jaxaudit.paths import Location, Place, as_place, make_folder, names_in
from jaxaudit.seals import SEAL, is_sealed, seal

_MANIFEST = "manifest.json"
_RUN = re.compile(r"run-.{8}\.json")
_COMPUTES = ("jax", "jaxlib", "flax", "numpy", "pillow")
_HASH = "_sha256"
_PATIENCE = 5.0  # seconds until an unfinished manifest is a damaged one
_SHOWN = 8  # differences that a sentence names


@dataclasses.dataclass(frozen=True)
class Contents:
    """A kind of folder.

    Attributes:
      name: what it holds, as sentences say it: "evidence".
      format: of its files; raised when they are laid out in another way. 1 had no number written down.
      method: of the numbers in it; raised when jaxaudit computes them in another way, beyond rounding.
      request, run: the types of what readers rely on (`jaxaudit.evidence.requests`); there may be more.
    """

    name: str
    format: int = 3
    method: int = 1
    request: Any = dict[str, Any]
    run: Any = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is written down about a folder: the request it holds, and the runs that filled it, first to last.

    Both are JSON-able. Runs after the first are in no particular order.
    """

    request: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]


def claim(
    directory: Location,
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
        what differs), its manifest is damaged or gone.
    """
    folder = as_place(directory)
    path = folder / _MANIFEST
    wanted = _as_json({**request, "method": contents.method, "versions": _versions()})
    ours = _as_json({**(run or {}), **_jaxaudit()})
    manifest = {"format": contents.format, "holds": contents.name, "request": wanted, "run": ours}
    remove_partials(make_folder(folder))
    strangers = [name for name in names_in(folder) if not name.startswith(".")]
    if not path.exists():
        if strangers:
            raise InputError(
                f"{directory} holds {min(strangers)!r} and no {_MANIFEST} that says whose it is; choose "
                "another folder."
            )
        if write_once(path, json.dumps(seal(manifest), indent=1).encode()):
            return Manifest(_Said(wanted, path), (_Said(ours, path),))
    found = read_manifest(directory, contents)
    if differ := list(differences(found.request, wanted)):
        more = [f"and {len(differ) - _SHOWN} more"] if len(differ) > _SHOWN else []
        named = "; ".join([*differ[:_SHOWN], *more])
        raise InputError(
            f"{directory} holds {contents.name} of another request ({named}); repeat that request or choose "
            "another folder."
        )
    if ours not in found.runs:
        text = json.dumps(ours, indent=1).encode()
        write_atomically(path.with_name(f"run-{hashlib.sha256(text).hexdigest()[:8]}.json"), text)
    return found


def read_manifest(directory: Location, contents: Contents) -> Manifest:
    """What is written down about a folder that was claimed.

    Raises:
      InputError: if it was not, holds something else or another format, or its manifest is damaged or was
        edited.
    """
    folder = as_place(directory)
    path = folder / _MANIFEST
    try:
        found = msgspec.convert(json.loads(_read(path)), dict[str, Any])
        holds, layout = found.get("holds", contents.name), found.get("format", 1)
        if holds != contents.name:
            raise InputError(f"{directory} holds {holds}, not {contents.name}.")
        if layout != contents.format:
            raise InputError(
                f"{path} is of format {layout}, and this jaxaudit reads format {contents.format} of "
                f"{contents.name}: make it again, in another folder."
            )
        stored = msgspec.convert(found, _Stored)
        if not is_sealed(found):
            raise InputError(
                f"{path} has been changed since it was written: it does not match its {SEAL}. Make "
                f"{contents.name} again, in another folder."
            )
        msgspec.convert(stored.request, contents.request)
        msgspec.convert(stored.run, contents.run)
        later = sorted(filter(_RUN.fullmatch, names_in(folder)))
        runs = [msgspec.json.decode((folder / name).read_bytes(), type=dict[str, Any]) for name in later]
        return Manifest(_Said(stored.request, path), (_Said(stored.run, path), *runs))
    except FileNotFoundError:
        raise InputError(f"{directory} holds no {contents.name}: it has no {_MANIFEST}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{path} is not a manifest of {contents.name}: {reason}.") from None


class _Stored(msgspec.Struct, frozen=True):
    """What a manifest holds beside its format."""

    request: dict[str, Any]
    run: dict[str, Any]
    sha256: str


class _Said(dict[str, Any]):
    """What a manifest says; who asks for what it does not say is told the name of the file."""

    def __init__(self, said: Mapping[str, Any], path: Place):
        super().__init__(said)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise InputError(f"{self._path} does not say {name!r}, which is needed here.")


def _read(path: Place) -> str:
    """The text of a manifest, which may be in the middle of being written (`write_once`)."""
    end = time.monotonic() + _PATIENCE
    while not (text := path.read_text()).rstrip().endswith("}") and time.monotonic() < end:
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


def differences(found: Any, wanted: Any, *, path: str = "") -> Iterator[str]:
    """What differs between two values of JSON, by its place; of hashes only that they do."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted(found.keys() | wanted.keys()):
            yield from differences(found.get(name), wanted.get(name), path=f"{path}.{name}" if path else name)
    elif found != wanted and path.endswith(_HASH) and found and wanted:
        yield f"{path.removesuffix(_HASH)} differ"
    elif found != wanted:
        yield f"{path} is {_short(found)}, now {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:45]}... ({len(text)} characters)"

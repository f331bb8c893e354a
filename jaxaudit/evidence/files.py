"""Named arrays in a file with a seal."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaudit.errors import DamagedFileError, InputError
from jaxaudit.files import write_atomically
from jaxaudit.paths import Place
from jaxaudit.seals import SEAL, arrays_sha256


def write_arrays(path: Place, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz with a seal, whole or not at all; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    sealed: dict[str, Any] = {**plain, SEAL: np.array(arrays_sha256(plain))}
    np.savez(buffer, **sealed)
    write_atomically(path, buffer.getbuffer())


def read_arrays(path: Place) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote.

    Raises:
      InputError: if there is no such file or it cannot be read; as `DamagedFileError` if it is damaged, was
        changed since, or is from before there were seals.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        with np.load(io.BytesIO(content)) as file:
            arrays = dict(file)
    except (EOFError, OSError, ValueError, KeyError, TypeError, MemoryError, *_BROKEN_ARCHIVES) as error:
        raise DamagedFileError(f"{path} is damaged: {error}.") from error
    if SEAL not in arrays:
        raise DamagedFileError(f"{path} has no seal, so it is of an earlier format; make it again.")
    if str(arrays.pop(SEAL)) != arrays_sha256(arrays):
        raise DamagedFileError(f"{path} is damaged: its arrays are not those that were written.")
    return arrays


_BROKEN_ARCHIVES = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, SyntaxError)

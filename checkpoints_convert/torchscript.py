"""The tensors of a TorchScript archive, without running what is in it.

An archive is a zip file with one pickle, `NAME/data.pkl`, of the tree of modules, whose tensors point to
`NAME/data/KEY`. Here every class of the pickle becomes an inert stand-in, so that neither the archive's code
nor anything of PyTorch's runs.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from jaxaudit.errors import InputError, reason

_DTYPES = {
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "BoolStorage": np.dtype(np.bool_),
    "ByteStorage": np.dtype(np.uint8),
    "CharStorage": np.dtype(np.int8),
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
    "ShortStorage": np.dtype("<i2"),
}


def is_archive(path: str | Path) -> bool:
    """Whether a zip file is a TorchScript archive: only these keep the constants of their code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(
                name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist()
            )
    except zipfile.BadZipFile:
        return False


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The state dict {key: array} of the module in a TorchScript archive.

    Raises:
      InputError: if the archive is damaged or not little-endian.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).partition(
                "/"
            )[0]
            if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
                raise InputError(f"{path} was written on a big-endian machine; save it again on another.")
            module = _Unpickler(archive, root).load()
        return dict(_tensors(module, ""))
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"{path} holds modules within modules without end.") from error
    except Exception as error:  # damaged pickles raise nearly anything
        raise InputError(f"{path} is not a complete TorchScript archive: {reason(error)}.") from error


class _Module:
    """Stands in for every module; its attributes are those of the pickle."""


class _Inert:
    """Stands in for everything else."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any):
        pass


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Callable[..., Any] | np.dtype:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return _Module if module.startswith("__torch__") else _Inert

    def persistent_load(self, pid: tuple) -> np.ndarray:
        _, dtype, key, *_ = pid
        return np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), dtype)


def _tensor(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    strides = [step * storage.itemsize for step in stride]
    # The constructor checks that the view stays within the storage.
    return np.ndarray(size, storage.dtype, storage, offset * storage.itemsize, strides)


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in vars(module).items():
        if isinstance(value, np.ndarray):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")

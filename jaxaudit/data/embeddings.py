"""Stored embeddings of captions: what a text encoder made of them, once, wherever it runs.

A file holds one array [T,D] for each picture under the picture's id (in a folder: its path, with "/"), and
under "null_embedding" that of the empty caption, which the unconditional view of a model of captions needs:

    .safetensors    what `safetensors.numpy.save_file({"a/1.png": ..., "null_embedding": ...})` writes
    .npz            what `numpy.savez(FILE, **{"a/1.png": ..., "null_embedding": ...})` writes

float32, float16 or bfloat16; read as float32, one picture at a time: a file may be larger than memory.

Axes: T tokens, D channels.
"""

import dataclasses
import os
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Float32

from jaxaudit.errors import InputError, reason

NULL_EMBEDDING = "null_embedding"
"""The name of the embedding of the empty caption."""


@dataclasses.dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of the captions of pictures, read one by one, from any thread.

    Attributes:
      where: they come from, for messages.
      shapes: {sample id: shape} of all there are.
      read: sample id -> floats of that shape.
      null: that of the empty caption, None if it is not there.
    """

    where: str
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    null: Float32[np.ndarray, "T D"] | None = None

    def load(self, sample_id: str) -> Float32[np.ndarray, "T D"]:
        """The embedding of a picture's caption.

        Raises:
          InputError: if a value is not a finite number.
        """
        return _finite(self.where, sample_id, self.read(sample_id))


def open_embeddings(path: str) -> Embeddings:
    """The embeddings in a file, see the module; only names and shapes are read yet.

    Raises:
      InputError: if the file is missing, broken or of another kind, or holds a name twice or no numbers.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise InputError(f"There is no file of embeddings {path}.")
    extension = os.path.splitext(path)[1]
    if extension not in _READERS:
        raise InputError(f"{path} is no file of embeddings; they come as {' or '.join(_READERS)}.")
    shapes, read = _READERS[extension](path)
    null = None
    if NULL_EMBEDDING in shapes:
        null = _finite(path, NULL_EMBEDDING, read(NULL_EMBEDDING))
    shapes = {name: shape for name, shape in shapes.items() if name != NULL_EMBEDDING}
    return Embeddings(path, shapes, read, null)


def embeddings_of_rows(where: str, values: Float[np.ndarray, "N T D"], null: np.ndarray | None) -> Embeddings:
    """Embeddings that lie in one array, ids being its rows, and that of the empty caption [T,D].

    Raises:
      InputError: if the latter is no [T,D], or not finite.
    """
    return Embeddings(
        where,
        {str(row): values.shape[1:] for row in range(len(values))},
        lambda sample_id: values[int(sample_id)],
        None if null is None else _finite(where, NULL_EMBEDDING, null),
    )


_Shapes = dict[str, tuple[int, ...]]
_Read = Callable[[str], np.ndarray]


def _open_safetensors(path: str) -> tuple[_Shapes, _Read]:
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "numpy")
        stored = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        for name, values in stored.items():
            _check_dtype(path, name, values.get_dtype() in _FLOATING, values.get_dtype())
        return {name: tuple(values.get_shape()) for name, values in stored.items()}, file.get_tensor
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as a .safetensors file: {reason(error)}.") from error


def _open_npz(path: str) -> tuple[_Shapes, _Read]:
    shapes: _Shapes = {}
    try:
        archive = zipfile.ZipFile(path)
        for entry in archive.namelist():
            name = entry.removesuffix(".npy")
            if name in shapes:
                raise InputError(f"{path} holds two embeddings of {name!r}.")
            with archive.open(entry) as file:
                read_header = _HEADERS[np.lib.format.read_magic(file)]
                shapes[name], _, dtype = read_header(file)
            _check_dtype(path, name, np.issubdtype(dtype, np.floating), dtype)
    except InputError:
        raise
    except Exception as error:  # damaged, encrypted and oddly packed archives raise nearly anything
        raise InputError(f"{path} cannot be read as a .npz archive: {reason(error)}.") from error

    def read(name: str) -> np.ndarray:
        try:
            with archive.open(f"{name}.npy") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:
            raise InputError(f"{path}: the embedding of {name!r} cannot be read: {reason(error)}.") from error

    return shapes, read


_FLOATING = ("BF16", "F16", "F32", "F64")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_READERS = {".safetensors": _open_safetensors, ".npz": _open_npz}


def _check_dtype(where: str, name: str, floating: bool, dtype: object) -> None:
    if not floating:
        raise InputError(
            f"{where}: the embedding of {name!r} is {dtype}; expected floating point of 16, 32 or 64 bits."
        )


def _finite(where: str, name: str, values: np.ndarray) -> Float32[np.ndarray, "T D"]:
    values = np.asarray(values, np.float32)
    if values.ndim != 2:
        raise InputError(f"{where}: the embedding of {name!r} has shape {values.shape}; expected [T,D].")
    if not np.isfinite(values).all():
        raise InputError(f"{where}: the embedding of {name!r} holds values that are not finite.")
    return values

r"""From PyTorch names to Flax paths: a table that is a bijection, or one error that says why not.

A table is a tuple of rows `(pattern, path, transform)`:

  pattern    regular expression that the whole PyTorch key matches,
  path       Flax path the tensor goes to, "/" between levels, `\1` for the groups of the pattern;
             None where the tensor is no parameter of ours,
  transform  pure function of the tensor (any object with the array methods, so that it also acts on shapes).

Rows with the same pattern share the tensor: each of them takes a part.

Axes of the stored tensors: O output features, I input features, H W kernel height and width.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from checkpoints_convert.stored import StoredArray
from jaxaudit.errors import InputError

Transform = Callable[[Any], Any]
Row = tuple[str, str | None, Transform]
Table = tuple[Row, ...]

_LINES_PER_GROUP = 12


def keep(x: Any) -> Any:
    """The tensor as it is: biases, norm scales, embeddings, bare parameters."""
    return x


def linear_kernel(x: Any) -> Any:
    """Weight of a linear layer [O,I] -> [I,O]."""
    return x.transpose(1, 0)


def conv_kernel(x: Any) -> Any:
    """Weight of a 2-D convolution [O,I,H,W] -> [H,W,I,O]."""
    return x.transpose(2, 3, 1, 0)


def drop(x: Any) -> None:
    """A buffer our model computes itself."""


def drop_if_zero(x: Any) -> None:
    """A buffer that our model leaves out because it is zero, which is checked where there are values."""
    if not isinstance(x, jax.ShapeDtypeStruct) and (bad := np.count_nonzero(x)):
        raise _Problem("buffers that should be zero", f"{bad} of {x.size} values are not")


def drop_if_equal(expected: Callable[[tuple[int, ...]], np.ndarray]) -> Transform:
    """Drops a buffer that our model computes itself, checked where there are values.

    `expected` makes it from its shape.
    """

    def checked(x: Any) -> None:
        if not isinstance(x, jax.ShapeDtypeStruct) and not np.array_equal(x, expected(tuple(x.shape))):
            raise _Problem("buffers with other values than those of the model", _shape(x))

    return checked


def drop_if_close(expected: np.ndarray | float) -> Transform:
    """Drops a buffer that says what our model takes for granted, checked where there are values.

    Values may differ by 1e-4 of `expected`, or by the rounding of a file in half precision.
    """

    def checked(x: Any) -> None:
        if isinstance(x, jax.ShapeDtypeStruct) or is_close(x, expected):
            return
        found = np.asarray(x, np.float64).ravel()
        ends = " to ".join(f"{value:g}" for value in found[[0, -1]]) if found.size > 1 else f"{found.sum():g}"
        raise _Problem("buffers with other values than those of the model", f"{_shape(x)}: {ends}")

    return checked


def is_close(x: Any, expected: np.ndarray | float) -> bool:
    """Whether an array has these values, to 1e-4 of them or to the precision in which it is stored."""
    rounding = float(jnp.finfo(x.dtype).eps) if jnp.issubdtype(x.dtype, np.floating) else 0.0
    found, expected = np.asarray(x, np.float64), np.asarray(expected, np.float64)
    return found.shape == expected.shape and np.allclose(found, expected, rtol=max(1e-4, rounding), atol=0)


def linear(pattern: str, path: str) -> Table:
    """Rows of a linear layer with or without bias."""
    return _layer(pattern, path, "kernel", linear_kernel)


def conv(pattern: str, path: str) -> Table:
    """Rows of a 2-D convolution with or without bias."""
    return _layer(pattern, path, "kernel", conv_kernel)


def norm(pattern: str, path: str) -> Table:
    """Rows of a LayerNorm or GroupNorm with scale and bias."""
    return _layer(pattern, path, "scale", keep)


def linear_halves(pattern: str, first: str, second: str) -> Table:
    """Rows of a linear layer that is two, one's outputs after the other's, with or without bias."""
    return tuple(
        (rf"{pattern}\.{key}", f"{path}/{name}", functools.partial(_half, transform, index))
        for index, path in enumerate((first, second))
        for key, name, transform in (("weight", "kernel", linear_kernel), ("bias", "bias", keep))
    )


def _half(transform: Transform, index: int, x: Any) -> Any:
    size = x.shape[0] // 2
    return transform(x[index * size : (index + 1) * size])


def batch_norm(pattern: str, path: str) -> Table:
    """Rows of a batch normalisation with running statistics; the number of batches seen is dropped."""
    return (
        *norm(pattern, path),
        (rf"{pattern}\.running_mean", f"{path}/running_mean", keep),
        (rf"{pattern}\.running_var", f"{path}/running_var", keep),
        (rf"{pattern}\.num_batches_tracked", None, drop),
    )


def _layer(pattern: str, path: str, weight: str, transform: Transform) -> Table:
    return (rf"{pattern}\.weight", f"{path}/{weight}", transform), (rf"{pattern}\.bias", f"{path}/bias", keep)


def convert(state_dict: Mapping[str, Any], table: Table, abstract: Any, *, source: str = "the file") -> Any:
    """The parameters of a model, from the tensors of a PyTorch checkpoint.

    Args:
      state_dict: {PyTorch key: array}, which is read here one after the other to see whether it is finite;
        `jax.ShapeDtypeStruct`s instead of arrays give the tree of shapes.
      table: the rows; every key must match one pattern, and every parameter be reached by exactly one row.
      abstract: nested dict of `jax.ShapeDtypeStruct`, the parameters the model wants.
      source: what the error message calls the checkpoint.

    Returns:
      Nested dict with the structure, shapes and dtypes of `abstract`, of `StoredArray`s: each is read and
      transformed whenever its values are asked for. Arrays that need no cast are views of the input.

    Raises:
      InputError: unknown or ambiguous keys, two keys with one path, unfilled parameters, wrong shapes or
        dtypes, NaN or infinite values, dropped buffers with unexpected values: all of them, in one message.
    """
    wanted: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    rows = [(re.compile(pattern), path, transform) for pattern, path, transform in table]
    problems: dict[str, list[tuple[str, str]]] = defaultdict(list)
    filled: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for key, tensor in state_dict.items():
        try:
            for path, transform in _destinations(key, rows):
                if path is None:
                    transform(tensor)
                    continue
                if path in origin:
                    raise _Problem("tensors with the same destination", f"like {origin[path]}")
                if path not in wanted:
                    raise _Problem("tensors not part of the model", _shape(tensor))
                origin[path] = key
                filled[path] = _fit(tensor, transform, wanted[path])
        except _Problem as problem:
            problems[problem.kind].append((key, problem.detail or _shape(tensor)))
    problems["parameters missing"] += [(path, _shape(wanted[path])) for path in wanted if path not in origin]
    if any(problems.values()):
        raise InputError(f"{source} does not fit the model:", diff(problems))
    return traverse_util.unflatten_dict({path: filled[path] for path in wanted}, sep="/")


class _Problem(Exception):
    """One tensor that cannot be converted; a `detail` of "" stands for its shape."""

    def __init__(self, kind: str, detail: str = ""):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


def _destinations(
    key: str, rows: list[tuple[re.Pattern, str | None, Transform]]
) -> list[tuple[str | None, Transform]]:
    """Where the tensor goes, and its transform there; all the rows share a pattern."""
    matches = [(m, path, transform) for regex, path, transform in rows if (m := regex.fullmatch(key))]
    if not matches:
        raise _Problem("tensors not part of the model")
    if len({match.re for match, _, _ in matches}) > 1:
        raise _Problem("tensors in more than one row of the table")
    return [(path and match.expand(path), transform) for match, path, transform in matches]


def _fit(tensor: Any, transform: Transform, want: jax.ShapeDtypeStruct) -> Any:
    """The transformed tensor, in the wanted dtype."""
    try:
        shape = jax.eval_shape(transform, jax.ShapeDtypeStruct(tensor.shape, np.float32)).shape
    except (TypeError, ValueError) as error:  # the wrong number of axes
        raise _Problem("tensors of the wrong shape", f"{_shape(tensor)}, not {_shape(want)}") from error
    if shape != want.shape:
        found = (
            _shape(tensor) if shape == tuple(tensor.shape) else f"{_shape(tensor)}, turned into {list(shape)}"
        )
        raise _Problem("tensors of the wrong shape", f"{found}, not {_shape(want)}")
    floating = jnp.issubdtype(want.dtype, np.floating)
    if floating != jnp.issubdtype(tensor.dtype, np.floating):
        raise _Problem("tensors of the wrong type", f"{tensor.dtype}, not {want.dtype}")
    if isinstance(tensor, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(want.shape, want.dtype)
    read = functools.partial(_transformed, tensor, transform, want.dtype)
    if floating and (bad := np.count_nonzero(~np.isfinite(read()))):
        raise _Problem("tensors with NaN or infinite values", f"{bad} of {tensor.size} values")
    return StoredArray(want.shape, want.dtype, read)


def _transformed(tensor: Any, transform: Transform, dtype: np.dtype[Any]) -> np.ndarray:
    return transform(np.asarray(tensor).astype(dtype, copy=False))


def _shape(x: Any) -> str:
    return str(list(x.shape))


def diff(problems: Mapping[str, list[tuple[str, str]]]) -> list[str]:
    """The lines of an error: of each kind of problem its count, then its {name, detail} pairs, folded."""
    lines = []
    for kind, entries in problems.items():
        if not entries:
            continue
        lines.append(f"  {len(entries)} {kind}:")
        folded = fold(entries)
        lines += [f"    {line}" for line in folded[:_LINES_PER_GROUP]]
        if len(folded) > _LINES_PER_GROUP:
            lines.append(f"    ... and {len(folded) - _LINES_PER_GROUP} more lines like these")
    return lines


def fold(entries: Iterable[tuple[str, str]]) -> list[str]:
    """Lines "name detail"; names that differ only in list indexes share one, as in `blocks.{0..29}.bias`.

    A list index is a number between separators (".", "_", "/"); only names with the same detail are folded.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, detail in entries:
        groups[_INDEX.sub("#", name), detail].append(name)
    lines = []
    for (_, detail), names in groups.items():
        columns = zip(*(map(int, _INDEX.findall(name)) for name in names), strict=True)
        spans = iter([_span(set(column)) for column in columns])
        folded = _INDEX.sub(lambda _, spans=spans: next(spans), names[0])
        lines.append(f"{folded} {detail}" + (f" ({len(names)} times)" if len(names) > 1 else ""))
    return lines


_INDEX = re.compile(r"(?<=[._])\d+(?=[./]|$)")


def _span(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    if low == high:
        return str(low)
    if len(numbers) == high - low + 1 and len(numbers) > 2:
        return f"{{{low}..{high}}}"
    return "{" + ",".join(map(str, sorted(numbers))) + "}"

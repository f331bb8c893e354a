"""Work on a source shard by shard: constant memory, resumed after a kill, shared by processes."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import jaxaudit
from jaxaudit.audits.extraction.config import ExtractionConfig
from jaxaudit.audits.request import precision, target_request
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Shard
from jaxaudit.runtime.processes import my_share, wait_for_all_processes
from jaxaudit.targets import ContinuousTarget, DiscreteTarget

Columns = dict[str, np.ndarray]
"""{column: [N] or [N,D]} of some rows."""

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures of this process)."""

SPLIT = "pictures"
_VERSIONED = ("jax", "flax", "numpy", "pillow")


def base_request(
    target: DiscreteTarget | ContinuousTarget, source: Source, config: ExtractionConfig
) -> dict[str, Any]:
    """What every result on a source depends on, beside what was asked of it."""
    return {
        "target": target_request(target),
        "source": {"source": source.spec, "ids_sha256": source.fingerprint},
        "preprocessing": {
            field: getattr(target.preprocessing, field)
            for field in ("image_size", "resize", "short_side", "low", "high")
        },
        "seed": config.seed,
        "precision": precision(target),
        "shard_size": config.shard_size,
        "versions": {
            "jaxaudit": jaxaudit.__version__,
            **{name: importlib.metadata.version(name) for name in _VERSIONED},
        },
    }


def run_shards(
    source: Source,
    compute: Callable[[range, Callable[[int], None]], Columns],
    config: ExtractionConfig,
    *,
    request: Mapping[str, Any],
    directory: str | os.PathLike | None,
    progress: Progress,
) -> Iterator[Columns]:
    """Yields the columns of every shard of `source`, in order.

    With a directory, shards that are there are not computed again, and each process computes its share before
    all of them are read back. Without one, they are computed while they are taken.

    Args:
      source: the pictures.
      compute: (rows of the source, function to be told of rows done) -> columns.
      config: see `ExtractionConfig`.
      request: everything the columns depend on.
      directory: where shards are kept, shared by all processes; None keeps nothing.
      progress: see `Progress`.

    Raises:
      InputError: if the directory holds shards of another request, or several processes have none.
    """
    if directory is None:
        if jax.process_count() > 1:
            raise InputError("Several processes need a directory to share.")
        for start in range(0, len(source), config.shard_size):
            rows = range(start, min(start + config.shard_size, len(source)))
            yield compute(rows, lambda done, start=start: progress(start + done, len(source)))
        progress(len(source), len(source))
        return
    evidence = Evidence.create(directory, request, config.placement.record(), num_rows={SPLIT: len(source)})
    mine = my_share(evidence.shards())
    missing, done = set(evidence.missing()), 0
    total = sum(shard.stop - shard.start for shard in mine)
    for shard in mine:
        if shard in missing:
            columns = compute(
                range(shard.start, shard.stop), lambda rows, base=done: progress(base + rows, total)
            )
            evidence.write(shard, {name: _storable(values) for name, values in columns.items()})
        done += shard.stop - shard.start
        progress(done, total)
    wait_for_all_processes(str(directory))
    for shard in evidence.shards():
        yield _read(evidence, shard)


def check_finite(name: str, values: np.ndarray, ids: Sequence[str]) -> None:
    """Raises InputError, naming a sample, if a value is not a finite number."""
    wrong = np.flatnonzero(~np.isfinite(values).reshape(len(ids), -1).all(1))
    if wrong.size:
        raise InputError(
            f"{name} is not finite for {wrong.size} of {len(ids)} samples, first {ids[wrong[0]]!r}."
        )


def _storable(values: np.ndarray) -> Any:
    return list(values) if values.ndim == 2 else values


def _read(evidence: Evidence, shard: Shard) -> Columns:
    path = evidence.directory / shard.filename
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return {name: _column(table.column(name)) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1) if len(column) else np.zeros((0, 0), flat.dtype)
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    return column.to_numpy()

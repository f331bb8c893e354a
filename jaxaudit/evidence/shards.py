"""A folder of Parquet shards: rows of sources, computed piece by piece and kept whole.

    DIR/manifest.json                       what was asked, and of what (`jaxaudit.evidence.claims`)
    DIR/members-00000-of-00004.parquet      rows 0 .. shard_size - 1 of the source of that name, in its order
    DIR/members-00001-of-00004.parquet

A shard appears whole or not at all (written beside, then renamed), so whatever kills a run, the shards that
are there are right, and the next run computes only the missing ones. The cut into shards depends on the
request alone: the number of devices and of processes may change in between.

Every shard carries a seal of its columns, its name and its request (`jaxaudit.seals`). One that was changed,
cut short, renamed or taken from another folder is not read; a run that fills the folder computes it again.

Axes: N rows, F values of a row.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxaudit.errors import DamagedFileError, InputError
from jaxaudit.evidence.claims import Contents, Manifest, claim
from jaxaudit.files import write_atomically
from jaxaudit.paths import Location, Place, as_place, names_in
from jaxaudit.seals import SEAL, arrays_sha256, json_sha256


@dataclasses.dataclass(frozen=True)
class Shard:
    """Rows start .. stop - 1 of one split."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def rows(self) -> range:
        """The rows."""
        return range(self.start, self.stop)

    @property
    def filename(self) -> str:
        """The name of the shard's file."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.parquet"


def claim_shards(
    directory: Location,
    contents: Contents,
    request: Mapping[str, Any],
    run: Mapping[str, Any],
    *,
    num_rows: Mapping[str, int],
    shard_size: int,
) -> Manifest:
    """Makes `directory` the `ShardFolder` of this request; an earlier run of the same request is continued.

    Args:
      directory, contents, request, run: see `jaxaudit.evidence.claims.claim`.
      num_rows: {split: rows of its source}.
      shard_size: rows of a shard.

    Raises:
      InputError: see `jaxaudit.evidence.claims.claim`.
    """
    whole = {**request, "num_rows": dict(num_rows), "shard_size": shard_size}
    return claim(directory, contents, whole, run)


class ShardFolder:
    """A folder of shards, by its manifest (`claim_shards`, `read_manifest`)."""

    def __init__(self, directory: Location, manifest: Manifest):
        self.directory, self.manifest = as_place(directory), manifest

    @property
    def request(self) -> Mapping[str, Any]:
        """What every number in this folder depends on."""
        return self.manifest.request

    @property
    def run(self) -> Mapping[str, Any]:
        """The run that began it."""
        return self.manifest.runs[0]

    @property
    def num_rows(self) -> Mapping[str, int]:
        """{split: its rows}."""
        return self.request["num_rows"]

    def shards(self, split: str | None = None) -> list[Shard]:
        """Every shard of the request (or of a split), written or not."""
        size = self.request["shard_size"]
        return [
            Shard(name, index, -(-rows // size), start, min(start + size, rows))
            for name, rows in self.num_rows.items()
            if split in (None, name)
            for index, start in enumerate(range(0, rows, size))
        ]

    def path(self, shard: Shard) -> Place:
        """The file of a shard, written or not."""
        return self.directory / shard.filename

    def missing(self) -> list[Shard]:
        """The shards that are still to be computed."""
        there = names_in(self.directory)
        return [shard for shard in self.shards() if shard.filename not in there]

    def write(self, shard: Shard, columns: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Writes a shard, whole or not at all; columns are [N], or [N,F] as lists.

        Raises:
          InputError: if a column has another number of rows than the shard.
        """
        for name, values in columns.items():
            if len(values) != len(shard):
                raise InputError(
                    f"{self.path(shard)} takes {len(shard)} rows, and column {name!r} has {len(values)}: "
                    "pictures have changed since this run began."
                )
        table = pa.table({name: pa.array(_storable(values)) for name, values in columns.items()})
        sealed = table.replace_schema_metadata({SEAL: self._seal(shard, _columns(table))})
        sink = pa.BufferOutputStream()
        pq.write_table(sealed, sink)
        write_atomically(self.path(shard), sink.getvalue())

    def read_shard(self, shard: Shard) -> dict[str, np.ndarray]:
        """The columns of a shard that was written, as they were.

        Raises:
          InputError: if it was not, or as `DamagedFileError` is damaged, or is another one.
          OSError: if the system refuses.
        """
        path = self.path(shard)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path} is missing; run what filled the folder again.") from None
        try:
            with pq.ParquetFile(pa.BufferReader(content)) as file:
                table = file.read()
            columns = _columns(table)
        except Exception as error:  # no common type covers what Arrow raises on damaged files
            said = " ".join(str(error).split()).rstrip(".")
            raise DamagedFileError(f"{path} cannot be read: {said}.") from None
        if (table.schema.metadata or {}).get(SEAL.encode()) != self._seal(shard, columns).encode():
            raise DamagedFileError(
                f"{path} is damaged, or of another request: it does not hold what was written there."
            )
        return columns

    def read_shards(self, split: str | None = None) -> dict[str, np.ndarray]:
        """The columns of all shards (or of those of a split), one below another.

        Raises:
          InputError: as `read_shard`.
        """
        return joined([self.read_shard(shard) for shard in self.shards(split)])

    def _seal(self, shard: Shard, columns: Mapping[str, np.ndarray]) -> str:
        return arrays_sha256(columns, of=f"{shard.filename} {self._request_sha256}")

    @functools.cached_property
    def _request_sha256(self) -> str:
        return json_sha256(self.request)


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns of all parts, one below another: those that the first has, in its order."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_finite(what: str, values: np.ndarray, ids: Sequence[str] | np.ndarray, *, advice: str = "") -> None:
    """Refuses to keep what is no number.

    Args:
      what: the values are, as the sentence begins: "Score cond/loss".
      values: [N] or [N,F].
      ids: N names.
      advice: how the sentence ends.

    Raises:
      InputError: if a value is not finite; names the first sample with one.
    """
    wrong = np.flatnonzero(~np.isfinite(values).reshape(len(ids), -1).all(1))
    if wrong.size:
        counted, first = f"{wrong.size} of {len(ids)} samples", str(ids[wrong[0]])
        raise InputError(f"{what} is not finite for {counted}, first {first!r}{advice}.")


def _columns(table: pa.Table) -> dict[str, np.ndarray]:
    return {name: _column(table.column(name)) for name in table.column_names}


def _storable(values: np.ndarray | Sequence[str]) -> Any:
    return list(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values


def _column(column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count:
        raise ValueError(f"it has {column.null_count} empty rows")
    if pa.types.is_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1) if len(column) else np.zeros((0, 0), flat.dtype)
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(f"it has a column of {column.type}")
    return column.to_numpy()

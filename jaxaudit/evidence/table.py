"""The per-sample score table on disk: one row per image, in Parquet shards beside a manifest.

    DIR/manifest.json                       what was asked, and of what
    DIR/members-00000-of-00004.parquet      rows 0 .. shard_size - 1 of the source, in its order
    DIR/nonmembers-00000-of-00004.parquet

A shard appears whole or not at all (written beside, then renamed), so whatever kills a run, the shards that
are there are right, and the next run computes only the missing ones. The cut into shards depends on the
request alone: the number of devices and of processes may change in between. Columns: `sample_id`, `label`,
`digest` (of the pixels), one per score (`cond/loss`, ...), one per feature of a score that is still to be
fitted (`diff/prada/...`) and one per picture feature of the blind baseline (`blind/...`).
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxaudit.errors import InputError
from jaxaudit.evidence.files import write_atomically

SPLITS = ("members", "nonmembers")
"""The two sides of an audit."""

BLIND_PREFIX = "blind/"
"""Before the name of a column that never saw the model."""

_NOT_SCORES = ("sample_id", "label", "digest")


@dataclasses.dataclass(frozen=True)
class Shard:
    """Rows start .. stop - 1 of one split."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def filename(self) -> str:
        """The name of the shard's file."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.parquet"


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of one split, in the order of its source.

    Attributes:
      sample_ids: [N] str. labels: [N] int. digests: [N] str, of the decoded pixels.
      scores: {name: [N] float}, higher = more likely a member.
      features: {name: [N,F] float} of scores that must be fitted (`jaxaudit.stats.fitted_scores`).
      blind: [N,K] float, features of the picture that never saw the model; blind_names: their K names.
    """

    sample_ids: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    scores: dict[str, np.ndarray]
    features: dict[str, np.ndarray]
    blind: np.ndarray
    blind_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """[N,F] of the named scores."""
        return np.stack([self.scores[name] for name in names], axis=1)

    def take(self, rows: np.ndarray) -> "Table":
        """The table of these rows, in this order."""
        return Table(
            self.sample_ids[rows],
            self.labels[rows],
            self.digests[rows],
            {name: values[rows] for name, values in self.scores.items()},
            {name: values[rows] for name, values in self.features.items()},
            self.blind[rows],
            self.blind_names,
        )


class Evidence:
    """The evidence folder of one audit."""

    def __init__(self, directory: str | os.PathLike, manifest: Mapping[str, Any]):
        self.directory = pathlib.Path(directory)
        self.manifest = manifest

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike,
        request: Mapping[str, Any],
        run: Mapping[str, Any],
        *,
        num_rows: Mapping[str, int],
    ) -> "Evidence":
        """Opens the folder for writing; an earlier run of the same request is continued.

        Args:
          directory: created if missing.
          request: everything a score depends on (JSON-able, with an int `shard_size`); must equal that of an
            earlier run in this folder.
          run: what may differ between runs (machine, batch size), recorded only.
          num_rows: {split: rows of its source}.

        Raises:
          InputError: if the folder holds evidence of another request; the message names every difference.
        """
        directory = pathlib.Path(directory)
        manifest = {"request": _jsonable(request), "num_rows": dict(num_rows), "run": _jsonable(run)}
        path = directory / "manifest.json"
        if path.exists():
            earlier = cls.open(directory)
            wanted = {**manifest["request"], "num_rows": manifest["num_rows"]}
            found = {**earlier.manifest["request"], "num_rows": earlier.manifest["num_rows"]}
            if differences := list(_differences(found, wanted)):
                raise InputError(
                    f"{directory} holds evidence of another request ({'; '.join(differences)}); "
                    "repeat that request or choose another --out."
                )
            return earlier
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(manifest, indent=1).encode())
        return cls(directory, manifest)

    @classmethod
    def open(cls, directory: str | os.PathLike) -> "Evidence":
        """Opens an existing evidence folder.

        Raises:
          InputError: if it holds no manifest, or one that cannot be read.
        """
        directory = pathlib.Path(directory)
        path = directory / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
            manifest["request"]["shard_size"], manifest["num_rows"]
        except FileNotFoundError:
            raise InputError(f"{directory} is not an evidence folder: it has no manifest.json.") from None
        except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
            raise InputError(f"{path} is not a manifest of jaxaudit evidence.") from None
        return cls(directory, manifest)

    @property
    def request(self) -> Mapping[str, Any]:
        """What every score in this folder depends on."""
        return self.manifest["request"]

    def shards(self) -> list[Shard]:
        """Every shard of the request, written or not."""
        size = self.request["shard_size"]
        return [
            Shard(split, index, -(-rows // size), start, min(start + size, rows))
            for split, rows in self.manifest["num_rows"].items()
            for index, start in enumerate(range(0, rows, size))
        ]

    def missing(self) -> list[Shard]:
        """The shards that are still to be computed."""
        return [shard for shard in self.shards() if not (self.directory / shard.filename).exists()]

    def write(self, shard: Shard, columns: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Writes a shard, whole or not at all. `columns` must hold `sample_id`, `label` and `digest`."""
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
        write_atomically(self.directory / shard.filename, sink.getvalue())

    def read(self, split: str) -> Table:
        """All rows of a split.

        Raises:
          InputError: if shards are missing (the audit has not finished) or unreadable.
        """
        shards = [shard for shard in self.shards() if shard.split == split]
        missing = [shard.filename for shard in shards if not (self.directory / shard.filename).exists()]
        if missing:
            raise InputError(
                f"{self.directory} is incomplete: {len(missing)} of {len(shards)} {split} shards are missing "
                f"({missing[0]}, ...); run the audit again to finish it."
            )
        tables = []
        for shard in shards:
            try:
                tables.append(pq.read_table(self.directory / shard.filename))
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(f"{self.directory / shard.filename} cannot be read: {error}") from None
        table = pa.concat_tables(tables)
        columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
        blind = {name: column for name, column in columns.items() if name.startswith(BLIND_PREFIX)}
        rest = {n: column for n, column in columns.items() if n not in _NOT_SCORES and n not in blind}
        scores = {n: column for n, column in rest.items() if n.count("/") <= 1}
        features: dict[str, list[np.ndarray]] = {}
        for name, column in rest.items():
            if name not in scores:
                features.setdefault(name.rpartition("/")[0], []).append(column)
        return Table(
            columns["sample_id"],
            columns["label"],
            columns["digest"],
            scores,
            {name: np.stack(group, axis=1) for name, group in features.items()},
            np.stack(list(blind.values()), axis=1) if blind else np.zeros((table.num_rows, 0)),
            tuple(name.removeprefix(BLIND_PREFIX) for name in blind),
        )


def _jsonable(value: Mapping[str, Any]) -> dict[str, Any]:
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

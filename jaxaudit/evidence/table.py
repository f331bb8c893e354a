"""The score table of an audit on disk: one row per image, in the shards of a folder.

Every row has `sample_id`, `label`, `digest` (of the pixels), `cluster` (the name of the first picture that it
hangs together with, its own if it stands alone) and `copy_of` (a picture of the other side that it is an
altered copy of, or ""); of the last two, `jaxaudit.data.clusters` says more. Which of the other columns is
what, the manifest says (`Columns`): a score, a feature of a score that is still to be fitted, or a feature of
the picture alone, for the blind baseline.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from jaxaudit.errors import InputError
from jaxaudit.evidence.claims import Contents, read_manifest
from jaxaudit.evidence.columns import Columns
from jaxaudit.evidence.requests import EvidenceRequest, EvidenceRun
from jaxaudit.evidence.shards import ShardFolder, check_finite, claim_shards
from jaxaudit.paths import Location

SPLITS = ("members", "nonmembers")
"""The two sides of an audit."""


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of one split, in the order of its source.

    Attributes:
      sample_ids: [N] str. labels: [N] int. digests: [N] str, of the decoded pixels.
      clusters: [N] int, the same number for pictures that hang together.
      copy_of: [N] str, the name of a picture of the other side that this is an altered copy of; "" for none.
      scores: {name: [N] float}, higher = more likely a member.
      features: {name: [N,F] float} of scores that must be fitted (`jaxaudit.stats.fitted_scores`).
      blind: [N,K] float, features of the picture that never saw the model; blind_names: their K names.
    """

    sample_ids: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    clusters: np.ndarray
    copy_of: np.ndarray
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
        """The table of these rows, in this order; itself if that is all as it stands."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return Table(
            self.sample_ids[rows],
            self.labels[rows],
            self.digests[rows],
            self.clusters[rows],
            self.copy_of[rows],
            {name: values[rows] for name, values in self.scores.items()},
            {name: values[rows] for name, values in self.features.items()},
            self.blind[rows],
            self.blind_names,
        )


EVIDENCE = Contents("evidence", format=4, request=EvidenceRequest, run=EvidenceRun)
"""What the folder of an audit holds."""

_KINDS = {"U": "text", "iu": "integer", "fiu": "number"}


class Evidence(ShardFolder):
    """The evidence folder of one audit; from `create` or `open`."""

    @classmethod
    def create(
        cls,
        directory: Location,
        request: Mapping[str, Any],
        run: Mapping[str, Any],
        *,
        columns: Columns,
        num_rows: Mapping[str, int],
        shard_size: int,
    ) -> Evidence:
        """The folder, for writing; an earlier run of the same request is continued.

        Args:
          directory: created if missing.
          request: everything a score depends on, JSON-able.
          run: what may differ between runs (machine, batch size), recorded only.
          columns: which column of a shard is what.
          num_rows: {split: rows of its source}.
          shard_size: rows of a shard.

        Raises:
          InputError: if the folder holds evidence of another request (the message names every difference),
            or something else.
        """
        whole = {**request, "columns": dataclasses.asdict(columns)}
        size = {"num_rows": num_rows, "shard_size": shard_size}
        return cls(directory, claim_shards(directory, EVIDENCE, whole, run, **size))

    @classmethod
    def open(cls, directory: Location) -> Evidence:
        """An existing evidence folder.

        Raises:
          InputError: if it holds no evidence, or that of another format, or its manifest is damaged.
        """
        return cls(directory, read_manifest(directory, EVIDENCE))

    @property
    def columns(self) -> Columns:
        """Which column is what."""
        return msgspec.convert(self.request["columns"], Columns)

    def read(self, split: str) -> Table:
        """All rows of a split.

        Raises:
          InputError: if shards are missing (the audit has not finished), damaged or not those of this folder,
            lack a column, hold another type or a value that is not finite, or two rows have one id.
        """
        shards, columns = self.shards(split), self.columns
        missing = [shard.filename for shard in self.missing() if shard.split == split]
        if missing:
            raise InputError(
                f"{self.directory} is incomplete: {len(missing)} of {len(shards)} {split} shards are missing "
                f"({missing[0]}, ...); run the audit again to finish it."
            )
        parts = [self.read_shard(shard) for shard in shards]

        def column(name: str, kinds: str = "fiu") -> np.ndarray:
            for shard, part in zip(shards, parts, strict=True):
                if name not in part:
                    raise InputError(f"{self.path(shard)} has no column {name!r}.")
                if part[name].dtype.kind not in kinds or part[name].ndim != 1:
                    raise InputError(
                        f"{self.path(shard)}: column {name!r} is {part[name].dtype} of shape "
                        f"{part[name].shape}; expected one {_KINDS[kinds]} per row."
                    )
            values = np.concatenate([part[name] for part in parts])
            if kinds == "fiu":
                check_finite(f"{self.directory}: column {name!r} of the {split}", values, sample_ids)
            return values

        def matrix(names: Sequence[str]) -> np.ndarray:
            return np.stack([column(name) for name in names], axis=1)

        sample_ids = column("sample_id", "U")
        _check_different(f"{self.directory}: of the {split}", sample_ids)
        return Table(
            sample_ids,
            column("label", "iu"),
            column("digest", "U"),
            np.unique(column("cluster", "U"), return_inverse=True)[1],
            column("copy_of", "U"),
            {name: column(name) for name in columns.scores},
            {name: matrix(group) for name, group in columns.feature_columns.items()},
            matrix(columns.blind_columns) if columns.blind else np.zeros((len(sample_ids), 0)),
            columns.blind,
        )


def _check_different(whose: str, sample_ids: np.ndarray) -> None:
    names, counts = np.unique(sample_ids, return_counts=True)
    if repeated := names[counts > 1].tolist():
        raise InputError(f"{whose} {len(repeated)} ids stand in several rows, e.g. {repeated[0]!r}.")

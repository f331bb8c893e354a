"""The same pictures, asked of a model that has not seen them.

Whatever makes pictures easy or hard for generators at large moves the scores of a reference model too, while
training on the members moves those of the target only. The reference's scores therefore stand among what is
known of a picture without the target, beside the blind features: a difference between P and U that the
reference shows too is no sign of training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Table

_PREFIX = "reference/"


def check_is_another(target: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    """Makes sure that the reference is not the target itself.

    Args:
      target, reference: what requests say of them (`jaxaudit.audits.request.target_request`).

    Raises:
      InputError: if their weights have one fingerprint.
    """
    if reference["fingerprint"] is not None and reference["fingerprint"] == target["fingerprint"]:
        raise InputError(
            f"The reference has the weights of the target itself (fingerprint {target['fingerprint'][:16]}); "
            "take a model that has not seen the members."
        )


def num_reference(table: Table) -> int:
    """How many of the blind features, the last, are scores of a reference."""
    return sum(name.startswith(_PREFIX) for name in table.blind_names)


def with_reference(table: Table, reference: Evidence, split: str) -> Table:
    """The table, its blind features followed by the reference's scores of the same pictures.

    Raises:
      InputError: if the reference's evidence is incomplete, lacks a picture, or has other pixels or another
        label for it.
    """
    other = reference.read(split)
    place = {sample: row for row, sample in enumerate(other.sample_ids.tolist())}
    missing = [sample for sample in table.sample_ids.tolist() if sample not in place]
    if missing:
        raise InputError(
            f"The reference's evidence lacks {len(missing)} of {len(table)} {split} ({missing[0]!r}, ...); "
            "score the same pictures with it."
        )
    other = other.take(np.array([place[sample] for sample in table.sample_ids.tolist()]))
    changed = np.flatnonzero((other.digests != table.digests) | (other.labels != table.labels))
    if changed.size:
        raise InputError(
            f"The reference was asked about other pixels or another label in {changed.size} of {len(table)} "
            f"{split} ({table.sample_ids[changed[0]]!r}, ...); score the same pictures with it."
        )
    groups = next(iter(reference.request["feature_sets"].values()))  # of the default protocol, the first
    names = [name for group in groups.values() for name in group]
    return dataclasses.replace(
        table,
        blind=np.hstack([table.blind, other.matrix(names)]),
        blind_names=(*table.blind_names, *(f"{_PREFIX}{name}" for name in names)),
    )

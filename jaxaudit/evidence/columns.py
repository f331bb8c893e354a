"""Which column of a score table is what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which column is what; `sample_id`, `label`, `digest`, `cluster` and `copy_of` are always there.

    Attributes:
      scores: the columns that are scores, higher = more likely a member, by their names.
      features: {fitted score: the names of its features}, in columns "SCORE/FEATURE".
      blind: the names of picture features that never saw the model, in columns "blind/NAME".
    """

    scores: tuple[str, ...] = ()
    features: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    blind: tuple[str, ...] = ()

    @property
    def feature_columns(self) -> dict[str, list[str]]:
        """{fitted score: its columns, in order}."""
        return {name: [f"{name}/{feature}" for feature in group] for name, group in self.features.items()}

    @property
    def blind_columns(self) -> list[str]:
        """The columns of `blind`, in order."""
        return [f"blind/{name}" for name in self.blind]

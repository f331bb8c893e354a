"""UnitMem of every hidden unit of a target, as kept on disk in one .npz file.

Axes: N pictures, R nested subsets, T stages, K blocks, F units of a block (`jaxaudit.attacks.localization`).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxaudit.errors import InputError
from jaxaudit.evidence.files import write_arrays

FILE = "units.npz"
"""The name of the file in its folder."""


@dataclasses.dataclass(frozen=True, eq=False)
class UnitMap:
    """UnitMem of every unit, and where it comes from.

    Attributes:
      stages: T names.
      subsets: R shares of the source, ascending; sizes: the pictures of each.
      unit_mem: UnitMem on each subset, [R,T,K,F] float32.
      maximum: μ_max on the largest subset, [T,K,F] float32. rest: μ_rest, [T,K,F] float32.
      argument: the picture that attains μ_max, [T,K,F] int32, by its place in `ids`.
      class_mem: ClassMem on the largest subset, [T,K,F] float32; class_argument: the class with the largest
        mean, [T,K,F] int32. None with a single class.
      ids: N names of the pictures of the largest subset. labels: their classes, [N] int32.
    """

    stages: tuple[str, ...]
    subsets: tuple[float, ...]
    sizes: tuple[int, ...]
    unit_mem: Float[np.ndarray, "R T K F"]
    maximum: Float[np.ndarray, "T K F"]
    rest: Float[np.ndarray, "T K F"]
    argument: Int[np.ndarray, "T K F"]
    class_mem: Float[np.ndarray, "T K F"] | None
    class_argument: Int[np.ndarray, "T K F"] | None
    ids: Sequence[str]
    labels: Int[np.ndarray, " N"]

    @property
    def mean(self) -> Float[np.ndarray, "T K F"]:
        """Mean activation over the largest subset, float64."""
        count = len(self.ids)
        return (self.rest.astype(np.float64) * (count - 1) + self.maximum) / count

    def save(self, directory: Path) -> None:
        """Writes `units.npz`, whole or not at all; the same map gives the same bytes."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arrays = {name: np.asarray(value) for name, value in fields.items() if value is not None}
        write_arrays(Path(directory) / FILE, arrays)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> UnitMap:
        """The map that `localize` left in `directory`.

        Raises:
          InputError: if there is none, or it is damaged.
        """
        path = Path(directory) / FILE
        try:
            with np.load(path) as file:
                arrays = {"class_mem": None, "class_argument": None, **file}
            names = {name: tuple(arrays.pop(name).tolist()) for name in ("stages", "subsets", "sizes", "ids")}
            return cls(**arrays, **names)
        except FileNotFoundError:
            raise InputError(f"{directory} holds no {FILE}; run the localisation to its end.") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: {error}") from error


def top_units(values: Float[np.ndarray, " *units"], share: float) -> Bool[np.ndarray, " *units"]:
    """The `share` of the units (at least one) with the highest values; the first of equal ones."""
    flat = values.reshape(-1)
    count = max(1, round(share * flat.size))
    chosen = np.zeros(flat.size, bool)
    chosen[np.argsort(-flat, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)

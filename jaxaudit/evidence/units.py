"""UnitMem of every hidden unit of a target, as kept on disk in one .npz file.

The units of all hidden layers, which may differ in width, stand on one axis, layer after layer:

    layers   block 0     block 1          block 2
    widths   3           5                4
    units    0  1  2  |  3  4  5  6  7  |  8  9  10  11          U = 12

The picture that fires a unit most need not be the only one. Where units see the class alone, as in the first
scale of a VAR, all pictures of a class fire them alike, and it is their order that decides which of them
`argument` names. `UnitMap.alone` tells such units from the others.

Axes: N pictures, R nested subsets, T stages, U units (`jaxaudit.attacks.localization`), F units of a layer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxaudit.errors import InputError
from jaxaudit.evidence.claims import Contents
from jaxaudit.evidence.files import read_arrays, write_arrays
from jaxaudit.evidence.requests import UnitsRequest
from jaxaudit.paths import Location, Place, as_place

FILE = "units.npz"
"""The name of the file in its folder."""

FORMAT = 3
"""Of the file. 1, which did not say so, had layers of one width on an axis of their own; 2 had no seal and
did not say whether one picture alone fires a unit."""


UNITS = Contents("a map of units", FORMAT, request=UnitsRequest)
"""What the folder of a localisation holds."""

_ALIKE = 1e-3  # activations that differ by less, as a share of the larger one, are alike: far beyond rounding


@dataclasses.dataclass(frozen=True)
class UnitAxis:
    """The hidden layers whose units share an axis.

    Attributes:
      layers: their names, in order.
      widths: F of each.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def num_units(self) -> int:
        """U."""
        return sum(self.widths)

    def split(self, values: Shaped[np.ndarray, "*lead U"]) -> dict[str, Shaped[np.ndarray, "*lead _"]]:
        """{layer: its part of the last axis, [*lead,F]}."""
        return dict(zip(self.layers, np.split(values, np.cumsum(self.widths)[:-1], axis=-1), strict=True))

    def place(self, unit: int) -> tuple[str, int]:
        """The layer of a unit, and the number it has there."""
        ends = np.cumsum(self.widths)
        layer = int(np.searchsorted(ends, unit, side="right"))
        return self.layers[layer], int(unit - ends[layer] + self.widths[layer])


@dataclasses.dataclass(frozen=True, eq=False)
class UnitMap:
    """UnitMem of every unit, and where it comes from.

    Attributes:
      stages: T names.
      axis: the layers of the U units.
      subsets: R shares of the source, ascending; sizes: the pictures of each.
      unit_mem: UnitMem on each subset as published, (4) of `jaxaudit_kernels.unit_memorization`, [R,T,U]
        float32. floored: (5), UnitMem that rounding cannot raise, [R,T,U] float32.
      maximum: μ_max on the largest subset, [T,U] float32. second: μ_2nd. rest: μ_rest.
      argument: the picture that attains μ_max, [T,U] int32, by its place in `ids`.
      class_mem: ClassMem on the largest subset, [T,U] float32; class_argument: the class with the largest
        mean, [T,U] int32. None with a single class.
      ids: N names of the pictures of the largest subset. labels: their classes, [N] int32.
    """

    stages: tuple[str, ...]
    axis: UnitAxis
    subsets: tuple[float, ...]
    sizes: tuple[int, ...]
    unit_mem: Float[np.ndarray, "R T U"]
    floored: Float[np.ndarray, "R T U"]
    maximum: Float[np.ndarray, "T U"]
    second: Float[np.ndarray, "T U"]
    rest: Float[np.ndarray, "T U"]
    argument: Int[np.ndarray, "T U"]
    class_mem: Float[np.ndarray, "T U"] | None
    class_argument: Int[np.ndarray, "T U"] | None
    ids: Sequence[str]
    labels: Int[np.ndarray, " N"]

    @property
    def mean(self) -> Float[np.ndarray, "T U"]:
        """Mean activation over the largest subset, float64."""
        count = len(self.ids)
        return (self.rest.astype(np.float64) * (count - 1) + self.maximum) / count

    @property
    def alone(self) -> Bool[np.ndarray, "T U"]:
        """Whether one picture alone fires the unit: μ_2nd(u) < (1 − 10⁻³) μ_max(u)."""
        return self.second < (1 - _ALIKE) * self.maximum

    def save(self, directory: Place) -> None:
        """Writes `units.npz`, whole or not at all; the same map gives the same bytes."""
        fields: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        axis = fields.pop("axis")
        fields |= {"format": FORMAT, "layers": axis.layers, "widths": axis.widths}
        arrays = {name: np.asarray(value) for name, value in fields.items() if value is not None}
        write_arrays(as_place(directory) / FILE, arrays)

    @classmethod
    def load(cls, directory: Location) -> UnitMap:
        """The map that a localisation left in `directory`.

        Raises:
          InputError: if there is none, it is damaged, or it has another format.
        """
        path = as_place(directory) / FILE
        if not path.exists():
            raise InputError(f"{directory} holds no {FILE}; run the localisation to its end.")
        arrays: dict[str, Any] = {"class_mem": None, "class_argument": None, **read_arrays(path)}
        try:
            if (found := arrays.pop("format").tolist()) != FORMAT:
                raise InputError(
                    f"{path} has format {found}, and this jaxaudit reads format {FORMAT}; run the "
                    "localisation again, into another folder."
                )
            named = ("layers", "widths", "stages", "subsets", "sizes", "ids")
            layers, widths, *others = (tuple(arrays.pop(name).tolist()) for name in named)
            found = cls(axis=UnitAxis(layers, widths), **dict(zip(named[2:], others, strict=True)), **arrays)
            found._check()
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{path} is damaged: {error!r}.") from error
        return found

    def _check(self) -> None:
        """Raises ValueError where the fields do not fit each other."""
        stages, units, shares, pictures = (
            len(self.stages),
            self.axis.num_units,
            len(self.subsets),
            len(self.ids),
        )
        shapes = {
            "unit_mem": (shares, stages, units), "maximum": (stages, units), "rest": (stages, units),
            "argument": (stages, units), "class_mem": (stages, units), "class_argument": (stages, units),
            "labels": (pictures,),
        }  # fmt: skip
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is None:
                continue
            kind = "iu" if name in ("argument", "class_argument", "labels") else "f"
            if array.shape != shape or array.dtype.kind not in kind:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not of shape {shape}")
        if len(self.sizes) != shares or len(set(self.ids)) != pictures:
            raise ValueError("sizes or ids do not fit")
        if not (self.argument.min() >= 0 and self.argument.max() < pictures):
            raise ValueError("argument names a picture that is not there")


def top_units(values: Float[np.ndarray, "*units"], share: float) -> Bool[np.ndarray, "*units"]:
    """The `share` of the units (at least one) with the highest values; the first of equal ones."""
    flat = values.reshape(-1)
    count = max(1, round(share * flat.size))
    chosen = np.zeros(flat.size, bool)
    chosen[np.argsort(-flat, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)

"""Running statistics of the units over picture after picture, and the map they add up to.

The floor φ of (5) of `jaxaudit_kernels.unit_memorization` is what is usual in a unit's layer: a twentieth of
the mean of μ_max over the units of its stage and layer. Errors of float32 activations (10⁻⁶) then move
floored UnitMem by less than 5 · 10⁻⁵.

Axes: N pictures, R nested subsets, T stages, U units (`jaxaudit.evidence.units`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.audits.localization.subsets import Selection
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis, UnitMap, read_arrays, write_arrays
from jaxaudit.paths import Place
from jaxaudit_kernels.unit_memorization import (
    UnitStatistics,
    merge,
    no_items,
    observe,
    rest_mean,
    selectivity,
)

_FLOOR = 0.05


@dataclasses.dataclass
class RunningUnits:
    """What a process has seen; its size does not depend on the number of pictures or classes.

    Attributes:
      pictures: statistics of units [T,U] over the pictures of each of R subsets.
      classes: over the means of their classes.
      parts: numbers of the parts that are in it.
    """

    pictures: list[UnitStatistics]
    classes: list[UnitStatistics]
    parts: list[int]

    @classmethod
    def empty(cls, shape: Sequence[int], num_subsets: int) -> RunningUnits:
        """Before the first picture, for units of that shape."""
        return cls([no_items(shape)] * num_subsets, [no_items(shape)] * num_subsets, [])

    def copy(self) -> RunningUnits:
        """One that can be added to without changing this one."""
        return RunningUnits(list(self.pictures), list(self.classes), list(self.parts))

    def add_class(self, label: int, tiers: Sequence[UnitStatistics]) -> None:
        """Adds a whole class, given the statistics of its pictures by the smallest subset they are in."""
        so_far = no_items(tiers[0].total.shape)
        for subset, tier in enumerate(tiers):
            so_far = merge(so_far, tier)
            if so_far.count:
                self.pictures[subset] = merge(self.pictures[subset], so_far)
                self.classes[subset] = observe(
                    self.classes[subset], so_far.mean[None].astype(np.float32), np.array([label])
                )

    def save(self, path: Place) -> None:
        """Writes it, whole or not at all."""
        arrays = {"parts": np.array(self.parts, np.int64)}
        for over, subsets in (("pictures", self.pictures), ("classes", self.classes)):
            for subset, statistics in enumerate(subsets):
                arrays |= {f"{over}/{subset}/{name}": value for name, value in statistics._asdict().items()}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Place, num_subsets: int) -> RunningUnits:
        """What `save` wrote.

        Raises:
          InputError: if it is damaged, or gone.
        """
        arrays = read_arrays(path)
        pictures, classes = (
            [
                UnitStatistics(
                    int(arrays[f"{over}/{subset}/count"]),
                    *(arrays[f"{over}/{subset}/{name}"] for name in UnitStatistics._fields[1:]),
                )
                for subset in range(num_subsets)
            ]
            for over in ("pictures", "classes")
        )
        return cls(pictures, classes, arrays["parts"].tolist())


def unit_map(
    states: Sequence[RunningUnits],
    chosen: Selection,
    *,
    stages: tuple[str, ...],
    axis: UnitAxis,
) -> UnitMap:
    """The map of what all processes have seen; see `UnitMap` for stages and axis."""
    by_subset = zip(*(state.pictures for state in states), strict=True)
    pictures = [functools.reduce(merge, each) for each in by_subset]
    classes = functools.reduce(merge, (state.classes[-1] for state in states))
    several = classes.count > 1
    return UnitMap(
        stages=stages,
        axis=axis,
        subsets=chosen.shares,
        sizes=chosen.sizes,
        unit_mem=np.stack([selectivity(each) for each in pictures]),
        floored=np.stack([_floored(each, axis) for each in pictures]),
        maximum=pictures[-1].maximum,
        second=pictures[-1].second,
        rest=rest_mean(pictures[-1]).astype(np.float32),
        argument=pictures[-1].argument,
        class_mem=selectivity(classes) if several else None,
        class_argument=classes.argument if several else None,
        ids=tuple(chosen.source.ids),
        labels=chosen.labels,
    )


def _floored(pictures: UnitStatistics, axis: UnitAxis) -> Float[np.ndarray, "T U"]:
    """(5), with the floor that the layers set."""
    layers = axis.split(pictures.maximum).values()
    floors = [np.broadcast_to(_FLOOR * each.mean(-1, keepdims=True), each.shape) for each in layers]
    return selectivity(pictures, floor=np.concatenate(floors, axis=-1))


def pool(first: UnitMap, second: UnitMap) -> UnitMap:
    """The map of the largest subsets of both together, as if they were one set of pictures; no ClassMem.

    Raises:
      InputError: if the units differ.
    """
    if (first.stages, first.axis) != (second.stages, second.axis):
        raise InputError(
            f"Maps of {len(first.stages)} stages of {first.axis.num_units} units and of {len(second.stages)} "
            f"of {second.axis.num_units} are not of one target."
        )
    both = merge(
        *(
            UnitStatistics(
                len(each.ids), each.maximum, each.second, each.argument + shift, each.mean * len(each.ids)
            )
            for each, shift in ((first, 0), (second, len(first.ids)))
        )
    )
    return UnitMap(
        stages=first.stages,
        axis=first.axis,
        subsets=(1.0,),
        sizes=(both.count,),
        unit_mem=selectivity(both)[None],
        floored=_floored(both, first.axis)[None],
        maximum=both.maximum,
        second=both.second,
        rest=rest_mean(both).astype(np.float32),
        argument=both.argument,
        class_mem=None,
        class_argument=None,
        ids=(*first.ids, *second.ids),
        labels=np.concatenate([first.labels, second.labels]),
    )

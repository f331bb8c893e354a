"""What UnitMem of all units adds up to: where it is high, which pictures it comes from, how stable it is.

A unit can answer to one picture alone because it has memorised it, or because no other picture is like it.
The control tells the two apart: with M training pictures and M' pictures the model has never seen pooled, a
training picture is the one that fires a unit with probability M / (M + M') if training has nothing to do with
it. The units of a network are anything but independent, so the test permutes pictures, not units: how often
do M random pictures of the pool fire as many of the top units as the training pictures do?

Axes: N pictures, R nested subsets, T stages, K hidden layers, U units of all layers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int, Shaped

from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitMap, top_units
from jaxaudit.results import Localization
from jaxaudit.results.localization import Agreement, Cells, ClassShare, Control, FiringPicture, TopUnit
from jaxaudit.stats.inputs import check_fraction

_LISTED_UNITS, _LISTED_PICTURES = 20, 24
_PERMUTATIONS = 2000
_FAINT = 0.01


def localization(
    units: UnitMap, *, top: float = 0.01, pooled: UnitMap | None = None, seed: int = 0
) -> Localization:
    """Summarises a map of units.

    Args:
      units: the map of training pictures.
      top: share of the units that are called top: those with the highest UnitMem.
      pooled: the map of the same pictures, first, and unseen ones together, as
        `jaxaudit.audits.localization.pool` makes it.
      seed: of the permutations of the control.

    Raises:
      InputError: if `top` is not between 0 and 1.
    """
    check_fraction(top, "top")
    final = units.unit_mem[-1]
    is_top = top_units(final, top)
    counts = np.bincount(units.argument[is_top], minlength=len(units.ids))
    return Localization(
        stages=tuple(units.stages),
        layers=units.axis.layers,
        widths=units.axis.widths,
        num_pictures=len(units.ids),
        top=top,
        threshold=float(final[is_top].min()),
        mean=_by_layer(units, final, _mean),
        high=_by_layer(units, final, lambda values: np.percentile(values, 99, axis=-1)),
        top_share=_by_layer(units, is_top, _mean),
        class_mean=None if units.class_mem is None else _by_layer(units, units.class_mem, _mean),
        faint=float(np.mean(units.maximum[is_top] < _FAINT * np.median(units.maximum))),
        top_units=_highest(units),
        pictures=tuple(
            FiringPicture(str(units.ids[row]), int(units.labels[row]), int(counts[row]))
            for row in np.argsort(-counts, kind="stable")[:_LISTED_PICTURES]
            if counts[row]
        ),
        num_firing=int(np.count_nonzero(counts)),
        classes=_classes(units.labels, counts),
        agreement=_agreement(units, is_top, top),
        control=None if pooled is None else _control(pooled, len(units.ids), top, seed),
    )


def _mean(values: Shaped[np.ndarray, "T F"]) -> Float[np.ndarray, " T"]:
    return values.mean(-1, dtype=np.float64)


def _by_layer(
    units: UnitMap, values: Shaped[np.ndarray, "T U"], function: Callable[[np.ndarray], np.ndarray]
) -> Cells:
    """A number per stage and hidden layer, made of the values of its units."""
    cells = np.stack([function(each) for each in units.axis.split(values).values()], axis=1)
    return tuple(map(tuple, cells.tolist()))


def _highest(units: UnitMap) -> tuple[TopUnit, ...]:
    final = units.unit_mem[-1]
    highest = np.argsort(-final, axis=None, kind="stable")[:_LISTED_UNITS]
    places = (divmod(int(flat), units.axis.num_units) for flat in highest)
    return tuple(
        TopUnit(
            units.stages[place[0]],
            *units.axis.place(place[1]),
            unit_mem=float(final[place]),
            class_mem=None if units.class_mem is None else float(units.class_mem[place]),
            maximum=float(units.maximum[place]),
            rest=float(units.rest[place]),
            picture=str(units.ids[units.argument[place]]),
            label=int(units.labels[units.argument[place]]),
        )
        for place in places
    )


def _classes(labels: Int[np.ndarray, " N"], counts: Int[np.ndarray, " N"]) -> tuple[ClassShare, ...]:
    return tuple(
        ClassShare(
            int(label), float(np.mean(labels == label)), float(counts[labels == label].sum() / counts.sum())
        )
        for label in np.unique(labels)
    )


def _agreement(units: UnitMap, is_top: Bool[np.ndarray, "T U"], top: float) -> tuple[Agreement, ...]:
    ranks = [scipy.stats.rankdata(each, axis=None) for each in units.unit_mem]
    return tuple(
        Agreement(
            subset,
            size,
            float(np.corrcoef(rank, ranks[-1])[0, 1]),
            float(np.mean(is_top[top_units(unit_mem, top)])),
        )
        for subset, size, rank, unit_mem in zip(
            units.subsets, units.sizes, ranks, units.unit_mem, strict=True
        )
    )


def _control(pooled: UnitMap, num_members: int, top: float, seed: int) -> Control:
    num_pictures = len(pooled.ids)
    if not 0 < num_members < num_pictures:
        raise InputError(
            f"{num_members} of {num_pictures} pooled pictures are training pictures; both must be there."
        )
    is_top = top_units(pooled.unit_mem[-1], top)
    counts = np.bincount(pooled.argument[is_top], minlength=num_pictures)
    total = counts.sum()
    found = counts[:num_members].sum()
    by_chance = _dealt(counts, num_members, seed)
    low, high = np.quantile(by_chance / total, [0.025, 0.975])
    return Control(
        num_members=num_members,
        num_nonmembers=num_pictures - num_members,
        num_units=int(total),
        share=float(found / total),
        low=float(low),
        high=float(high),
        p_value=float((1 + np.sum(by_chance >= found)) / (1 + _PERMUTATIONS)),
    )


def _dealt(counts: Int[np.ndarray, " M"], num_members: int, seed: int) -> Int[np.ndarray, " permutations"]:
    """How many units the training side fires when `num_members` pictures are dealt to it at random."""
    generator = np.random.default_rng(seed)
    return np.array([generator.permutation(counts)[:num_members].sum() for _ in range(_PERMUTATIONS)])

"""What UnitMem of all units adds up to: where it is high, which pictures it comes from, how stable it is.

Units that several pictures fire alike (`UnitMap.alone`) single no picture out, so none of them is a top unit,
and UnitMem is the floored one throughout (`UnitMap.floored`).

A unit can answer to one picture alone because it has memorised it, or because no other picture is like it.
The control tells the two apart: pool training pictures with others that the model has never seen, and count

    (1)  T = training pictures that alone fire a top unit of the pool

If training has nothing to do with it, the training pictures of a class are as good as drawn at random from
the n_c of the class. So the test draws them again, within classes, because some fire more units than others,
and whole pictures, because the units that one fires come and go together:

    (2)  T ~ Σ_c Hypergeometric(n_c pictures, of which f_c fire a top unit; m_c drawn)

This is the exact distribution of T over all permutations of the pictures within their classes, since neither
the top units nor the pictures that fire them depend on which are called training pictures.

Axes: N pictures, M pictures of a pool, R nested subsets, T stages, K hidden layers, U units of all layers.
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


def localization(units: UnitMap, *, top: float = 0.01, pooled: UnitMap | None = None) -> Localization:
    """Summarises a map of units.

    Args:
      units: the map of training pictures.
      top: share of the units that are called top: of those that one picture alone fires, the ones with the
        highest UnitMem.
      pooled: the map of the same pictures, first, and unseen ones together, as
        `jaxaudit.audits.localization.pool` makes it.

    Raises:
      InputError: if `top` is not between 0 and 1, or no unit is fired by one picture alone.
    """
    check_fraction(top, "top")
    final = units.floored[-1]
    is_top = _top(units, final, top)
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
        shared=float(np.mean(~units.alone)),
        faint=float(np.mean(final < units.unit_mem[-1])),
        top_units=_highest(units),
        pictures=tuple(
            FiringPicture(str(units.ids[row]), int(units.labels[row]), int(counts[row]))
            for row in np.argsort(-counts, kind="stable")[:_LISTED_PICTURES]
            if counts[row]
        ),
        num_firing=int(np.count_nonzero(counts)),
        classes=_classes(units.labels, counts),
        agreement=_agreement(units, is_top, top),
        control=None if pooled is None else control(pooled, len(units.ids), top=top),
    )


def _top(units: UnitMap, values: Float[np.ndarray, "T U"], share: float) -> Bool[np.ndarray, "T U"]:
    """The top units by these values: a share of those that one picture alone fires, at least one."""
    if not np.any(units.alone):
        raise InputError(
            f"None of the units is fired by one of the {len(units.ids)} pictures alone; take pictures that "
            "differ from each other."
        )
    return top_units(np.where(units.alone, values, -1.0), share * float(np.mean(units.alone)))


def _mean(values: Shaped[np.ndarray, "T F"]) -> Float[np.ndarray, " T"]:
    return values.mean(-1, dtype=np.float64)


def _by_layer(
    units: UnitMap, values: Shaped[np.ndarray, "T U"], function: Callable[[np.ndarray], np.ndarray]
) -> Cells:
    """A number per stage and hidden layer, made of the values of its units."""
    cells = np.stack([function(each) for each in units.axis.split(values).values()], axis=1)
    return tuple(map(tuple, cells.tolist()))


def _highest(units: UnitMap) -> tuple[TopUnit, ...]:
    final = np.where(units.alone, units.floored[-1], -1.0)
    highest = np.argsort(-final, axis=None, kind="stable")[: min(_LISTED_UNITS, np.sum(units.alone))]
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
    ranks = [scipy.stats.rankdata(each, axis=None) for each in units.floored]
    return tuple(
        Agreement(
            subset,
            size,
            float(np.corrcoef(rank, ranks[-1])[0, 1]),
            float(np.mean(is_top[_top(units, floored, top)])),
        )
        for subset, size, rank, floored in zip(units.subsets, units.sizes, ranks, units.floored, strict=True)
    )


def control(pooled: UnitMap, num_members: int, *, top: float = 0.01) -> Control:
    """Whether more training pictures fire a top unit than of unseen ones that are pooled with them.

    Args:
      pooled: the map of `num_members` training pictures and then of unseen ones
        (`jaxaudit.audits.localization.pool`).
      num_members: their number.
      top: as in `localization`.

    Returns:
      (1), as a share of the pictures that fire a top unit, and how it lies in (2), one-sided.

    Raises:
      InputError: if there are no training or no unseen pictures, or no unit is fired by one picture alone.
    """
    num_pictures = len(pooled.ids)
    if not 0 < num_members < num_pictures:
        raise InputError(
            f"{num_members} of {num_pictures} pooled pictures are training pictures; both must be there."
        )
    is_top = _top(pooled, pooled.floored[-1], top)
    fires = np.bincount(pooled.argument[is_top], minlength=num_pictures) > 0
    found, total = int(fires[:num_members].sum()), int(fires.sum())
    by_chance = _by_chance(fires, pooled.labels, num_members)
    low, high = np.searchsorted(np.cumsum(by_chance), [0.025, 0.975])
    return Control(
        num_members=num_members,
        num_nonmembers=num_pictures - num_members,
        num_units=int(np.count_nonzero(is_top)),
        num_firing=total,
        share=found / total,
        chance=float(by_chance @ np.arange(len(by_chance)) / total),
        low=float(low / total),
        high=float(high / total),
        p_value=min(1.0, float(by_chance[found:].sum())),
    )


def _by_chance(
    fires: Bool[np.ndarray, " M"], labels: Int[np.ndarray, " M"], num_members: int
) -> Float[np.ndarray, " T"]:
    """(2): the probability of every number of training pictures, of which there are `num_members`."""
    probability = np.ones(1)
    for label in np.unique(labels[fires]):
        of_class = labels == label
        pictures, firing = np.count_nonzero(of_class), np.count_nonzero(of_class & fires)
        members = np.count_nonzero(of_class[:num_members])
        drawn = scipy.stats.hypergeom.pmf(np.arange(firing + 1), pictures, firing, members)
        probability = np.convolve(probability, drawn)
    return probability

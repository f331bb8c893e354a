"""Does UnitMem's control accuse a model of pictures it has not seen, and does it find what was planted?

The activations of all pictures are measured once. Then, many times, two disjoint sides of unseen pictures are
drawn and go the way of a localisation: statistics, maps, pool, control.

    unseen     one side is called training pictures: every rejection is a false accusation
    swapped    the other side is
    planted    some units are made to answer to one picture of the first side each, at ten times their
               largest activation: this is what the control has to find

Axes: N pictures, T stages, U units.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.audits.localization.pipeline import unit_means
from jaxaudit.audits.localization.running import RunningUnits, pool, unit_map
from jaxaudit.audits.localization.subsets import Selection, choose
from jaxaudit.audits.pictures import look
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitMap
from jaxaudit.results.unit_control import ControlRates, UnitControlStudy
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.intervals import clopper_pearson
from jaxaudit.stats.localization import control
from jaxaudit.targets import Target
from jaxaudit_kernels.unit_memorization import no_items, observe

_PLANTED_TIMES = 10.0
_VIEWS, _PLACEMENT = Views(), Placement(batch_size=32)


def study_unit_control(
    target: Target,
    members: Source,
    nonmembers: Source,
    *,
    tops: tuple[float, ...] = (0.01, 0.05, 0.2),
    num_splits: int = 300,
    size: int = 300,
    planted: float = 0.01,
    alpha: float = 0.01,
    views: Views = _VIEWS,
    seed: int = 0,
    placement: Placement = _PLACEMENT,
    progress: Progress = silent,
) -> UnitControlStudy:
    """Rates at which UnitMem's control rejects, on splits of unseen pictures and where units were planted.

    The activations of all pictures are in memory at once, [N,T,U] float32: a study of small targets.

    Args:
      target: what is measured.
      members: pictures it was trained on. nonmembers: others, from which the splits are drawn.
      tops: shares of the units that are top, each a control of its own.
      num_splits: random splits; size: pictures on each side of one.
      planted: share of the units with something planted.
      alpha: level at which a control rejects.
      views: of a picture.
      seed: of views, splits and planted units.
      placement: where batches of pictures run.
      progress: hears of pictures and splits.

    Raises:
      InputError: if there are too few unseen pictures for two sides, or the target cannot be localised.
    """
    if not 2 <= size <= len(nonmembers) // 2:
        raise InputError(
            f"size={size} pictures a side cannot be drawn from the {len(nonmembers)} of {nonmembers.spec}; "
            f"take 2 to {len(nonmembers) // 2}."
        )
    meter = ActivationMeter(
        target,
        views,
        key=jax.random.key(seed),
        mesh=placement.mesh(target.params, target.partition),
        parallelism=placement.parallelism,
    )
    (seen, on_seen), (unseen, on_unseen) = (
        _measure(meter, choose(resolve_condition(source, target), (1.0,), seed), placement, progress)
        for source in (members, nonmembers)
    )
    as_map = functools.partial(_map, meter)
    truth = pool(as_map(seen, on_seen), as_map(unseen, on_unseen))
    num_planted = max(1, round(planted * on_unseen[0].size))
    rejected = np.zeros((3, len(tops)), int)
    generator = np.random.default_rng(seed)
    for split in range(num_splits):
        rows = generator.permutation(len(on_unseen))
        first, second = np.sort(rows[:size]), np.sort(rows[size : 2 * size])
        sides = [as_map(_take(unseen, side), on_unseen[side]) for side in (first, second)]
        altered = as_map(_take(unseen, first), _plant(on_unseen[first], num_planted, generator))
        pools = pool(*sides), pool(*sides[::-1]), pool(altered, sides[1])
        rejected += [[control(pooled, size, top=top).p_value <= alpha for top in tops] for pooled in pools]
        progress(split + 1, num_splits, f"Splitting {nonmembers.spec}")
    return UnitControlStudy(
        target=target.name,
        source=nonmembers.spec,
        num_splits=num_splits,
        size=size,
        num_planted=num_planted,
        alpha=alpha,
        rates=tuple(
            ControlRates(
                top,
                *(clopper_pearson(int(count), num_splits) for count in counts),
                members=control(truth, len(on_seen), top=top),
            )
            for top, counts in zip(tops, rejected.T, strict=True)
        ),
    )


def _measure(
    meter: ActivationMeter, chosen: Selection, placement: Placement, progress: Progress
) -> tuple[Selection, Float[np.ndarray, "N T U"]]:
    """The pictures, class by class, and the mean activations on them."""
    parts, total = [], len(chosen.source)
    pictures = look(chosen.source, meter.target.preprocessing, progress)
    for rows, means in unit_means(meter, pictures, range(total), placement.batch_size):
        parts.append(means)
        progress(rows.stop, total, f"Measuring the units on {chosen.source.spec}")
    return chosen, np.concatenate(parts)


def _take(chosen: Selection, rows: Int[np.ndarray, " n"]) -> Selection:
    return Selection(chosen.source.take(rows.tolist()), chosen.labels[rows], chosen.tiers[rows], (1.0,))


def _map(meter: ActivationMeter, chosen: Selection, means: Float[np.ndarray, "N T U"]) -> UnitMap:
    """What `localize` makes of these pictures."""
    state = RunningUnits.empty(meter.shape, 1)
    for label in np.unique(chosen.labels):
        (rows,) = np.nonzero(chosen.labels == label)
        state.add_class(int(label), [observe(no_items(meter.shape), means[rows], rows)])
    return unit_map([state], chosen, stages=meter.stages, axis=meter.axis)


def _plant(
    means: Float[np.ndarray, "N T U"], num_planted: int, generator: np.random.Generator
) -> Float[np.ndarray, "N T U"]:
    """The activations with random units that answer to a random picture each."""
    altered = means.copy()
    places = generator.choice(means[0].size, num_planted, replace=False)
    stages, units = np.unravel_index(places, means.shape[1:])
    pictures = generator.integers(len(means), size=num_planted)
    altered[pictures, stages, units] = _PLANTED_TIMES * means[:, stages, units].max(0)
    return altered

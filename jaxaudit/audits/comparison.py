"""Audits side by side, and what leakage goes with: size, training, and what generating an image costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.condition import condition_arrays
from jaxaudit.attacks.drawing import drawing_step
from jaxaudit.audits.benchmark.timing import Stage, lap
from jaxaudit.results import (
    AuditResults,
    ComparedTarget,
    ComparisonResults,
    Correlation,
    GenerationCost,
    Interval,
    MeanStd,
    PublishedComparedTarget,
    PublishedScoreMetrics,
    ScoreMetrics,
)
from jaxaudit.results.comparison import Against, Leak
from jaxaudit.runtime.mesh import mesh_of
from jaxaudit.stats.correlation import FEWEST, partial_spearman, pearson, spearman
from jaxaudit.stats.intervals import CONFIDENCE
from jaxaudit.targets import Params, Target

_RECORDS = {ScoreMetrics: ComparedTarget, PublishedScoreMetrics: PublishedComparedTarget}
_FPR = 0.01
_CALLS = 5


Compared = ComparedTarget | PublishedComparedTarget
"""One target, under either kind of protocol."""


def compared(results: AuditResults, generation: GenerationCost | None = None) -> Compared:
    """What one audit adds to the comparison."""
    membership, curves = results.membership, results.power_curves
    best, baseline = membership.selected, _baseline(results)
    record: Any = _RECORDS[type(membership.per_score[best])]
    return record(
        target=Path(results.target.name).name,
        family=results.target.family,
        num_params=results.target.num_params,
        gflop=results.collected.gflop_per_image,
        baseline=baseline,
        baseline_tpr=membership.per_score[baseline].tpr_at_fpr.get(_FPR),
        best=best,
        best_tpr=membership.per_score[best].tpr_at_fpr.get(_FPR),
        auc=membership.per_score[best].auc,
        needed=curves[results.main_view].required if curves else None,
        status=results.finding.status,
        training_steps=results.provenance.get("generator_steps"),
        generation=generation,
    )


def _baseline(results: AuditResults) -> str:
    membership = results.membership
    if results.main_view != "cond" and "cond" in membership.groups:
        return membership.groups["cond"]
    loss = [name for name in membership.per_score if name.endswith("unified_loss")]
    return loss[0] if loss else membership.selected


def generation_cost(target: Target) -> GenerationCost:
    """What generating one image costs on the device of the target's parameters, compiled before."""
    stage = Stage.of(one_image(target), target.params)
    lap(stage)
    return GenerationCost(
        gflop=stage.flops / 1e9,
        seconds=min(lap(stage).wall for _ in range(_CALLS)),
        device=mesh_of(target.params).devices.flat[0].device_kind,
    )


def one_image(target: Target) -> Callable[[Params], Float[Array, "1 H W 3"]]:
    """params -> an image as the model draws it, jittable; of class 0, or of zeros for a caption."""
    told = np.zeros((1, *target.context_shape)) if target.context_shape else np.zeros(1, np.int32)
    given = told if target.context_shape or target.num_classes else None
    rows = {**condition_arrays(target, given, 1), "ids": np.zeros(1, np.uint32)}
    batch = {name: jnp.asarray(row) for name, row in rows.items()}
    return lambda params: drawing_step(target)((params, jax.random.key(0)), batch)


def comparison(targets: Sequence[Compared]) -> ComparisonResults:
    """The targets, and the correlations of what is known of at least five of them."""
    found = (_correlation(targets, leak, against) for leak in _LEAKS for against in _AGAINST)
    return ComparisonResults(
        targets=tuple(targets),
        correlations=tuple(each for each in found if each is not None),
        confidence=CONFIDENCE,
    )


def _correlation(targets: Sequence[Compared], leak: Leak, against: Against) -> Correlation | None:
    leaks, places = _LEAKS[leak], _AGAINST[against]
    known = [one for one in targets if leaks(one) is not None and places(one) is not None]
    if len(known) < FEWEST:
        return None
    y, x = (np.array([number(one) for one in known], float) for number in (leaks, places))
    if y.min() == y.max() or x.min() == x.max():
        return None
    held = [_AGAINST["parameters" if against == "training_steps" else "training_steps"](one) for one in known]
    linear = np.log(y) if leak == "needed" else y
    return Correlation(
        leak=leak,
        against=against,
        spearman=spearman(x, y),
        pearson=pearson(np.log(x), linear) if np.isfinite(y).all() else None,
        partial=None if None in held else partial_spearman(x, y, np.array(held, float)),
        num_targets=len(known),
    )


def _center(value: Interval | MeanStd | None) -> float | None:
    if value is None:
        return None
    return value.mean if isinstance(value, MeanStd) else value.estimate


def _needed(one: Compared) -> float | None:
    if one.needed is None:
        return None
    return math.inf if one.needed.estimate is None else one.needed.estimate


_LEAKS: Mapping[Leak, Callable[[Compared], float | None]] = {
    "auc": lambda one: _center(one.auc),
    "tpr": lambda one: _center(one.best_tpr),
    "needed": _needed,
}
_AGAINST: Mapping[Against, Callable[[Compared], float | None]] = {
    "parameters": lambda one: one.num_params,
    "training_steps": lambda one: one.training_steps,
    "gflop": lambda one: None if one.generation is None else one.generation.gflop,
    "seconds": lambda one: None if one.generation is None else one.generation.seconds,
}

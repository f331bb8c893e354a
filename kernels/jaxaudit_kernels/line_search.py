"""The line search of Moré and Thuente, for many functions of one variable at once.

Looks for a step s > 0 along a direction of descent of φ(s) = f(x + s d) with

    (1)  φ(s) ≤ φ(0) + μ s φ'(0)         sufficient decrease, μ = 1e-3
    (2)  |φ'(s)| ≤ η |φ'(0)|             curvature, η = 0.9

by interpolating φ (or, until (1) has held with φ' ≥ 0, its excess over the line of (1)) through the best step
so far and the newest, and the far end of an interval that is known to hold such a step. Each function has a
search of its own, with its own numbers in every field; searches that are done are left alone by the caller.

Source: Moré & Thuente, "Line search algorithms with guaranteed sufficient decrease", ACM TOMS 20 (1994), with
the constants and stopping rules of L-BFGS-B 3.0 (Zhu, Byrd, Lu, Nocedal; ACM TOMS 1997), as in SciPy.

Axes: B functions.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

LARGEST_STEP = 1e10
MAX_EVALUATIONS = 20

_DECREASE = 1e-3
_CURVATURE = 0.9
_NARROW = 0.1  # an interval is not searched on below this share of its far end
_EXPAND = (1.1, 4.0)  # where the next step may lie while there is no far end
_SHRINK = 0.66


class Point(NamedTuple):
    """A step, φ and φ' there."""

    step: Float[Array, " B"]
    value: Float[Array, " B"]
    slope: Float[Array, " B"]


class LineSearch(NamedTuple):
    """The state of the searches.

    Attributes:
      step: where φ is to be evaluated next.
      origin: the point at step 0.
      best: the best point so far. far: the other end of the interval.
      bracketed: whether the interval is known to hold a step that satisfies (1) and (2).
      descending: whether (1) has not held with φ' ≥ 0 yet.
      low, high: where the next step may lie.
      width, last_width: of the interval, one and two steps ago.
      evaluations: of φ so far.
    """

    step: Float[Array, " B"]
    origin: Point
    best: Point
    far: Point
    bracketed: Bool[Array, " B"]
    descending: Bool[Array, " B"]
    low: Float[Array, " B"]
    high: Float[Array, " B"]
    width: Float[Array, " B"]
    last_width: Float[Array, " B"]
    evaluations: Int[Array, " B"]


def begin(value: Float[Array, " B"], slope: Float[Array, " B"], step: Float[Array, " B"]) -> LineSearch:
    """Searches that begin at φ(0) = `value`, φ'(0) = `slope` < 0 with the first step `step`."""
    zero, true = jnp.zeros_like(value), jnp.ones_like(value, bool)
    origin = Point(zero, value, slope)
    return LineSearch(
        step=step,
        origin=origin,
        best=origin,
        far=origin,
        bracketed=~true,
        descending=true,
        low=zero,
        high=(1 + _EXPAND[1]) * step,
        width=jnp.full_like(value, LARGEST_STEP),
        last_width=jnp.full_like(value, 2 * LARGEST_STEP),
        evaluations=jnp.zeros_like(value, jnp.int32),
    )


def advance(
    search: LineSearch, value: Float[Array, " B"], slope: Float[Array, " B"]
) -> tuple[LineSearch, Bool[Array, " B"]]:
    """The searches after φ and φ' at `search.step` are known, and which are done there.

    A search is done if (1) and (2) hold, or if it can go no further: at the largest step, or in an interval
    too narrow, where the step is the best one.
    """
    here, origin = Point(search.step, value, slope), search.origin
    line_slope = _DECREASE * origin.slope
    line = origin.value + search.step * line_slope
    decreased = value <= line
    descending = search.descending & ~(decreased & (slope >= 0))
    stuck = search.bracketed & (
        (here.step <= search.low)
        | (here.step >= search.high)
        | (search.high - search.low <= _NARROW * search.high)
    )
    at_end = (here.step >= LARGEST_STEP) & decreased & (slope <= line_slope)
    done = (decreased & (jnp.abs(slope) <= -_CURVATURE * origin.slope)) | stuck | at_end | (here.step <= 0)

    excess = descending & (value <= search.best.value) & ~decreased
    slant = jnp.where(excess, line_slope, 0.0)
    best, far, tried = (_tilt(point, -slant) for point in (search.best, search.far, here))
    best, far, step, bracketed = _interpolate(best, far, tried, search.bracketed, search.low, search.high)
    best, far = _tilt(best, slant), _tilt(far, slant)

    span = jnp.abs(far.step - best.step)
    slow = bracketed & (span >= _SHRINK * search.last_width)
    step = jnp.where(slow, best.step + 0.5 * (far.step - best.step), step)
    beyond = step - best.step
    low = jnp.where(bracketed, jnp.minimum(best.step, far.step), step + _EXPAND[0] * beyond)
    high = jnp.where(bracketed, jnp.maximum(best.step, far.step), step + _EXPAND[1] * beyond)
    step = jnp.clip(step, 0.0, LARGEST_STEP)
    exhausted = (step <= low) | (step >= high) | (high - low <= _NARROW * high)
    return LineSearch(
        step=jnp.where(bracketed & exhausted, best.step, step),
        origin=origin,
        best=best,
        far=far,
        bracketed=bracketed,
        descending=descending,
        low=low,
        high=high,
        width=jnp.where(bracketed, span, search.width),
        last_width=jnp.where(bracketed, search.width, search.last_width),
        evaluations=search.evaluations + 1,
    ), done


def _tilt(point: Point, slope: Float[Array, " B"]) -> Point:
    """The point of φ plus a line through the origin of that slope."""
    return Point(point.step, point.value + point.step * slope, point.slope + slope)


def _interpolate(
    best: Point, far: Point, new: Point, bracketed: Array, low: Array, high: Array
) -> tuple[Point, Point, Array, Array]:
    """The ends of the interval after a new point, the next step, and whether the interval holds a minimum.

    The four cases of Moré & Thuente, §4: the minimisers of the cubic through values and slopes, of the
    parabola through two values and a slope, and of the parabola through two slopes, or a mean of two.
    """
    higher = new.value > best.value
    turned = new.slope * best.slope < 0
    flatter = jnp.abs(new.slope) < jnp.abs(best.slope)
    away = new.step > best.step
    gap = best.step - new.step

    root, theta = _cubic(best, new, clip=False)
    signed = jnp.where(away, root, -root)
    ratio = (signed - best.slope + theta) / (signed - best.slope + signed + new.slope)
    cubic = best.step - ratio * gap
    chord = (best.value - new.value) / -gap + best.slope
    parabola = best.step - best.slope / chord / 2 * gap
    nearer = jnp.abs(cubic - best.step) < jnp.abs(parabola - best.step)
    case_1 = jnp.where(nearer, cubic, cubic + (parabola - cubic) / 2)

    signed = jnp.where(away, -root, root)
    ratio = (signed - new.slope + theta) / (signed - new.slope + signed + best.slope)
    cubic = new.step + ratio * gap
    secant = new.step + new.slope / (new.slope - best.slope) * gap
    case_2 = jnp.where(jnp.abs(cubic - new.step) > jnp.abs(secant - new.step), cubic, secant)

    root, theta = _cubic(best, new, clip=True)
    signed = jnp.where(away, -root, root)
    ratio = (signed - new.slope + theta) / (signed + (best.slope - new.slope) + signed)
    beyond = (ratio < 0) & (signed != 0)
    cubic = jnp.where(beyond, new.step + ratio * gap, jnp.where(away, high, low))
    closer = jnp.abs(cubic - new.step) < jnp.abs(secant - new.step)
    inside = jnp.where(closer, cubic, secant)
    limit = new.step + _SHRINK * (far.step - new.step)
    inside = jnp.where(away, jnp.minimum(limit, inside), jnp.maximum(limit, inside))
    outside = jnp.clip(jnp.where(closer, secant, cubic), low, high)
    case_3 = jnp.where(bracketed, inside, outside)

    root, theta = _cubic(far, new, clip=False)
    signed = jnp.where(new.step > far.step, -root, root)
    ratio = (signed - new.slope + theta) / (signed - new.slope + signed + far.slope)
    cubic = new.step + ratio * (far.step - new.step)
    case_4 = jnp.where(bracketed, cubic, jnp.where(away, high, low))

    step = jnp.where(higher, case_1, jnp.where(turned, case_2, jnp.where(flatter, case_3, case_4)))
    far = _choose(higher, new, _choose(turned, best, far))
    return _choose(higher, best, new), far, step, bracketed | higher | turned


def _cubic(one: Point, new: Point, *, clip: bool) -> tuple[Array, Array]:
    """√(θ² − φ'φ') and θ of the cubic through two points; a negative radicand counts as 0 if `clip`."""
    theta = 3 * (one.value - new.value) / (new.step - one.step) + one.slope + new.slope
    scale = jnp.maximum(jnp.abs(theta), jnp.maximum(jnp.abs(one.slope), jnp.abs(new.slope)))
    radicand = (theta / scale) ** 2 - one.slope / scale * (new.slope / scale)
    return scale * jnp.sqrt(jnp.maximum(radicand, 0.0) if clip else radicand), theta


def _choose(mask: Array, yes: Point, no: Point) -> Point:
    return Point(*(jnp.where(mask, a, b) for a, b in zip(yes, no, strict=True)))

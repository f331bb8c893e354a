"""L-BFGS for many small problems at once, each with its own memory, line search and end.

With s_k = x_{k+1} − x_k and y_k = g_{k+1} − g_k of the latest steps, from x_k along d_k = −H_k g_k:

    (1)  H_k = V_{k−1}ᵀ H V_{k−1} + ρ s sᵀ,  ρ = 1/(yᵀ s),  V = I − ρ y sᵀ,  over the memory;
         H = γ I at its far end, γ = sᵀy / yᵀy of the latest step
    (2)  x_{k+1} = x_k + s d_k, s by `line_search`; tried first: s = 1/‖g‖ along −g, then 1

One evaluation serves all problems: it takes the points that their searches ask for, each at its own place in
its own iteration. Problems do not meet: what happens to one does not depend on the others, and one that has
ended stays as it is while the others go on.

Source: Liu & Nocedal, "On the limited memory BFGS method for large scale optimization", Math. Programming 45
(1989). Line search, first steps and stopping rules are those of L-BFGS-B 3.0 (Zhu, Byrd, Lu, Nocedal; ACM
TOMS 1997) without bounds, as in SciPy.

Axes: B problems, D unknowns of each, m steps of memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxaudit_kernels import line_search
from jaxaudit_kernels.line_search import LineSearch

ValueAndGradient = Callable[[Array], tuple[Array, Array]]
"""x [B,...] -> f [B] and its gradient [B,...], problem by problem independent."""

_SMALL_GRADIENT = 1e-5  # largest entry
_SMALL_DECREASE = 1e7 * 2.0**-52  # of f, relative


class Minimum(NamedTuple):
    """Where the search for a minimum ended.

    Attributes:
      x: the best point found, [B,...].
      value: f there, never above that of the start.
      iterations: steps taken. evaluations: of f for this problem, the start's included.
    """

    x: Float[Array, "B ..."]
    value: Float[Array, " B"]
    iterations: Int[Array, " B"]
    evaluations: Int[Array, " B"]


class _Memory(NamedTuple):
    """The latest steps, the newest last; ρ = 0 where there is none yet."""

    s: Float[Array, "m B D"]
    y: Float[Array, "m B D"]
    rho: Float[Array, "m B"]
    gamma: Float[Array, " B"]


class _State(NamedTuple):
    x: Float[Array, "B D"]
    value: Float[Array, " B"]
    gradient: Float[Array, "B D"]
    direction: Float[Array, "B D"]
    search: LineSearch
    memory: _Memory
    iterations: Int[Array, " B"]
    evaluations: Int[Array, " B"]
    active: Bool[Array, " B"]


def minimize(
    value_and_gradient: ValueAndGradient,
    start: Float[Array, "B ..."],
    *,
    max_iterations: int,
    memory: int = 10,
    initial: tuple[Float[Array, " B"], Float[Array, "B ..."]] | None = None,
) -> Minimum:
    """Minimises every problem from its start.

    Args:
      value_and_gradient: f, see `ValueAndGradient`; called with the points of all problems.
      start: x_0.
      max_iterations: steps (2) at most.
      memory: m at most.
      initial: f and its gradient at the start, if they are known already.

    Returns:
      See `Minimum`. A problem ends early at a gradient of 1e-5 at most, or where a step improves f by less
      than about 2e-9 of its size. Where f is not a number the search falls back, to steepest descent, then to
      the best point.
    """
    shape = start.shape

    def evaluate(x: Array) -> tuple[Array, Array]:
        value, gradient = value_and_gradient(x.reshape(shape))
        return value, gradient.reshape(len(start), -1)

    x = start.reshape(len(start), -1)
    value, gradient = evaluate(x) if initial is None else (initial[0], initial[1].reshape(x.shape))
    size = jnp.linalg.norm(gradient, axis=1)
    state = _State(
        x=x,
        value=value,
        gradient=gradient,
        direction=-gradient,
        search=line_search.begin(value, -(size**2), 1 / jnp.maximum(size, 1 / line_search.LARGEST_STEP)),
        memory=_no_memory(min(memory, max_iterations), x),
        iterations=jnp.zeros_like(value, jnp.int32),
        evaluations=jnp.ones_like(value, jnp.int32),
        active=(jnp.max(jnp.abs(gradient), axis=1) > _SMALL_GRADIENT) & jnp.isfinite(value),
    )
    state = jax.lax.while_loop(
        lambda state: jnp.any(state.active),
        lambda state: _round(state, evaluate, max_iterations),
        state,
    )
    return Minimum(state.x.reshape(shape), state.value, state.iterations, state.evaluations)


def _round(state: _State, evaluate: ValueAndGradient, max_iterations: int) -> _State:
    """One evaluation for every problem, and what follows from it."""
    point = state.x + state.search.step[:, None] * state.direction
    value, gradient = evaluate(point)
    slope = _dot(gradient, state.direction)
    search, done = line_search.advance(state.search, value, slope)
    usable = jnp.isfinite(value) & jnp.isfinite(slope)
    accepted = state.active & usable & done & (value <= state.value)
    over = done | ~usable | (search.evaluations >= line_search.MAX_EVALUATIONS)
    failed = state.active & over & ~accepted

    iterations = state.iterations + accepted
    decrease = state.value - value
    scale = jnp.maximum(jnp.maximum(jnp.abs(state.value), jnp.abs(value)), 1.0)
    ended = accepted & (
        (iterations >= max_iterations)
        | (jnp.max(jnp.abs(gradient), axis=1) <= _SMALL_GRADIENT)
        | (decrease <= _SMALL_DECREASE * scale)
    )
    retried = failed & jnp.any(state.memory.rho > 0, axis=0)  # once, along −g

    memory = _remember(state, point - state.x, gradient - state.gradient, accepted)
    memory = memory._replace(rho=jnp.where(failed, 0.0, memory.rho))
    x = jnp.where(accepted[:, None], point, state.x)
    gradient = jnp.where(accepted[:, None], gradient, state.gradient)
    value = jnp.where(accepted, value, state.value)

    direction = _direction(memory, gradient)
    downhill = _dot(direction, gradient) < 0
    memory = memory._replace(rho=jnp.where(accepted & ~downhill, 0.0, memory.rho))
    direction = jnp.where(downhill[:, None], direction, -gradient)
    new = line_search.begin(value, _dot(direction, gradient), jnp.ones_like(value))
    turned = accepted | retried
    return _State(
        x=x,
        value=value,
        gradient=gradient,
        direction=jnp.where(turned[:, None], direction, state.direction),
        search=jax.tree.map(lambda a, b: jnp.where(turned, a, b), new, search),
        memory=memory,
        iterations=iterations,
        evaluations=state.evaluations + state.active,
        active=state.active & ~ended & (retried | ~failed),
    )


def _no_memory(steps: int, x: Array) -> _Memory:
    batch, size = x.shape
    empty = jnp.zeros((steps, batch, size), x.dtype)
    return _Memory(empty, empty, jnp.zeros((steps, batch), x.dtype), jnp.ones(batch, x.dtype))


def _remember(state: _State, s: Array, y: Array, accepted: Array) -> _Memory:
    """The memory with the step (s, y) where it was accepted and f curves upwards along it."""
    memory, curvature = state.memory, _dot(s, y)
    bend = -_dot(s, state.gradient)  # > 0
    kept = accepted & (curvature > 2.0**-52 * bend)
    safe = jnp.where(kept, curvature, 1.0)

    def push(past: Array, new: Array) -> Array:
        keep = kept.reshape(kept.shape + (1,) * (new.ndim - 1))
        return jnp.where(keep, jnp.concatenate([past[1:], new[None]]), past)

    return _Memory(
        push(memory.s, s),
        push(memory.y, y),
        push(memory.rho, 1 / safe),
        jnp.where(kept, safe / jnp.where(kept, _dot(y, y), 1.0), memory.gamma),
    )


def _direction(memory: _Memory, gradient: Array) -> Array:
    """−H g of (1) by the two-loop recursion; −g without memory."""
    steps = memory.s, memory.y, memory.rho

    def backward(q: Array, step: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        s, y, rho = step
        weight = rho * _dot(s, q)
        return q - weight[:, None] * y, weight

    def forward(q: Array, step: tuple[tuple[Array, Array, Array], Array]) -> tuple[Array, None]:
        (s, y, rho), weight = step
        return q + (weight - rho * _dot(y, q))[:, None] * s, None

    q, weights = jax.lax.scan(backward, gradient, steps, reverse=True)
    gamma = jnp.where(jnp.any(memory.rho > 0, axis=0), memory.gamma, 1.0)
    return -jax.lax.scan(forward, gamma[:, None] * q, (steps, weights))[0]


def _dot(a: Array, b: Array) -> Float[Array, " B"]:
    return jnp.sum(a * b, axis=1)

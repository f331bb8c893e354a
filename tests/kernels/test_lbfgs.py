"""L-BFGS and its line search against SciPy's L-BFGS-B, one problem at a time in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxaudit_kernels import line_search
from jaxaudit_kernels.lbfgs import minimize

RANDOM = np.random.default_rng(0)
B, D = 8, 6
MATRIX, OFFSET = RANDOM.standard_normal((B, D, D)), 3 * RANDOM.standard_normal((B, D))
START = 0.1 * RANDOM.standard_normal((B, D))


def bumpy(x, matrix, offset):
    """A norm, as the errors of networks are, with many bumps."""
    residual = matrix @ x - offset
    return jnp.sqrt(residual @ residual) + 0.3 * jnp.sum(jnp.cos(3 * x)) + 0.01 * jnp.sum(x**4)


def objective(problem, x):
    matrix, offset = (jnp.asarray(array, x.dtype) for array in problem)
    return jax.vmap(jax.value_and_grad(bumpy))(x, matrix, offset)


@functools.partial(jax.jit, static_argnames=("max_iterations", "memory"))
def found(start, max_iterations, memory=10, problem=(MATRIX, OFFSET)):
    return minimize(
        functools.partial(objective, problem), start, max_iterations=max_iterations, memory=memory
    )


def evaluated(x, row):
    residual = MATRIX[row] @ x - OFFSET[row]
    size = np.sqrt(residual @ residual)
    value = size + 0.3 * np.sum(np.cos(3 * x)) + 0.01 * np.sum(x**4)
    return value, MATRIX[row].T @ residual / size - 0.9 * np.sin(3 * x) + 0.04 * x**3


@pytest.mark.parametrize(("max_iterations", "memory"), [(5, 10), (30, 4)])
def test_every_problem_is_solved_as_scipy_does_alone(max_iterations, memory):
    with jax.enable_x64(True):
        minimum = jax.tree.map(np.asarray, found(jnp.asarray(START), max_iterations, memory))
    searched_on = 0
    for row in range(B):
        expected = scipy.optimize.minimize(
            evaluated,
            START[row],
            args=(row,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": max_iterations, "maxcor": memory},
        )
        np.testing.assert_allclose(minimum.x[row], expected.x, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(minimum.value[row], expected.fun, rtol=1e-9)
        assert (minimum.iterations[row], minimum.evaluations[row]) == (expected.nit, expected.nfev)
        searched_on += expected.nfev > expected.nit + 1
    assert searched_on >= 4  # the line search was at work


def test_problems_do_not_meet():
    start = jnp.asarray(START, jnp.float32)
    among, mine = found(start, 5, problem=(MATRIX, OFFSET)), 3
    others = [
        np.where(np.arange(B).reshape(-1, *(1,) * (x.ndim - 1)) == mine, x, x[::-1]) for x in (MATRIX, OFFSET)
    ]
    among_others = found(start[::-1].at[mine].set(start[mine]), 5, problem=tuple(others))
    for one, other in zip(among, among_others, strict=True):
        np.testing.assert_array_equal(one[mine], other[mine])
    assert not np.array_equal(among.x[0], among_others.x[0])


def test_no_problem_ends_worse_than_it_began():
    start = jnp.asarray(START, jnp.float32)
    before, minimum = objective((MATRIX, OFFSET), start)[0], found(start, 5)
    np.testing.assert_allclose(objective((MATRIX, OFFSET), minimum.x)[0], minimum.value, rtol=1e-6)
    assert np.all(minimum.value < before)


def test_a_known_start_is_not_evaluated_again():
    points = []

    @jax.jit
    def watched(start):
        def watched(x):
            jax.debug.callback(lambda x: points.append(np.asarray(x)), x)
            return jnp.sum(x**2, axis=1), 2 * x

        return minimize(watched, start, max_iterations=2, initial=(jnp.sum(start**2, axis=1), 2 * start))

    start = jnp.asarray(START, jnp.float32)
    minimum = watched(start)
    jax.effects_barrier()
    assert len(points) == np.max(minimum.evaluations) - 1
    assert not any(np.array_equal(point, start) for point in points)


def test_a_minimum_is_left_alone_while_others_move():
    def bowl(x):
        return jnp.sum(x**2, axis=(1, 2)), 2 * x

    start = jnp.asarray(RANDOM.standard_normal((3, 2, 2)), jnp.float32).at[1].set(0.0)
    minimum = jax.jit(functools.partial(minimize, bowl, max_iterations=5))(start)
    assert minimum.evaluations[1] == 1
    np.testing.assert_allclose(minimum.x, 0.0, atol=1e-5)


def test_where_the_function_is_no_number_the_best_point_is_kept():
    """(x − 3)², but for the first problem there is nothing beyond 0.5."""

    def cliff(x):
        inside = x < jnp.array([[0.5], [100.0]])
        return jnp.where(inside, (x - 3) ** 2, jnp.nan)[:, 0], jnp.where(inside, 2 * (x - 3), jnp.nan)

    minimum = jax.jit(functools.partial(minimize, cliff, max_iterations=3))(jnp.zeros((2, 1)))
    assert (minimum.iterations[0], minimum.value[0]) == (0, 9)
    np.testing.assert_allclose(minimum.x[1], 3, rtol=1e-5)


@pytest.mark.parametrize("first", [1e-3, 0.3, 50.0])
def test_a_step_that_is_accepted_satisfies_both_conditions(first):
    """On φ(s) = (s − c)² + 0.2 cos(5 s), for several c, from too short and too long first steps."""
    center = jnp.array([0.7, 2.0, 9.0])

    def phi(s):
        return (s - center) ** 2 + 0.2 * jnp.cos(5 * s), 2 * (s - center) - jnp.sin(5 * s)

    value, slope = phi(jnp.zeros(3))
    search = line_search.begin(value, slope, jnp.full(3, first))
    step, done = search.step, jnp.zeros(3, bool)
    for _ in range(line_search.MAX_EVALUATIONS):
        new, ended = line_search.advance(search, *phi(search.step))
        step, done = jnp.where(done, step, search.step), done | ended
        search = new
    assert np.all(done)
    reached, final = phi(step)
    assert np.all(reached <= value + 1e-3 * step * slope)
    assert np.all(np.abs(final) <= 0.9 * np.abs(slope))

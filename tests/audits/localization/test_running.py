import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxaudit.audits.localization.running import RunningUnits, pool, unit_map
from jaxaudit.audits.localization.subsets import Selection, choose
from jaxaudit.data import open_source
from jaxaudit.evidence import UnitAxis
from jaxaudit.stats.localization import control
from jaxaudit_kernels.unit_memorization import no_items, observe

AXIS = UnitAxis(("first", "second"), (40, 60))
PICTURES = choose(open_source("digits:members[:160]"), None, seed=0)


def measured(values, rows):
    """The map of some of the pictures, from the activations of 100 units [N,100]."""
    chosen = Selection(
        PICTURES.source.take(rows.tolist()), PICTURES.labels[rows], PICTURES.tiers[rows], (1.0,)
    )
    state = RunningUnits.empty((1, 100), 1)
    for label in np.unique(chosen.labels):
        (of_class,) = np.nonzero(chosen.labels == label)
        state.add_class(
            int(label), [observe(no_items((1, 100)), values[rows[of_class], None].astype("f"), of_class)]
        )
    return unit_map([state], chosen, stages=("all tokens",), axis=AXIS)


def gelu(x):
    """x (1 + tanh z) / 2 without cancellation."""
    return x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def test_rounding_gives_no_unit_a_high_value():
    """Against float64, for units whose inputs lie down to 6 below zero, where GELU is a rounding error."""
    rng = np.random.default_rng(0)
    levels = rng.permutation(np.linspace(-6, 1, 100))
    inputs = (rng.standard_normal((50, 100)) * 0.3 + levels).astype(np.float32)
    single = np.abs(np.asarray(jax.nn.gelu(jnp.asarray(inputs), approximate=True)))
    found = measured(single, np.arange(50))

    double = np.abs(gelu(inputs.astype(np.float64)))
    largest = double.max(0)
    rest = (double.sum(0) - largest) / 49
    usual = np.concatenate([np.full(40, largest[:40].mean()), np.full(60, largest[40:].mean())])
    expected = (largest - rest) / np.maximum(largest + rest, usual / 20)
    assert np.max(np.abs(found.unit_mem[0, 0] - (largest - rest) / (largest + rest))) > 0.01
    np.testing.assert_allclose(found.floored[0, 0], expected, atol=5e-5)
    fires = largest + rest >= usual / 20
    assert 20 < fires.sum() < 80
    np.testing.assert_array_equal(found.floored[0, 0][fires], found.unit_mem[0, 0][fires])


@pytest.mark.usefixtures("unchecked")
def test_the_control_is_not_fooled_by_units_that_see_the_class_alone():
    """60 of 100 units do, and 10 more fire for class 3 above all; random splits, in both orders."""
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(160, 100))
    values[:, :60] = (rng.exponential(size=(10, 60)) ** 3)[PICTURES.labels]
    values[PICTURES.labels == 3, 60:70] += 5
    rejected = np.zeros(2, int)
    for _ in range(100):
        rows = rng.permutation(160)
        first, second = (measured(values, np.sort(each)) for each in (rows[:90], rows[90:]))
        rejected += [
            control(pool(*sides), len(sides[0].ids), top=0.5).p_value <= 0.05
            for sides in ((first, second), (second, first))
        ]
    assert np.all(rejected <= 13)  # of 5 expected; P(more) < 0.1%

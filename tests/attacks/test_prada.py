"""The features of PRADA: a linear score in them is the mean per scale of piecewise linear functions."""

import jax.numpy as jnp
import numpy as np

from jaxaudit.attacks.prada import COND_KNOTS, GAIN_KNOTS, hat_functions, prada
from jaxaudit_kernels.likelihood import token_statistics

STEPS = (1, 4, 9)


def statistics(log_probs):
    batch, length = log_probs.shape
    any_token = token_statistics(jnp.zeros((batch, length, 2)), jnp.zeros((batch, length), int))
    return any_token._replace(log_prob=jnp.asarray(log_probs, jnp.float32))


def log_probs(seed, length=14):
    return -np.random.default_rng(seed).gamma(1.0, 6.0, (3, length))


def test_a_linear_score_is_a_piecewise_linear_function_of_every_token():
    cond, null = log_probs(0), log_probs(1)
    features = prada(statistics(cond), statistics(null), STEPS)
    rng = np.random.default_rng(2)
    g, h = rng.standard_normal((3, len(COND_KNOTS))), rng.standard_normal((3, len(GAIN_KNOTS)))
    weights = {
        **{f"{s}_cond_{knot}": g[s, k] for s in range(3) for k, knot in enumerate(COND_KNOTS)},
        **{f"{s}_gain_{knot}": h[s, k] for s in range(3) for k, knot in enumerate(GAIN_KNOTS)},
    }
    assert features.keys() == weights.keys()
    score = sum(weight * np.asarray(features[name]) for name, weight in weights.items())
    for image in range(3):
        expected, first = 0.0, 0
        for s, length in enumerate(STEPS):
            for n in range(first, first + length):
                x_c, x_0 = cond[image, n], null[image, n]
                learned = np.interp(x_c, COND_KNOTS, g[s]) + np.interp(x_c - x_0, GAIN_KNOTS, h[s])
                expected += learned / length
            first += length
        np.testing.assert_allclose(score[image], expected, rtol=1e-4, atol=1e-5)


def test_hat_functions_sum_to_one_and_are_constant_outside():
    values = jnp.float32([[-40, -17, -16, -3.3, 0, 7]])
    hats = np.asarray(hat_functions(values, COND_KNOTS))
    np.testing.assert_allclose(hats.sum(0), 1, rtol=1e-6)
    np.testing.assert_array_equal(hats[0, 0, :3], 1)
    np.testing.assert_array_equal(hats[-1, 0, 4:], 1)


def test_a_model_that_predicts_token_by_token_has_one_scale():
    features = prada(statistics(log_probs(0)), statistics(log_probs(1)), (1,) * 14)
    assert {name.partition("_")[0] for name in features} == {"0"}
    whole = prada(statistics(log_probs(0)), statistics(log_probs(1)), (14,))
    for name, values in features.items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-6)

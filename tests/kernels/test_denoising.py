"""What attacks on diffusion models measure, in closed form for a network that is linear: f(z, t) = a z."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit_kernels import denoising, gradient_masking
from jaxaudit_kernels.denoising import CLEAN, noise_levels
from jaxaudit_kernels.diffusion import Schedule, linear_schedule
from jaxaudit_kernels.noise_optimization import noise_optimization

SCHEDULE = linear_schedule(1000)
SHAPE = (3, 4, 4, 5)
Z, NOISE = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype(np.float32)
LATENTS, EPS = jnp.asarray(Z), jnp.asarray(NOISE)  # as the kernels take them
A = 0.7


def predict(z, time, condition):
    assert time.shape == z.shape[:1]
    return A * z


def level(t):
    return noise_levels(SCHEDULE, jnp.full(3, t))


def chain(*times):
    return noise_levels(SCHEDULE, jnp.broadcast_to(jnp.array(times)[:, None], (len(times), 3)))


def scales(t):
    """Signal and spread in float64."""
    kept = SCHEDULE.alphas_cumprod[t]
    return np.sqrt(kept), np.sqrt(1 - kept)


def size(x, p=2):
    return (np.abs(x) ** p).sum((1, 2, 3)) ** (1 / p)


def noised(t):
    signal, spread = scales(t)
    return signal * Z + spread * NOISE


def test_levels_of_schedules():
    signal, spread, time = noise_levels(SCHEDULE, jnp.array([0, 100, CLEAN]))
    np.testing.assert_allclose(signal[:2], [scales(0)[0], scales(100)[0]], rtol=1e-6)
    np.testing.assert_allclose(spread[:2], [scales(0)[1], scales(100)[1]], rtol=1e-6)
    assert (signal[2], spread[2]) == (1, 0)
    assert time.tolist() == [0, 100, -1]
    from_one = Schedule(SCHEDULE.betas, SCHEDULE.timesteps + 1)
    assert noise_levels(from_one, jnp.array([0, CLEAN])).time.tolist() == [1, 0]


def test_norm_and_its_gradient():
    x = jnp.asarray(Z).at[1].set(0.0)
    np.testing.assert_allclose(denoising.norm(x, 5), size(np.asarray(x), 5), rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(denoising.norm(x)))(x)
    np.testing.assert_allclose(gradient[0], x[0] / size(np.asarray(x))[0], rtol=1e-5)
    assert not np.any(gradient[1])


def test_denoising_loss():
    loss = denoising.denoising_loss(predict, LATENTS, level(100), None, EPS)
    np.testing.assert_allclose(loss, size(NOISE - A * noised(100)), rtol=1e-5)


def test_a_chain_multiplies_by_a_known_factor():
    times = (0, 10, 20, 10)
    states = jax.jit(functools.partial(denoising.ddim_chain, predict))(LATENTS, chain(*times), None)
    factors = [1.0]
    for here, there in itertools.pairwise(times):
        (signal, spread), (to_signal, to_spread) = scales(here), scales(there)
        factors.append(factors[-1] * (to_signal * (1 - spread * A) / signal + to_spread * A))
    for state, factor in zip(states, factors[1:], strict=True):
        np.testing.assert_allclose(state, factor * Z, rtol=1e-4, atol=1e-6)
    error = denoising.secmi(predict, LATENTS, chain(*times), None)
    np.testing.assert_allclose(error, abs(factors[1] - factors[3]) * size(Z), rtol=1e-3)
    with_first = denoising.ddim_chain(predict, LATENTS, chain(*times), None, first=A * LATENTS)
    np.testing.assert_allclose(with_first, states, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [2, 5])
def test_pia(p):
    signal, spread = scales(200)
    error = denoising.pia(predict, LATENTS, level(0), level(200), None, p=p)
    np.testing.assert_allclose(error, abs(A * (1 - signal - spread * A)) * size(Z, p), rtol=1e-5)


def test_pian_looks_with_the_magnitude_of_a_gaussian():
    signal, spread = scales(200)
    wanted = denoising.GAUSSIAN_MAGNITUDE
    e = Z / np.abs(Z).mean((1, 2, 3), keepdims=True) * wanted
    error = denoising.pia(predict, LATENTS, level(0), level(200), None, p=5, magnitude=wanted)
    np.testing.assert_allclose(error, size(e - A * (signal * Z + spread * e), 5), rtol=1e-5)
    assert wanted == pytest.approx(scipy.stats.halfnorm.mean(), rel=1e-12)


def test_the_gradient_is_that_of_each_image_alone():
    z_t = noised(300).astype(np.float32)
    output, gradient = gradient_masking.output_and_gradient(
        predict, jnp.asarray(z_t), level(300).time, None, EPS
    )
    residual = NOISE - A * z_t
    np.testing.assert_allclose(output, A * z_t, rtol=1e-6)
    expected = -A * residual / size(residual)[:, None, None, None]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_masks_have_an_exact_size_whatever_the_ties():
    gradient = np.zeros(SHAPE, np.float32)
    gradient[0] = NOISE[0]
    gradient[1, 0, 0, 0] = -5.0
    mask = np.asarray(gradient_masking.largest_places(jnp.asarray(gradient)))
    assert mask.sum((1, 2, 3)).tolist() == [16, 16, 16]  # int(0.2 * 80)
    assert np.abs(gradient[0])[mask[0]].min() >= np.abs(gradient[0])[~mask[0]].max()
    assert mask[1, 0, 0, 0]
    assert np.flatnonzero(mask[2]).tolist() == list(range(16))
    assert gradient_masking.largest_places(jnp.asarray(gradient), 0.013).sum() == 3  # int(1.04) of each


@pytest.mark.parametrize("keep_clean", [False, True])
def test_gradient_masking(keep_clean):
    error = gradient_masking.gradient_masking(predict, LATENTS, level(300), None, EPS, keep_clean=keep_clean)
    kept, residual = Z if keep_clean else noised(300), NOISE - A * noised(300)
    for i in range(3):
        places = np.argsort(-np.abs(residual[i]).ravel())[:16]
        destroyed, was = NOISE[i].ravel()[places], kept[i].ravel()[places]
        np.testing.assert_allclose(error[i], np.linalg.norm(destroyed - was - A * destroyed), rtol=1e-5)


def test_a_perturbation_heads_for_the_noise():
    """Of ‖ε − a (z_t + δ)‖ the gradient always points to the minimum, at δ = ε / a − z_t."""
    z_t = noised(100).astype(np.float32)
    found = jax.jit(functools.partial(noise_optimization, predict))(z_t, level(100).time, None, NOISE)
    residual, moved = NOISE / A - z_t, np.asarray(found.perturbation)
    cosine = (moved * residual).sum((1, 2, 3)) / size(moved) / size(residual)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.error, size(NOISE - A * (z_t + moved)), rtol=1e-4, atol=1e-4)
    assert np.all(np.asarray(found.error) < 0.5 * size(NOISE - A * z_t))


def test_images_are_moved_only_where_the_network_errs():
    """Images that need no help get none while another does."""

    def only_first(z, time, condition):
        return jnp.concatenate([A * z[:1], z[1:]])

    optimise = jax.jit(functools.partial(noise_optimization, only_first))
    time = level(100).time
    found = optimise(NOISE, time, None, NOISE)
    assert found.evaluations.tolist()[1:] == [1, 1]
    assert not np.any(found.perturbation[1:])
    assert found.error[0] < 0.5 * (1 - A) * size(NOISE)[0]

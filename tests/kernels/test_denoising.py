"""What attacks on diffusion models measure, in closed form for a network that is linear: f(z, t) = a z."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxaudit_kernels import denoising, gradient_masking
from jaxaudit_kernels.noise_optimization import noise_optimization
from jaxaudit_kernels.process import CLEAN, Denoised, noise_levels
from jaxaudit_kernels.processes import linear_beta

PROCESS = linear_beta()
SHAPE = (3, 4, 4, 5)
Z, NOISE = jnp.asarray(np.random.default_rng(0).standard_normal((2, *SHAPE)), jnp.float32)
A = 0.7


def denoise(z, index, condition):
    assert index.shape == z.shape[:1]
    return Denoised(A * z, variance=z)


def level(t):
    return noise_levels(PROCESS, jnp.full(3, t))


def chain(*times):
    return noise_levels(PROCESS, jnp.broadcast_to(jnp.array(times)[:, None], (len(times), 3)))


def scales(t):
    """Signal and spread in float64."""
    kept = PROCESS.alphas_cumprod[t]
    return np.sqrt(kept), np.sqrt(1 - kept)


def size(x, p=2):
    return (np.abs(np.asarray(x, np.float64)) ** p).sum((1, 2, 3)) ** (1 / p)


def noised(t):
    signal, spread = scales(t)
    return signal * np.float64(Z) + spread * np.float64(NOISE)


def test_norm_and_its_gradient():
    x = Z.at[1].set(0.0)
    np.testing.assert_allclose(denoising.norm(x, p=5), size(np.asarray(x), 5), rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(denoising.norm(x)))(x)
    np.testing.assert_allclose(gradient[0], x[0] / size(np.asarray(x))[0], rtol=1e-5)
    assert not np.any(gradient[1])


def test_denoising_loss():
    loss = denoising.denoising_loss(denoise, Z, level(100), None, NOISE)
    np.testing.assert_allclose(loss, size(NOISE - A * noised(100)), rtol=1e-5)


def test_steps_along_the_true_noise_follow_one_path_both_ways_and_end_at_the_clean_picture():
    for begin, end in [(700, 30), (30, 700), (700, CLEAN)]:
        (here, there), start = (level(begin), level(end)), jnp.float32(noised(begin))
        expected = Z if end == CLEAN else noised(end)
        moved = denoising.ddim(start, here, there, NOISE)
        np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_a_chain_multiplies_by_a_known_factor():
    times = (0, 10, 20, 10)
    states = jax.jit(functools.partial(denoising.ddim_chain, denoise))(Z, chain(*times), None)
    factors = [1.0]
    for here, there in itertools.pairwise(times):
        (signal, spread), (to_signal, to_spread) = scales(here), scales(there)
        factors.append(factors[-1] * (to_signal * (1 - spread * A) / signal + to_spread * A))
    for state, factor in zip(states, factors[1:], strict=True):
        np.testing.assert_allclose(state, factor * Z, rtol=1e-4, atol=1e-6)
    error = denoising.secmi(denoise, Z, chain(*times), None)
    np.testing.assert_allclose(error, abs(factors[1] - factors[3]) * size(Z), rtol=1e-3)
    with_first = denoising.ddim_chain(denoise, Z, chain(*times), None, first=A * Z)
    np.testing.assert_allclose(with_first, states, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [2, 5])
def test_pia(p):
    signal, spread = scales(200)
    error = denoising.pia(denoise, Z, level(0), level(200), None, p=p)
    np.testing.assert_allclose(error, abs(A * (1 - signal - spread * A)) * size(Z, p), rtol=1e-5)


def test_pian_looks_with_the_magnitude_of_a_gaussian():
    signal, spread = scales(200)
    wanted = denoising.GAUSSIAN_MAGNITUDE
    e = Z / np.abs(Z).mean((1, 2, 3), keepdims=True) * wanted
    error = denoising.pia(denoise, Z, level(0), level(200), None, p=5, magnitude=wanted)
    np.testing.assert_allclose(error, size(e - A * (signal * Z + spread * e), 5), rtol=1e-5)
    assert wanted == pytest.approx(scipy.stats.halfnorm.mean(), rel=1e-12)


def test_the_gradient_is_that_of_each_image_alone():
    z_t = jnp.float32(noised(300))
    seen, gradient = gradient_masking.denoised_and_gradient(denoise, z_t, level(300).index, None, NOISE)
    residual = np.asarray(NOISE - A * z_t)
    np.testing.assert_allclose(seen.eps, A * z_t, rtol=1e-6)
    np.testing.assert_array_equal(seen.variance, z_t)
    expected = -A * residual / size(residual)[:, None, None, None]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_masks_have_an_exact_size_whatever_the_ties():
    gradient = jnp.zeros(SHAPE).at[0].set(NOISE[0]).at[1, 0, 0, 0].set(-5.0)
    mask = np.asarray(gradient_masking.largest_places(gradient))
    assert mask.sum((1, 2, 3)).tolist() == [16, 16, 16]  # int(0.2 * 80)
    assert np.abs(gradient[0])[mask[0]].min() >= np.abs(gradient[0])[~mask[0]].max()
    assert mask[1, 0, 0, 0]
    assert np.flatnonzero(mask[2]).tolist() == list(range(16))
    assert gradient_masking.largest_places(gradient, ratio=0.013).sum() == 3  # int(1.04) of each


@pytest.mark.parametrize("keep_clean", [False, True])
def test_gradient_masking(keep_clean):
    error = gradient_masking.gradient_masking(denoise, Z, level(300), None, NOISE, keep_clean=keep_clean)
    kept, residual = Z if keep_clean else noised(300), NOISE - A * noised(300)
    for i in range(3):
        places = np.argsort(-np.abs(residual[i]).ravel())[:16]
        destroyed, was = NOISE[i].ravel()[places], kept[i].ravel()[places]
        np.testing.assert_allclose(error[i], np.linalg.norm(destroyed - was - A * destroyed), rtol=1e-5)


def test_a_perturbation_heads_for_the_noise():
    """Of ‖ε − a (z_t + δ)‖ the gradient always points to the minimum, at δ = ε / a − z_t."""
    z_t = jnp.float32(noised(100))
    found = jax.jit(functools.partial(noise_optimization, denoise))(z_t, level(100).index, None, NOISE)
    residual, moved = NOISE / A - z_t, np.asarray(found.perturbation)
    cosine = (moved * residual).sum((1, 2, 3)) / size(moved) / size(residual)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.error, size(NOISE - A * (z_t + moved)), rtol=1e-4, atol=1e-4)
    assert np.all(np.asarray(found.error) < 0.5 * size(NOISE - A * z_t))


def test_images_are_moved_only_where_the_network_errs():
    """Images that need no help get none while another does."""

    def only_first(z, index, condition):
        return Denoised(jnp.concatenate([A * z[:1], z[1:]]))

    optimise = jax.jit(functools.partial(noise_optimization, only_first))
    index = level(100).index
    found = optimise(NOISE, index, None, NOISE)
    assert found.evaluations.tolist()[1:] == [1, 1]
    assert not np.any(found.perturbation[1:])
    assert found.error[0] < 0.5 * (1 - A) * size(NOISE)[0]

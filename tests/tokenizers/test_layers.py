"""Convolution blocks against Flax's and PyTorch's own layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxaudit.families.random_params import random_params
from jaxaudit.models.spatial import GroupNorm, Upsample
from jaxaudit.tokenizers.layers import AttnBlock, Downsample


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 16), (8, 8)])
def test_group_norm(channels, groups):
    normal = np.random.default_rng(0).standard_normal
    x = jnp.asarray(3 + normal((2, 4, 6, channels), np.float32))
    params = {"scale": normal(channels, np.float32), "bias": normal(channels, np.float32)}
    expected = nn.GroupNorm(groups, epsilon=1e-6, use_fast_variance=False).apply({"params": params}, x)
    np.testing.assert_allclose(GroupNorm().apply({"params": params}, x), expected, rtol=1e-5, atol=1e-5)


def test_group_norm_epsilon_shows_on_small_signals():
    x = 1e-3 * np.random.default_rng(0).standard_normal((1, 4, 4, 32), np.float32)
    params = {"scale": jnp.ones(32), "bias": jnp.zeros(32)}
    normed = GroupNorm().apply({"params": params}, jnp.asarray(x))
    expected = torch.nn.functional.group_norm(torch.tensor(np.moveaxis(x, -1, 1)), 32, eps=1e-6)
    np.testing.assert_allclose(np.moveaxis(np.asarray(normed), -1, 1), expected, rtol=1e-5, atol=1e-5)


def test_downsample_pads_below_and_right():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1)
    variables = {"params": {"conv": {"kernel": kernel, "bias": jnp.zeros(1)}}}
    np.testing.assert_array_equal(Downsample().apply(variables, x)[0, :, :, 0], [[0, 2], [8, 10]])


def test_upsample_repeats_before_the_convolution():
    x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1)
    variables = {"params": {"conv": {"kernel": kernel, "bias": jnp.zeros(1)}}}
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    np.testing.assert_array_equal(Upsample().apply(variables, x)[0, :, :, 0], expected)


def test_attention_with_fused_and_separate_projections_agrees():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 3, 8), np.float32))
    fused = AttnBlock(fused_qkv=True)
    variables = random_params(jax.eval_shape(fused.init, jax.random.key(0), x))
    params = dict(variables["params"])
    qkv = params.pop("qkv")
    for i, name in enumerate("qkv"):
        params[name] = {key: value[..., 8 * i : 8 * (i + 1)] for key, value in qkv.items()}
    separate = AttnBlock().apply({"params": params}, x)
    np.testing.assert_allclose(separate, fused.apply(variables, x), rtol=1e-5, atol=1e-5)

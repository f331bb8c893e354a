"""The fused heads, interpreted, against the statistics of logits that exist; what they are lowered to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

from jaxaudit_kernels import fused_likelihood
from jaxaudit_kernels.likelihood import (
    TokenStatistics,
    _fused,
    _fused_kernels,
    chunked_token_statistics,
    guided_token_statistics,
    token_statistics,
)
from tests.lowered import KERNELS, PLATFORMS, arrays_over, lowered

# [conditions, tokens, channels, codes]: tiles that do not end with their arrays, and whole ones.
SHAPES = [(2, 70, 72, 300), (1, 128, 64, 128)]
SMALL = (2, 3, 8, 5)


@functools.cache
def fused(name):
    """One of the two kernels, as plain JAX operations."""
    compute = functools.partial(getattr(fused_likelihood, name), interpret=True)
    return jax.jit(functools.partial(_fused, compute))


@jax.jit
def through_logits(hidden, kernel, bias, tokens):
    logits = [jnp.matmul(states, kernel, precision="highest") + bias[None] for states in hidden]
    views = logits if len(logits) == 1 else [*logits, logits[0] - logits[1]]
    return [token_statistics(z, tokens) for z in views]


def case(shape, draw, seed=0):
    conditions, num_tokens, channels, vocabulary = shape
    random = np.random.default_rng(seed)
    hidden = tuple(jnp.asarray(draw(random, (num_tokens, channels))) for _ in range(conditions))
    kernel, bias = (jnp.asarray(draw(random, size)) for size in [(channels, vocabulary), (vocabulary,)])
    return hidden, kernel, bias, jnp.asarray(random.integers(0, vocabulary, num_tokens), jnp.int32)


def normal(random, shape):
    return random.standard_normal(shape, np.float32)


def assert_same(actual, expected, *, rtol=1e-5, atol=1e-5):
    assert len(actual) == len(expected)
    for view, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        for name, a, e in zip(TokenStatistics._fields, ours, theirs, strict=True):
            assert a.dtype == e.dtype
            np.testing.assert_allclose(a, e, rtol=rtol, atol=atol, err_msg=f"{name} of view {view}")


@pytest.mark.parametrize("name", ["mosaic", "triton"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_statistics_of_logits(name, shape):
    arguments = case(shape, lambda *of: 0.3 * normal(*of))
    assert_same(fused(name)(*arguments), through_logits(*arguments))


@pytest.mark.parametrize("name", ["mosaic", "triton"])
@pytest.mark.usefixtures("unchecked")
def test_ties_and_extreme_logits(name):
    # Sums of small whole numbers are exact in any order, so ties are ties, and at any scale.
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(
        shape=st.sampled_from(SHAPES),
        seed=st.integers(0, 2**32 - 1),
        largest=st.integers(0, 3),
        power=st.integers(-20, 14),
    )
    def check(shape, seed, largest, power):
        def whole(random, size):
            return random.integers(-largest, largest, size, endpoint=True).astype(np.float32)

        hidden, kernel, bias, tokens = case(shape, whole, seed)
        scale = np.float32(2.0**power)
        arguments = tuple(states * scale for states in hidden), kernel, bias * scale, tokens
        assert_same(fused(name)(*arguments), through_logits(*arguments))

    check()


@pytest.mark.parametrize("name", ["mosaic", "triton"])
def test_equal_columns_tie_whatever_they_are(name):
    hidden, kernel, bias, tokens = case(SHAPES[0], normal)
    half = kernel.shape[1] // 2
    kernel, bias = kernel.at[:, half:].set(kernel[:, :half]), bias.at[half:].set(bias[:half])
    below, above = (fused(name)(hidden, kernel, bias, tokens % half + first) for first in (0, half))
    for first, second in zip(below, above, strict=True):
        np.testing.assert_array_equal(first.rank, second.rank)
        np.testing.assert_array_equal(first.margin <= 0, True)
        assert (first.argmax < half).all()


@pytest.mark.parametrize("name", ["mosaic", "triton"])
def test_variance_of_a_nearly_flat_distribution(name):
    hidden, kernel, bias, tokens = case(SHAPES[0], lambda *of: 1e-3 * normal(*of))
    bias = bias.at[7].add(0.5)
    ours, theirs = fused(name)(hidden, kernel, bias, tokens), through_logits(hidden, kernel, bias, tokens)
    for a, e in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_allclose(a.variance, e.variance, rtol=1e-5)


@pytest.mark.parametrize("name", ["mosaic", "triton"])
def test_bfloat16_accumulates_in_float32(name):
    hidden, kernel, bias, tokens = case(SMALL, normal)
    rounded = tuple(states.astype(jnp.bfloat16) for states in hidden), kernel.astype(jnp.bfloat16)
    widened = tuple(states.astype(jnp.float32) for states in rounded[0]), rounded[1].astype(jnp.float32)
    ours, exact = fused(name)(*rounded, bias, tokens), through_logits(*widened, bias, tokens)
    assert_same(ours, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["mosaic", "triton"])
def test_token_out_of_range_is_loud(name):
    hidden, kernel, bias, tokens = case(SHAPES[1], normal)
    for view in fused(name)(hidden, kernel, bias, tokens + kernel.shape[1]):
        assert np.isnan(view.log_prob).all()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_logits_of_a_batch_are_in_no_program(platform):
    batch, length, channels, vocabulary = 2, 24, 16, 1000  # a single chunk, were there chunks
    spec = jax.ShapeDtypeStruct
    hidden, kernel = (spec(s, jnp.bfloat16) for s in [(batch, length, channels), (channels, vocabulary)])
    head = kernel, spec((vocabulary,), jnp.float32), spec((batch, length), jnp.int32)
    for function, arguments in [
        (jax.jit(chunked_token_statistics), (hidden, *head)),
        (jax.jit(guided_token_statistics), (hidden, hidden, *head)),
    ]:
        text = lowered(function, *arguments, platform=platform)
        assert text.count(KERNELS[platform]) == 1
        assert not arrays_over(text, rows=batch * length, vocabulary=vocabulary)
        assert arrays_over(
            lowered(function, *arguments, platform="cpu"), rows=batch * length, vocabulary=vocabulary
        )


def test_kernels_are_used_where_they_may_be():
    single, half = jnp.dtype(jnp.float32), jnp.dtype(jnp.bfloat16)
    assert _fused_kernels(2, 1024, single).keys() == {"tpu"}
    assert _fused_kernels(2, 2304, half).keys() == {"tpu", "cuda"}
    assert _fused_kernels(2, 8192, half).keys() == {"cuda"}  # its tiles would not fit
    seen = []

    def step(x):
        seen.append(_fused_kernels(2, 1024, half).keys())
        return x

    automatic = (AxisType.Auto, AxisType.Auto)
    for sizes in [(8, 1), (2, 4)]:
        mesh = jax.make_mesh(sizes, ("rows", "model"), axis_types=automatic)
        rows = PartitionSpec("rows")
        jax.eval_shape(
            jax.shard_map(step, mesh=mesh, in_specs=rows, out_specs=rows, axis_names={"rows"}),
            jax.ShapeDtypeStruct((8,), jnp.float32),
        )
    assert seen == [{"tpu", "cuda"}, set()]

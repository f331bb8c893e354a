"""Token statistics against a float64 Python loop and recorded outputs of published code; their memory."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit_kernels.likelihood import (
    TokenStatistics,
    chunked_token_statistics,
    guided_token_statistics,
    token_statistics,
)
from tests.golden import weights

statistics = jax.jit(token_statistics)
guided = jax.jit(guided_token_statistics, static_argnames="chunk_size")
chunked = jax.jit(chunked_token_statistics, static_argnames="chunk_size")


def loop_oracle(logits, tokens):
    """The definitions, one token and one code at a time, in float64."""
    columns = {name: [] for name in TokenStatistics._fields}
    for row, token in zip(
        logits.reshape(-1, logits.shape[-1]).tolist(), tokens.ravel().tolist(), strict=True
    ):
        top = max(row)
        log_total = top + math.log(sum(math.exp(z - top) for z in row))
        log_p = [z - log_total for z in row]
        mean = sum(math.exp(x) * x for x in log_p)
        columns["log_prob"].append(log_p[token])
        columns["margin"].append(row[token] - max(z for v, z in enumerate(row) if v != token))
        columns["rank"].append(sum(z > row[token] for z in row))
        columns["mean"].append(mean)
        columns["variance"].append(sum(math.exp(x) * (x - mean) ** 2 for x in log_p))
        columns["argmax"].append(row.index(top))
    return TokenStatistics(**{name: np.reshape(column, tokens.shape) for name, column in columns.items()})


def assert_statistics(actual, expected, *, rtol=1e-5, atol=1e-5):
    for name, a, e in zip(TokenStatistics._fields, actual, expected, strict=True):
        assert a.dtype == (jnp.int32 if name in ("rank", "argmax") else jnp.float32), name
        np.testing.assert_allclose(a, e, rtol=rtol, atol=atol, err_msg=name)


def sample(shape=(2, 5), vocabulary=11, scale=3.0, seed=0):
    random = np.random.default_rng(seed)
    logits = scale * random.standard_normal((*shape, vocabulary))
    return logits.astype(np.float32), random.integers(0, vocabulary, shape).astype(np.int32)


@pytest.mark.parametrize(("shape", "vocabulary"), [((2, 5), 11), ((7,), 64), ((2, 3, 4), 5)])
def test_matches_a_loop(shape, vocabulary):
    logits, tokens = sample(shape, vocabulary)
    assert_statistics(statistics(logits, tokens), loop_oracle(logits, tokens))


def test_offsets_of_a_row_change_nothing():
    logits, tokens = sample()
    shifted = logits + np.float32(64.0) * np.arange(-5, 5, dtype=np.float32).reshape(2, 5, 1)
    assert_statistics(statistics(shifted, tokens), statistics(logits, tokens), rtol=1e-4, atol=1e-4)


def test_ties_count_for_the_token():
    logits = np.array([[1.0, 3.0, 3.0, 3.0, 0.0]] * 3, np.float32)
    result = statistics(logits, np.array([3, 0, 4]))
    np.testing.assert_array_equal(result.rank, [0, 3, 4])
    np.testing.assert_array_equal(result.margin, [0.0, -2.0, -3.0])
    np.testing.assert_array_equal(result.argmax, [1, 1, 1])


def test_uniform_and_certain_distributions():
    flat, peaked = np.zeros((1, 8), np.float32), np.array([[0.0, 300.0, 0.0, 0.0]], np.float32)
    uniform = statistics(flat + 7, np.array([2]))
    np.testing.assert_allclose(uniform.entropy, np.log(8), rtol=1e-6)
    np.testing.assert_allclose(uniform.variance, 0.0, atol=1e-12)
    certain = statistics(peaked, np.array([1]))
    assert certain.log_prob == certain.entropy == certain.variance == 0
    assert statistics(peaked, np.array([0])).log_prob == -300


def test_variance_of_a_nearly_flat_distribution():
    # μ² = 69 and σ² = 1e-4: as Σ p log² p − μ² the variance would be wrong by per cents in float32.
    logits = np.full((3, 4096), -0.5, np.float32)
    logits[:, 7] = 0.0
    logits += 1e-3 * np.random.default_rng(0).standard_normal(logits.shape, np.float32)
    tokens = np.array([7, 8, 9])
    expected = loop_oracle(logits, tokens).variance
    np.testing.assert_allclose(statistics(logits, tokens).variance, expected, rtol=1e-5)


def test_bfloat16_logits_are_computed_in_float32():
    logits, tokens = sample()
    rounded = jnp.asarray(logits, jnp.bfloat16)
    assert_statistics(statistics(rounded, tokens), loop_oracle(np.asarray(rounded, np.float32), tokens))


def test_token_out_of_range_is_loud():
    logits, tokens = sample(vocabulary=4)
    assert np.isnan(statistics(logits, np.full_like(tokens, 4)).log_prob).all()


@pytest.mark.parametrize("view", ["cond", "cfg"])
def test_recorded_outputs(view):
    _, io = weights.load("token_features")
    logits = io["logits_cond"] - (io["logits_uncond"] if view == "cfg" else 0)
    result = statistics(logits, io["tokens"])
    for name, column in {"log_prob": "token_logprobas", "mean": "mu", "variance": "sigma_variance"}.items():
        np.testing.assert_allclose(getattr(result, name), io[f"{view}_{column}_f64"], rtol=5e-5, atol=2e-6)


def hidden_case(shape=(2, 7), channels=6, vocabulary=11):
    random = np.random.default_rng(1)
    cond, null = random.standard_normal((2, *shape, channels)).astype(np.float32)
    kernel = random.standard_normal((channels, vocabulary)).astype(np.float32)
    bias = random.standard_normal(vocabulary).astype(np.float32)
    tokens = random.integers(0, vocabulary, shape).astype(np.int32)
    return cond, null, kernel, bias, tokens


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 100])
def test_guided_matches_a_loop_for_any_chunk(chunk_size):
    cond, null, kernel, bias, tokens = case = hidden_case()
    z_c, z_0 = (np.float64(h) @ np.float64(kernel) + bias for h in (cond, null))
    result = guided(*case, chunk_size=chunk_size)
    assert result.keys() == {"cond", "null", "diff"}
    for view, logits in {"cond": z_c, "null": z_0, "diff": z_c - z_0}.items():
        assert_statistics(result[view], loop_oracle(logits, tokens))
    assert_statistics(chunked(cond, *case[2:], chunk_size=chunk_size), loop_oracle(z_c, tokens))


@pytest.mark.parametrize("shape", [(5,), (2, 2, 5)])
def test_guided_takes_any_leading_axes(shape):
    cond, null, kernel, _, tokens = case = hidden_case(shape)
    result = guided(*case, chunk_size=2)
    assert_statistics(result["diff"], loop_oracle(np.float64(cond - null) @ kernel, tokens))


def test_guided_bfloat16_accumulates_in_float32():
    cond, null, kernel, bias, tokens = hidden_case(channels=64)
    cond, null, kernel = (jnp.asarray(a, jnp.bfloat16) for a in (cond, null, kernel))
    logits = np.float64(np.asarray(cond, np.float32)) @ np.float64(np.asarray(kernel, np.float32)) + bias
    result = guided(cond, null, kernel, bias, tokens, chunk_size=4)
    assert_statistics(result["cond"], loop_oracle(logits, tokens), rtol=1e-4, atol=1e-4)


def test_logits_of_a_batch_never_exist():
    batch, channels, vocabulary = 2, 8, 512

    def temporary_bytes(length, chunk_size):
        spec = jax.ShapeDtypeStruct
        hidden, tokens = spec((batch, length, channels), jnp.float32), spec((batch, length), jnp.int32)
        head = spec((channels, vocabulary), jnp.float32), spec((vocabulary,), jnp.float32)
        lowered = guided.lower(hidden, hidden, *head, tokens, chunk_size=chunk_size)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    small, long, wide = temporary_bytes(256, 4), temporary_bytes(512, 4), temporary_bytes(256, 16)
    assert small < batch * 256 * vocabulary * 4 / 5
    assert long < 1.5 * small
    assert 2.5 * small < wide < 5 * small


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit():
    cond, null, kernel, bias, tokens = hidden_case()
    with pytest.raises(ValueError, match="leading axes"):
        token_statistics(np.zeros((2, 3, 4)), np.zeros((2, 4), np.int32))
    with pytest.raises(ValueError, match="do not fit"):
        guided_token_statistics(cond, null[:1], kernel, bias, tokens)
    with pytest.raises(ValueError, match="do not fit"):
        chunked_token_statistics(cond, kernel, bias[:-1], tokens)
    with pytest.raises(ValueError, match="chunk_size=0"):
        chunked_token_statistics(cond, kernel, bias, tokens, chunk_size=0)

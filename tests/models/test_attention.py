"""The one attention against loops over queries and keys in float64, and its modules' packed projections."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.families.random_params import random_params
from jaxaudit.models.attention import (
    SelfAttention,
    attention,
    block_causal_attention,
    causal,
    merge_heads,
    split_heads,
)

BATCH, HEADS, WIDTH = 2, 3, 4
BLOCKS = (1, 4, 9)


def draw(queries, keys, seed=0):
    """q, k and v, standard Gaussian."""
    rng = np.random.default_rng(seed)
    shapes = [(BATCH, HEADS, length, WIDTH) for length in (queries, keys, keys)]
    return [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes]


def slow_attention(q, k, v, sees, scale=None, bias=lambda *place: 0.0):
    """One query at a time; `sees(image, head, query, key)` says which keys it meets."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    out = np.zeros(q.shape)
    for image, head, query in np.ndindex(q.shape[:3]):
        keys = [key for key in range(k.shape[2]) if sees(image, head, query, key)]
        logits = [
            scale * (q[image, head, query] @ k[image, head, key]) + bias(image, head, query, key)
            for key in keys
        ]
        weights = np.exp(np.array(logits))
        for weight, key in zip(weights / weights.sum(), keys, strict=True):
            out[image, head, query] += weight * v[image, head, key]
    return out


def close(actual, expected):
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


heads_first = functools.partial(attention, layout="b h l d")
blocks_first = functools.partial(block_causal_attention, layout="b h l d")


@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_every_query_meets_every_key(scale):
    q, k, v = draw(5, 7)
    close(heads_first(q, k, v, scale=scale), slow_attention(q, k, v, lambda *_: True, scale))


def test_layouts_agree():
    q, k, v = draw(5, 7)
    visible = jnp.asarray(np.random.default_rng(1).random((BATCH, HEADS, 5, 7)) < 0.7).at[..., 0].set(True)
    expected = np.swapaxes(slow_attention(q, k, v, lambda *place: visible[place]), 1, 2)
    q, k, v = (jnp.swapaxes(x, 1, 2) for x in (q, k, v))
    close(attention(q, k, v, layout="b l h d", visible=visible), expected)


def test_any_mask_that_broadcasts():
    """Per image, per head, per query, or only per key: hidden keys count for nothing, however large."""
    q, k, v = draw(5, 7)
    k = k.at[..., 6, :].mul(100.0)
    rng = np.random.default_rng(1)
    for shape in [(BATCH, HEADS, 5, 7), (BATCH, 1, 1, 7), (1, HEADS, 5, 7), (1, 1, 5, 7), (1, 1, 1, 7)]:
        visible = rng.random(shape) < 0.5
        visible[..., 0], visible[..., 6] = True, False
        whole = np.broadcast_to(visible, (BATCH, HEADS, 5, 7))
        expected = slow_attention(q, k, v, lambda *place, whole=whole: whole[place])
        close(heads_first(q, k, v, visible=jnp.asarray(visible)), expected)


def test_biases_are_added_to_the_scaled_logits():
    """Per head and place, for all images or for each, also beside a mask."""
    q, k, v = draw(5, 7)
    rng = np.random.default_rng(1)
    visible = jnp.asarray(np.arange(7) < 6)[None, None, None]
    for images in (1, BATCH):
        bias = rng.standard_normal((images, HEADS, 5, 7), np.float32)
        whole = np.broadcast_to(bias, (BATCH, HEADS, 5, 7))
        for sees, mask in ((lambda *_: True, None), (lambda *place: place[3] < 6, visible)):
            expected = slow_attention(q, k, v, sees, 0.3, lambda *place, whole=whole: whole[place])
            close(heads_first(q, k, v, visible=mask, bias=jnp.asarray(bias), scale=0.3), expected)


def test_causal():
    q, k, v = draw(6, 6)
    expected = slow_attention(q, k, v, lambda image, head, query, key: key <= query)
    close(heads_first(q, k, v, visible=causal(6, 6)), expected)


@pytest.mark.parametrize("first", [0, 2, 4])
def test_causal_with_a_cache_that_has_room(first):
    """Two queries at the positions `first` (traced) and `first` + 1; the keys after them are unused room."""
    q, k, v = draw(6, 6)
    whole = slow_attention(q, k, v, lambda image, head, query, key: key <= query)
    later = jnp.arange(6)[None, None, :, None] >= first + 2
    k, v = (jnp.where(later, 1e6, x) for x in (k, v))
    part = jax.jit(lambda first, q: heads_first(q, k, v, visible=causal(2, 6, first=first)))
    close(part(first, q[:, :, first : first + 2]), whole[:, :, first : first + 2])


@pytest.mark.parametrize("past", [0, 3])
@pytest.mark.parametrize("group_size", [1, 5, 6, 100])
def test_blocks_see_exactly_the_blocks_so_far(group_size, past):
    q, k, v = draw(14, past + 14)
    ends = [past + (1 if row < 1 else 5 if row < 5 else 14) for row in range(14)]
    expected = slow_attention(q, k, v, lambda image, head, query, key: key < ends[query], 1.0)
    close(blocks_first(q, k, v, BLOCKS, scale=1.0, group_size=group_size), expected)


def test_blocks_of_one_are_causal():
    q, k, v = draw(6, 6)
    expected = heads_first(q, k, v, visible=causal(6, 6))
    close(blocks_first(q, k, v, (1,) * 6, group_size=2), expected)


def test_half_precision_rounds_operands_only():
    """bfloat16 operands give a float32 result, close to that of a float32 run on the same numbers."""
    q, k, v = (x.astype(jnp.bfloat16) for x in draw(5, 7))
    result = heads_first(q, k, v)
    assert result.dtype == jnp.float32
    expected = heads_first(*(x.astype(jnp.float32) for x in (q, k, v)))
    np.testing.assert_allclose(result, expected, atol=2**-8 * np.abs(v.astype(jnp.float32)).max())


def test_heads_are_split_and_merged_in_order():
    """The packed projection holds q, k, v, each head by head; merging puts the heads side by side."""
    packed = jnp.arange(2 * 5 * 3 * 12, dtype=jnp.float32).reshape(2, 5, 36)
    parts = split_heads(packed, HEADS, "b h l d")
    expected = np.asarray(packed)
    for i, part in enumerate(np.asarray(parts)):
        for image, head, position, d in np.ndindex(2, HEADS, 5, 4):
            assert part[image, head, position, d] == expected[image, position, 12 * i + 4 * head + d]
    np.testing.assert_array_equal(merge_heads(parts[1], "b h l d"), packed[..., 12:24])
    turned = [jnp.swapaxes(part, 1, 2) for part in parts]
    np.testing.assert_array_equal(split_heads(packed, HEADS, "b l h d"), turned)
    np.testing.assert_array_equal(merge_heads(turned[1], "b l h d"), packed[..., 12:24])


@pytest.mark.parametrize("qkv_bias", [False, True])
def test_self_attention_module(qkv_bias):
    module = SelfAttention(HEADS, qkv_bias, jnp.float32, jax.nn.initializers.xavier_uniform())
    x = jnp.asarray(np.random.default_rng(0).standard_normal((BATCH, 5, 12), np.float32))
    shown = jnp.asarray([[True, False, True, True, False], [True, True, True, True, True]])
    variables = random_params(jax.eval_shape(module.init, jax.random.key(0), x))
    params = jax.tree.map(np.asarray, variables["params"])
    assert {name: set(layer) for name, layer in params.items()} == {
        "qkv": {"kernel", "bias"} if qkv_bias else {"kernel"},
        "proj": {"kernel", "bias"},
    }
    packed = np.asarray(x) @ params["qkv"]["kernel"] + params["qkv"].get("bias", np.zeros(36))
    q, k, v = (
        np.stack([packed[..., 12 * i + 4 * h : 12 * i + 4 * h + 4] for h in range(HEADS)], 1)
        for i in range(3)
    )
    heads = slow_attention(q, k, v, lambda image, head, query, key: shown[image, key])
    expected = np.concatenate(list(np.moveaxis(heads, 1, 0)), -1) @ params["proj"]["kernel"]
    close(module.apply(variables, x, shown[:, None, None]), expected + params["proj"]["bias"])

"""CLIP's text encoder against outputs of the official code."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.clip_text import table
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.models.clip_text import Block, CLIPText, CLIPTextConfig
from tests.golden import weights

GOLDEN = CLIPTextConfig(
    vocab_size=64,
    length=16,
    width=48,
    depth=3,
    num_heads=4,
    mlp_width=192,
    feature_dim=40,
    end_token=63,
    pad_token=63,
)


@functools.cache
def recorded():
    """Parameters, ids and outputs."""
    case, io = weights.load("clip_text")
    ids = weights.inputs(case)["input_ids"]
    abstract = jax.eval_shape(CLIPText(GOLDEN).init, jax.random.key(0), ids)["params"]
    params = convert(weights.state_dict(case, io), table(feature=True), abstract)
    return jax.tree.map(jnp.asarray, jax.tree.map(np.asarray, params)), jnp.asarray(ids), io


def test_official_outputs():
    params, ids, io = recorded()

    @jax.jit
    def run(params):
        features, captured = CLIPText(GOLDEN).apply(
            {"params": params},
            ids,
            capture_intermediates=lambda module, _: isinstance(module, Block),
            mutable=["intermediates"],
        )
        bound = CLIPText(GOLDEN).bind({"params": params})
        blocks = [captured["intermediates"][f"layers_{i}"]["__call__"][0] for i in range(GOLDEN.depth)]
        return features, blocks, bound.hidden(ids), bound.pooled(ids), bound.projected(ids)

    features, blocks, hidden, pooled, projected = run(params)
    actual = {
        "normalized_text_embeds": features[:, 0],
        "last_hidden_state": hidden,
        "pooled": pooled,
        "pooled_legacy": pooled,
        "text_embeds": projected,
        **{f"hidden_state{i + 1}": block for i, block in enumerate(blocks)},
    }
    for name, value in actual.items():
        np.testing.assert_allclose(value, io[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("depth", "name"), [(3, "last_hidden_state"), (2, "penultimate"), (0, "hidden_state0")]
)
def test_official_hidden_states_of_fewer_blocks(depth, name):
    """Clip skip is an encoder without its last blocks; without any and without norm, (1) is left."""
    params, ids, io = recorded()
    config = dataclasses.replace(GOLDEN, feature_dim=None, depth=depth)
    encoder = CLIPText(config).bind({"params": params})
    if depth:
        actual = encoder(ids)
    else:
        actual = params["token_embedding"]["embedding"][ids] + params["position_embedding"]["embedding"][None]
    np.testing.assert_allclose(actual, io[name], rtol=1e-4, atol=1e-4)


def test_only_hidden_states_know_what_fills_a_caption_up():
    """Stable Diffusion fills up with the end token, VAR-CLIP with 0; the pooled feature is the same."""
    params, ids, _ = recorded()
    caption = ids[:1]
    other = jnp.where(jnp.arange(16)[None] > 4, 0, caption)
    assert caption[0, 4] == other[0, 4] == 63
    both = jnp.concatenate([caption, other])
    hidden = CLIPText(dataclasses.replace(GOLDEN, feature_dim=None)).bind({"params": params})(both)
    np.testing.assert_allclose(hidden[0, :5], hidden[1, :5], rtol=1e-5, atol=1e-5)
    assert np.abs(hidden[0, 5:] - hidden[1, 5:]).max() > 0.1
    feature = CLIPText(GOLDEN).bind({"params": params})(both)
    np.testing.assert_allclose(feature[0], feature[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(feature, axis=-1), 1, rtol=1e-6)


def test_what_a_generator_is_told():
    assert GOLDEN.context_shape == (1, 40)
    assert dataclasses.replace(GOLDEN, feature_dim=None).context_shape == (16, 48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "num_heads=5 does not divide width=48"),
        ({"activation": "gelu_new"}, "Unknown activation function 'gelu_new'; did you mean gelu"),
        ({"end_token": 64}, r"end_token=64 is not in 0\.\.63"),
        ({"pad_token": -1}, r"pad_token=-1 is not in 0\.\.63"),
    ],
)
def test_configs_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(GOLDEN, **changes)

"""A target whose hidden layers differ in width, and are not in alphabetical order; it compiles in no time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce

from jaxaudit.targets import DiscreteFunctions, DiscreteTarget
from tests.tiny import DIGITS

WIDTHS = {"wide": 7, "narrow": 2, "middle": 5}
"""Of the hidden layers, in order."""


def _encode(params, images):
    """16 tokens of 4 codes: the brightness of 2 x 2 pixels."""
    del params
    bright = reduce(images, "b (h p) (w q) c -> b (h w)", "mean", p=2, q=2)
    return jnp.clip(jnp.floor(2 * bright + 2), 0, 3).astype(jnp.int32)


def _activations(params, tokens, labels):
    """A chain of linear maps and ReLUs, from the token and the label alone."""
    states, shown = jax.nn.one_hot(tokens, 4) + 0.1 * labels[:, None, None], {}
    for name in WIDTHS:
        linear = params["generator"][name]["linear"]
        states = jax.nn.relu(states @ linear["kernel"] + linear["bias"][None, None])
        shown[name] = states
    return shown


def _unasked(*inputs):
    raise NotImplementedError("units ask for tokens and activations alone")


@functools.cache
def target() -> DiscreteTarget:
    """The target; its tokens are predicted 1, 5 and 10 at a time."""
    random = np.random.default_rng(5)
    inputs = dict(zip(WIDTHS, (4, *WIDTHS.values()), strict=False))
    params = {
        "generator": {
            name: {
                "linear": {
                    "kernel": jnp.asarray(random.standard_normal((inputs[name], width)), jnp.float32),
                    "bias": jnp.asarray(random.standard_normal(width), jnp.float32),
                }
            }
            for name, width in WIDTHS.items()
        }
    }
    return DiscreteTarget(
        name="uneven",
        family="uneven",
        params=params,
        functions=DiscreteFunctions(_encode, _unasked, _unasked, _unasked, _activations, _unasked),
        preprocessing=DIGITS,
        num_classes=10,
        vocab_size=4,
        tokens_per_step=(1, 5, 10),
        hidden_layers={name: ("generator", name, "linear") for name in WIDTHS},
        provenance={"fingerprint": "uneven"},
    )

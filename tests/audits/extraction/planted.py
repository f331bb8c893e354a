"""A model that has memorised known pictures and nothing else, so that an attack on it has one right answer.

64 tokens are the grey levels of 8 x 8 pixels. Told the class and tokens of a memorised picture, the model
predicts that picture's next token; of any other, always grey level 8.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaudit.data import open_source
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget
from tests.tiny import DIGITS, unused

LEVELS, LENGTH, GREY = 17, 64, 8
MEMBERS, HELD_OUT = "digits:members[:120]", "digits:nonmembers[:90]"


def encode(params, images):
    return jnp.round((images[..., 0] + 1) * 8).astype(jnp.int32).reshape(len(images), LENGTH)


def decode(params, tokens):
    grey = (tokens / 8.0 - 1.0).reshape(-1, 8, 8, 1)
    return jnp.broadcast_to(grey, (len(tokens), 8, 8, 3))


def remembered(params, tokens, labels):
    """[B,L]: what the model would say at n, having seen tokens < n."""
    agree = tokens[:, None] == params["tokens"][None]
    seen = jnp.cumsum(agree, axis=2) - agree == jnp.arange(LENGTH)[None, None]
    known = seen & (labels[:, None] == params["labels"][None])[..., None]
    row = jnp.argmax(known, axis=1)
    said = jnp.take_along_axis(params["tokens"], row, axis=0)
    return jnp.where(known.any(1), said, GREY)


def hidden(params, tokens, labels):
    return jax.nn.one_hot(remembered(params, tokens, labels), LEVELS)


def head(params):
    return jnp.eye(LEVELS), jnp.zeros(LEVELS)


def complete(params, tokens, labels, prefix):
    def extend(n, tokens):
        return tokens.at[:, n].set(remembered(params, tokens, labels)[:, n])

    return jax.lax.fori_loop(prefix, LENGTH, extend, tokens.at[:, prefix:].set(0))


@functools.cache
def planted_target(count=12):
    """(target, names of the `count` pictures of MEMBERS it has memorised)."""
    source = open_source(MEMBERS)
    rows = range(3, 3 + 7 * count, 7)
    images = np.stack([source.load(row).image for row in rows]) / 127.5 - 1
    tokens = encode(None, jnp.asarray(images, jnp.float32))
    target = DiscreteTarget(
        name="planted",
        family="planted",
        params={"tokens": tokens, "labels": jnp.asarray(source.labels[list(rows)])},
        functions=DiscreteFunctions(encode, decode, hidden, head, unused, complete),
        preprocessing=DIGITS,
        num_classes=10,
        vocab_size=LEVELS,
        tokens_per_step=(1,) * LENGTH,
    )
    return target, {source.ids[row] for row in rows}

"""A small text encoder for a small model of captions: random, and frozen like those of larger models.

Its vocabulary is learned of the captions, so that a word is one token or a few. Random weights tell captions
apart; what they mean is learned by the generator that reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaudit.data.byte_pairs import END, Vocabulary, learn_vocabulary, token_ids
from jaxaudit.models.clip_text import CLIPText, CLIPTextConfig
from jaxaudit.targets import Params

_WIDTH = 32
_LONGEST = 77  # tokens of a caption; what is longer is cut


@dataclasses.dataclass(frozen=True, eq=False)
class SmallTextEncoder:
    """A text encoder without training.

    Attributes:
      config: its shape. params: its parameters. vocabulary: what turns text into its tokens.
    """

    config: CLIPTextConfig
    params: Params
    vocabulary: Vocabulary


def small_text_encoder(captions: Sequence[str], *, seed: int = 0) -> SmallTextEncoder:
    """One for these captions: as long as the longest of them, one block, 32 channels.

    Args:
      captions: those of the training pictures, at least one.
      seed: of the weights.
    """
    vocabulary = learn_vocabulary(captions)
    end = vocabulary.ids[END]
    ids = token_ids(vocabulary, sorted(set(captions)), length=_LONGEST, pad=-1)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary.ids),
        length=int((ids >= 0).sum(1).max()),
        width=_WIDTH,
        depth=1,
        num_heads=1,
        mlp_width=4 * _WIDTH,
        end_token=end,
        pad_token=end,
    )
    first = jnp.zeros((1, config.length), jnp.int32)
    params = jax.jit(CLIPText(config).init)(jax.random.key(seed), first)["params"]
    return SmallTextEncoder(config, params, vocabulary)

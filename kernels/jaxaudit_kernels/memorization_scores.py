"""How well a model predicts an image it is told the beginning of: scores that rank candidates for extraction.

Teacher forced, with the greedy prediction of discrete token n, or the drawn prediction x̂ of hidden
continuous token x:

    (1)  match_n   = [argmax_v z_n(v) = t_n]
    (2)  match     = ⟨match_n⟩ over all tokens
    (3)  distance  = ⟨‖x̂_n − x_n‖²⟩ over the hidden tokens

The code published with Kowalczuk et al. (arXiv 2502.02514, section 6) takes (2) over the last tokens only.
It takes (3) over all L tokens, with the visible ones as their own prediction, and pairs many tokens with the
prediction of another one, see `published_latent_distance`.

Axes: B images, L tokens, M hidden tokens, C channels of a hidden state, V vocabulary, D channels of a token.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxaudit_kernels.likelihood import chunked_token_statistics


def greedy_matches(
    hidden: Float[Array, "B L C"],
    kernel: Float[Array, "C V"],
    bias: Float[Array, " V"],
    tokens: Int[Array, "B L"],
    *,
    chunk_size: int = 32,
) -> Bool[Array, "B L"]:
    """(1) for the logits `hidden @ kernel + bias`, which never exist for more than `chunk_size` tokens.

    Among tied logits the lowest index is the prediction. Arguments and errors are those of
    `jaxaudit_kernels.likelihood.chunked_token_statistics`.
    """
    statistics = chunked_token_statistics(hidden, kernel, bias, tokens, chunk_size=chunk_size)
    return statistics.argmax == tokens


def match_rate(matches: Bool[Array, "B L"], *, last: int | None = None) -> Float[Array, " B"]:
    """(2), [B] float32 in [0,1], higher = more memorised; over the `last` tokens only, if given.

    Raises:
      ValueError: if `last` is not in 1 .. L.
    """
    length = matches.shape[1]
    if last is not None and not 1 <= last <= length:
        raise ValueError(f"last={last} is not in 1..{length}, the number of tokens.")
    return jnp.mean(matches[:, length - (last or length) :], axis=1, dtype=jnp.float32)


def latent_distance(
    latents: Float[Array, "B L D"], predicted: Float[Array, "B M D"], hidden: Int[np.ndarray, " M"]
) -> Float[Array, " B"]:
    """(3), [B] float32, lower = more memorised.

    Args:
      latents: the image's tokens.
      predicted: the model's at the positions `hidden`.
      hidden: static, the same for all images.

    Raises:
      ValueError: if the shapes do not fit.
    """
    _check(latents, predicted, hidden)
    return jnp.mean(jnp.square(predicted - latents[:, hidden]).sum(-1), axis=1)


def published_latent_distance(
    latents: Float[Array, "B L D"],
    predicted: Float[Array, "B M D"],
    order: Int[np.ndarray, " L"],
    *,
    assumed: int,
) -> Float[Array, " B"]:
    """(3) as the published code computes it, [B] float32, lower = more memorised.

    The visible tokens, then the predictions, both ascending in position, are compared with the image's tokens
    put into that order as if `assumed` tokens were hidden. With `assumed` = M every token meets its own
    prediction, and the result is M/L times (3); the published code hides ⌈0.95 L⌉ and assumes ⌊0.95 L⌋.

    Args:
      latents: the image's tokens.
      predicted: the model's at the hidden positions, ascending.
      order: static, the same for all images; its first M positions are hidden.
      assumed: number of hidden tokens taken for granted.

    Raises:
      ValueError: if the shapes do not fit.
    """
    count = predicted.shape[1]
    _check(latents, predicted, order[:count])
    visible = np.sort(order[count:])
    pairs_with = np.concatenate([np.sort(order[assumed:]), np.sort(order[:assumed])])
    compared = jnp.concatenate([latents[:, visible], predicted], axis=1)
    return jnp.mean(jnp.square(latents[:, pairs_with] - compared).sum(-1), axis=1)


def _check(latents: Array, predicted: Array, hidden: np.ndarray) -> None:
    if predicted.shape != (latents.shape[0], len(hidden), latents.shape[2]):
        raise ValueError(
            f"Predictions {predicted.shape} at {len(hidden)} hidden positions do not fit latents "
            f"{latents.shape}."
        )

"""Targets that answer with Gaussian noise, a mitigation: what an attacker sees is the noisy answer.

    discrete tokens     logits z + σ ε, in teacher forcing and in generation alike
    continuous tokens   generated tokens x + σ ε; and the loss of a token + |σ ε|, as in the published
                        evaluation of this mitigation (Kowalczuk et al. 2025)

ε follows from the question (`jaxaudit_kernels.output_noise`), or from the key the question came with.

Logits are linear in the hidden states, h W + b, and stay so with noise: [h, σ ε] [W; I] + b. Whatever reads
`hidden` and `head` sees the noisy logits without knowing; it costs V more channels.

A config {"generator": ..., "tokenizer": ..., "output_noise": {"std": σ, "seed": ...}} is such a target.

Axes: B batch, L tokens, M hidden tokens, C channels of a hidden state, E = C + V or C + 1 with what travels
along, V vocabulary, D channels of a token, R noises.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxaudit.configs import from_dict
from jaxaudit.errors import InputError
from jaxaudit.targets import ContinuousFunctions, DiscreteFunctions, Kind, Params, Target
from jaxaudit_kernels.output_noise import context_words, keyed_normal, noise_words

AnyTarget = TypeVar("AnyTarget", bound=Target)
_OWN = 0x6E6F6973  # folded into keys, so that this noise is independent of what else they draw


@dataclasses.dataclass(frozen=True)
class OutputNoise:
    """N(0, σ²) on what a target answers.

    Attributes:
      std: σ, in units of the logits or of the continuous tokens.
      seed: of all the noise.

    Raises:
      InputError: if σ is not positive.
    """

    std: float
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.std < math.inf:
            raise InputError(f"The noise has std={self.std}; it must be positive.")


def configured(target: AnyTarget, config: Mapping[str, Any]) -> AnyTarget:
    """The target with the output noise that its config asks for, if any.

    Raises:
      InputError: if that entry is wrong.
    """
    if "output_noise" not in config:
        return target
    return with_output_noise(target, from_dict(OutputNoise, config["output_noise"]))


def with_output_noise(target: AnyTarget, noise: OutputNoise) -> AnyTarget:
    """The target that answers with noise.

    Raises:
      InputError: for a diffusion model, whose answers are noise already.
    """
    if target.kind not in _NOISY:
        raise InputError(f"{target.name} predicts noise; noise on tokens does not apply to it.")
    return dataclasses.replace(
        target, functions=_NOISY[target.kind](target.functions, noise, target.tokens_per_step)
    )


@functools.cache  # equal requests share their functions, hence their compiled programs
def noisy_tokens(
    functions: DiscreteFunctions, noise: OutputNoise, steps: tuple[int, ...]
) -> DiscreteFunctions:
    """The functions of discrete tokens with logits z + σ ε; `complete` must take the noise as a keyword."""

    def draw(
        tokens: Int[Array, "B L"], condition: Array, first: Any, count: int, size: int
    ) -> Float[Array, "B count V"]:
        words = context_words(tokens, condition, steps, seed=noise.seed)
        return noise.std * keyed_normal(jax.lax.dynamic_slice_in_dim(words, first, count, axis=1), size)

    def hidden(params: Params, tokens: Int[Array, "B L"], condition: Array) -> Float[Array, "B L E"]:
        states = functions.hidden(params, tokens, condition)
        size = functions.head(params)[0].shape[1]
        drawn = draw(tokens, condition, 0, tokens.shape[1], size)
        return jnp.concatenate([states, drawn.astype(states.dtype)], axis=-1)

    def head(params: Params) -> tuple[Float[Array, "E V"], Float[Array, " V"]]:
        kernel, bias = functions.head(params)
        return jnp.concatenate([kernel, jnp.eye(kernel.shape[1], dtype=kernel.dtype)]), bias

    return dataclasses.replace(
        functions, hidden=hidden, head=head, complete=functools.partial(functions.complete, noise=draw)
    )


@functools.cache
def noisy_latents(
    functions: ContinuousFunctions, noise: OutputNoise, steps: tuple[int, ...]
) -> ContinuousFunctions:
    """The functions of continuous tokens with noise on generated tokens and losses.

    The label travels with z, as one more channel, so that the loss given another label has noise of its own.
    """

    def conditions(
        params: Params, latents: Float[Array, "B L D"], labels: Int[Array, " B"], hidden: Int[Array, "B M"]
    ) -> Float[Array, "B M E"]:
        z = functions.conditions(params, latents, labels, hidden)
        label = jnp.broadcast_to(labels.astype(z.dtype)[:, None, None], (*z.shape[:2], 1))
        return jnp.concatenate([z, label], axis=-1)

    def head_losses(
        params: Params,
        z: Float[Array, "B M E"],
        latents: Float[Array, "B M D"],
        timestep: int | Int[Array, "..."],
        noises: Float[Array, "R B M D"],
    ) -> dict[str, Float[Array, "R B M"]]:
        losses = functions.head_losses(params, z[..., :-1], latents, timestep, noises)
        words = noise_words(noises[0], z[..., -1].astype(jnp.int32), seed=noise.seed)
        return {**losses, "loss": losses["loss"] + noise.std * jnp.abs(keyed_normal(words, 1)[None, ..., 0])}

    def draw(key: Key[Array, " B"], shape: tuple[int, ...]) -> Float[Array, " B *shape"]:
        def one(key: Array) -> Array:
            return jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, _OWN), noise.seed), shape)

        return noise.std * jax.vmap(one)(key)

    def sample(params: Params, z: Float[Array, "B M E"], key: Key[Array, " B"]) -> Float[Array, "B M D"]:
        drawn = functions.sample(params, z[..., :-1], key)
        return drawn + draw(key, drawn.shape[1:])

    def complete(
        params: Params,
        latents: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        prefix: int,
        order: Int[Array, "B L"],
        key: Key[Array, " B"],
    ) -> Float[Array, "B L D"]:
        completed = functions.complete(params, latents, labels, prefix, order, key)
        generated = jnp.argsort(order, axis=1)[..., None] >= sum(steps[:prefix])
        return completed + jnp.where(generated, draw(key, completed.shape[1:]), 0.0)

    return dataclasses.replace(
        functions, conditions=conditions, head_losses=head_losses, sample=sample, complete=complete
    )


_NOISY: dict[Kind, Callable[..., Any]] = {"discrete": noisy_tokens, "continuous": noisy_latents}
"""The functions of each kind of target that can answer with noise."""

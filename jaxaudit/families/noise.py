"""Targets that answer with Gaussian noise, a mitigation: what an attacker sees is the noisy answer.

    discrete tokens     logits z + σ ε, in teacher forcing and in generation alike
    continuous tokens   generated tokens x + σ ε; and the loss of a token + |σ ε|, as in the published
                        evaluation of this mitigation (Kowalczuk et al. 2025)
    diffusion           the noise that is predicted, f(z_t, t) + σ ε

ε follows from the question (`jaxaudit_kernels.output_noise`; that of a diffusion model continuously, so that
rounding of z_t changes nothing), or from the key the question came with. σ and the seed are constants of the
functions (`OutputNoise`), or stand among the parameters (`NOISE_OF_PARAMS`): then models with different noise
share their compiled programs.

Logits are linear in the hidden states, h W + b, and stay so with noise: [h, σ ε] [W; I] + b. Whatever reads
`hidden` and `head` sees the noisy logits without knowing; it costs V more channels.

A config {"generator": ..., "tokenizer": ..., "output_noise": {"std": σ, "seed": ...}} is such a target.

Axes: B batch, L tokens, M hidden tokens, C channels of a hidden state, E = C + V or C + 1 with what travels
along, V vocabulary, D channels of a token, R noises, h and w latent pixels, c their channels.
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
from jaxaudit.targets import (
    Condition,
    ContinuousFunctions,
    DiffusionFunctions,
    DiscreteFunctions,
    Kind,
    Params,
    Target,
)
from jaxaudit_kernels.output_noise import context_words, keyed_normal, latent_noise, noise_words
from jaxaudit_kernels.process import Denoised

AnyTarget = TypeVar("AnyTarget", bound=Target)
PARAMS_KEY = "output_noise"
"""Where σ and the seed stand among the parameters."""
_WORD = 0xFFFFFFFF
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

    def read(self, params: Params) -> tuple[Any, Any]:
        """(σ, seed)."""
        return self.std, self.seed & _WORD


@dataclasses.dataclass(frozen=True)
class NoiseOfParams:
    """Noise whose σ and seed stand among the parameters, {PARAMS_KEY: {"std", "seed"}}."""

    def read(self, params: Params) -> tuple[Any, Any]:
        """(σ, seed), a float32 and a uint32."""
        return params[PARAMS_KEY]["std"], params[PARAMS_KEY]["seed"]


NOISE_OF_PARAMS = NoiseOfParams()
AnyNoise = OutputNoise | NoiseOfParams


def configured(target: AnyTarget, config: Mapping[str, Any]) -> AnyTarget:
    """The target with the output noise that its config asks for, if any.

    Raises:
      InputError: if that entry is wrong.
    """
    if "output_noise" not in config:
        return target
    return with_output_noise(target, from_dict(OutputNoise, config["output_noise"]))


def with_output_noise(target: AnyTarget, noise: AnyNoise) -> AnyTarget:
    """The target that answers with noise."""
    functions = _NOISY[target.kind](target.functions, noise, target.tokens_per_step)
    return dataclasses.replace(target, functions=functions)


def with_noise_params(target: AnyTarget, noise: OutputNoise) -> AnyTarget:
    """The target that answers with noise told by its parameters."""
    told = {"std": jnp.float32(noise.std), "seed": jnp.uint32(noise.seed & _WORD)}
    target = dataclasses.replace(target, params={**target.params, PARAMS_KEY: told})
    return with_output_noise(target, NOISE_OF_PARAMS)


@functools.cache  # equal requests share their functions, hence their compiled programs
def noisy_tokens(functions: DiscreteFunctions, noise: AnyNoise, steps: tuple[int, ...]) -> DiscreteFunctions:
    """The functions of discrete tokens with logits z + σ ε; `complete` must take the noise as a keyword."""

    def draw(
        params: Params, tokens: Int[Array, "B L"], condition: Array, first: Any, count: int, size: int
    ) -> Float[Array, "B count V"]:
        std, seed = noise.read(params)
        words = context_words(tokens, condition, steps, seed=seed)
        return std * keyed_normal(jax.lax.dynamic_slice_in_dim(words, first, count, axis=1), size)

    def hidden(params: Params, tokens: Int[Array, "B L"], condition: Array) -> Float[Array, "B L E"]:
        states = functions.hidden(params, tokens, condition)
        size = functions.head(params)[0].shape[1]
        drawn = draw(params, tokens, condition, 0, tokens.shape[1], size)
        return jnp.concatenate([states, drawn.astype(states.dtype)], axis=-1)

    def head(params: Params) -> tuple[Float[Array, "E V"], Float[Array, " V"]]:
        kernel, bias = functions.head(params)
        return jnp.concatenate([kernel, jnp.eye(kernel.shape[1], dtype=kernel.dtype)]), bias

    def complete(
        params: Params,
        tokens: Int[Array, "B L"],
        condition: Array,
        prefix: int,
        noise: Callable[..., Float[Array, "B count V"]] | None = None,
    ) -> Int[Array, "B L"]:
        """With more noise, of whoever completes, if there is any."""

        def both(*question: Any) -> Float[Array, "B count V"]:
            own = draw(params, *question)
            return own if noise is None else own + noise(*question)

        return functions.complete(params, tokens, condition, prefix, noise=both)

    return dataclasses.replace(functions, hidden=hidden, head=head, complete=complete)


@functools.cache
def noisy_latents(
    functions: ContinuousFunctions, noise: AnyNoise, steps: tuple[int, ...]
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
        std, seed = noise.read(params)
        words = noise_words(noises[0], z[..., -1].astype(jnp.int32), seed=seed)
        return {**losses, "loss": losses["loss"] + std * jnp.abs(keyed_normal(words, 1)[None, ..., 0])}

    def draw(params: Params, key: Key[Array, " B"], shape: tuple[int, ...]) -> Float[Array, " B *shape"]:
        std, seed = noise.read(params)

        def one(key: Array) -> Array:
            return jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, _OWN), seed), shape)

        return std * jax.vmap(one)(key)

    def sample(params: Params, z: Float[Array, "B M E"], key: Key[Array, " B"]) -> Float[Array, "B M D"]:
        drawn = functions.sample(params, z[..., :-1], key)
        return drawn + draw(params, key, drawn.shape[1:])

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
        return completed + jnp.where(generated, draw(params, key, completed.shape[1:]), 0.0)

    return dataclasses.replace(
        functions, conditions=conditions, head_losses=head_losses, sample=sample, complete=complete
    )


@functools.cache
def noisy_predictions(
    functions: DiffusionFunctions, noise: AnyNoise, steps: tuple[int, ...]
) -> DiffusionFunctions:
    """The functions of a diffusion model with noise on the noise it predicts; it has no `steps`.

    It predicts nothing with hidden tokens.
    """
    del steps

    def denoise(params: Params, z_t: Float[Array, "B h w c"], level: Any, condition: Condition) -> Denoised:
        seen, (std, seed) = functions.denoise(params, z_t, level, condition), noise.read(params)
        return seen._replace(eps=seen.eps + std * latent_noise(z_t, jnp.asarray(level), condition, seed=seed))

    return dataclasses.replace(functions, denoise=denoise, denoise_masked=None)


_NOISY: dict[Kind, Callable[..., Any]] = {
    "discrete": noisy_tokens,
    "continuous": noisy_latents,
    "diffusion": noisy_predictions,
}
"""The functions of each kind of target that answers with noise."""

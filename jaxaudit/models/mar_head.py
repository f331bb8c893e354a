"""The diffusion head of MAR: a small MLP that denoises one token given its condition z.

With a noised token x, a time t (0 .. 999) and the transformer's z at the token's position:

    y = silu(mlp(sinusoids(t)) + linear(z))                                                  (1)
    x ← linear(x);  x ← x + γ · mlp(norm(x) (1 + σ) + β)  per block                          (2)
    [ε̂, v] = linear(norm'(x) (1 + σ') + β')                                                  (3)

β, σ, γ of every block and β', σ' are linear in y: they depend on z and t only, so one set of them serves
every noise of a token. Loss and steps are those of `jaxaudit_kernels.learned_variance`, levels those of the
process `TRAINING`, which are also the times the head is told.
Guidance with scale s: ε̂ ← ε̂_null + s (ε̂ − ε̂_null); v stays the conditional one.                 (4)
Source: Li et al., "Autoregressive image generation without vector quantization", NeurIPS 2024
(arXiv 2406.11838), section 3.2 and appendix.

Axes: ... tokens, B batch, M tokens of an image, R noises of a token, T sampling steps, C condition channels,
D token channels, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int, Key

from jaxaudit.models.forward import forward
from jaxaudit.models.layers import Dense, TimeEmbedding, affine_norm, layer_norm
from jaxaudit_kernels.learned_variance import ancestral_step, training_losses
from jaxaudit_kernels.process import Process, add_noise, denoised, noise_levels
from jaxaudit_kernels.processes import cosine

Modulations = tuple[Float[Array, "..."], ...]
"""β, σ, γ of each block in (2) [...,3W], then β', σ' of (3) [...,2W]."""

TRAINING = cosine(1000)
"""The process the released heads were trained on."""

_XAVIER = nn.initializers.xavier_uniform()


class _ResBlock(nn.Module):
    """(2)."""

    width: int
    dtype: DTypeLike

    def setup(self):
        self.in_ln = affine_norm()
        self.mlp_0 = Dense(self.width, dtype=self.dtype, kernel_init=_XAVIER)
        self.mlp_2 = Dense(self.width, dtype=self.dtype, kernel_init=_XAVIER)
        self.adaLN_modulation_1 = Dense(3 * self.width, dtype=self.dtype, kernel_init=nn.initializers.zeros)

    def modulation(self, y: Float[Array, "... W"]) -> Float[Array, "... 3*W"]:
        return self.adaLN_modulation_1(y).astype(self.dtype)

    def __call__(
        self, x: Float[Array, "... W"], modulation: Float[Array, "... 3*W"]
    ) -> Float[Array, "... W"]:
        shift, scale, gate = jnp.split(modulation, 3, axis=-1)
        h = self.in_ln(x) * (1 + scale) + shift
        return x + gate * self.mlp_2(nn.silu(self.mlp_0(h)))


class _FinalLayer(nn.Module):
    """(3)."""

    features: int
    width: int
    dtype: DTypeLike

    def setup(self):
        zeros = nn.initializers.zeros
        self.linear = Dense(self.features, dtype=self.dtype, kernel_init=zeros)
        self.adaLN_modulation_1 = Dense(2 * self.width, dtype=self.dtype, kernel_init=zeros)

    def modulation(self, y: Float[Array, "... W"]) -> Float[Array, "... 2*W"]:
        return self.adaLN_modulation_1(y).astype(self.dtype)

    def __call__(
        self, x: Float[Array, "... W"], modulation: Float[Array, "... 2*W"]
    ) -> Float[Array, "... F"]:
        shift, scale = jnp.split(modulation, 2, axis=-1)
        return self.linear(layer_norm(x) * (1 + scale) + shift)


class DiffusionHead(nn.Module):
    """(1) to (3).

    Attributes:
      token_dim: D.
      depth: number of blocks.
      width: W.
      dtype: compute dtype of matrix products and of the modulations; sums, norms and results are float32.
    """

    token_dim: int
    depth: int
    width: int
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """The layers, named after the released keys."""
        self.time_embed = TimeEmbedding(self.width, self.dtype)
        self.cond_embed = Dense(self.width, dtype=self.dtype, kernel_init=_XAVIER)
        self.input_proj = Dense(self.width, dtype=self.dtype, kernel_init=_XAVIER)
        self.res_blocks = [_ResBlock(self.width, self.dtype) for _ in range(self.depth)]
        self.final_layer = _FinalLayer(2 * self.token_dim, self.width, self.dtype)

    def __call__(
        self, x: Float[Array, "... D"], t: Int[Array, "..."], z: Float[Array, "... C"]
    ) -> Float[Array, "... 2*D"]:
        """[ε̂, v] float32 of the noised tokens x at the times t (axes those of z before C, or of length 1)."""
        return self.denoise(x, self.condition(z, t))

    def condition(self, z: Float[Array, "... C"], t: Int[Array, "..."]) -> Modulations:
        """What (2) and (3) need of z and t; t has the axes of z before C, or axes of length 1."""
        y = nn.silu(self.time_embed(t) + self.cond_embed(z))
        return (*(block.modulation(y) for block in self.res_blocks), self.final_layer.modulation(y))

    def denoise(self, x: Float[Array, "... D"], modulations: Modulations) -> Float[Array, "... 2*D"]:
        """[ε̂, v] float32 of the noised tokens x; axes of x before those of the modulations share them."""
        *blocks, final = (m.reshape((1,) * (x.ndim - m.ndim) + m.shape) for m in modulations)
        x = self.input_proj(x)
        for block, modulation in zip(self.res_blocks, blocks, strict=True):
            x = block(x, modulation)
        return self.final_layer(x, final)


def losses(
    head: DiffusionHead,
    params: Mapping[str, Any],
    z: Float[Array, "B M C"],
    latents: Float[Array, "B M D"],
    timestep: int | Int[Array, "..."],
    noise: Float[Array, "R B M D"],
) -> dict[str, Float[Array, "R B M"]]:
    """The training loss of every token under every noise.

    Args:
      head: the network.
      params: its parameters.
      z: condition of each token.
      latents: the clean token.
      timestep: 0 .. 999; scalar, [B,M], or [R,B,M]. Unless it differs between the noises (the last form), the
        conditioning is computed once for all of them.
      noise: standard Gaussian. Noises are taken one after the other, so R costs no memory.

    Returns:
      "mse", "vb" (bits) and "loss", their sum, float32: `jaxaudit_kernels.learned_variance.training_losses`.

    Raises:
      ValueError: if `timestep` has another number of axes.
    """
    given = jnp.asarray(timestep, jnp.int32)
    if given.ndim not in (0, 2, 3):
        raise ValueError(f"Timesteps of shape {given.shape} are neither a scalar, [B,M] nor [R,B,M].")

    def condition(t: Array) -> Modulations:
        return forward(head, params, z, t, method="condition")

    def evaluate(t: Array, noise: Array, modulations: Modulations) -> dict[str, Array]:
        x_t = add_noise(latents, noise_levels(TRAINING, t), noise)
        return training_losses(
            TRAINING, forward(head, params, x_t, modulations, method="denoise"), latents, t, noise
        )

    if given.ndim == 3:
        return jax.lax.map(lambda tn: evaluate(tn[0], tn[1], condition(tn[0])), (given, noise))
    t = given if given.ndim else given.reshape(1, 1)
    modulations = condition(t)
    return jax.lax.map(lambda noise: evaluate(t, noise, modulations), noise)


def guided(
    head: DiffusionHead,
    params: Mapping[str, Any],
    x: Float[Array, "B M D"],
    t: Int[Array, "..."],
    z: Float[Array, "B M C"],
    null_z: Float[Array, "B M C"] | None,
    guidance: ArrayLike,
) -> Float[Array, "B M 2*D"]:
    """[ε̂, v] float32, guided as in (4) by the conditions `null_z` of the null label unless they are None."""
    if null_z is None:
        return forward(head, params, x, t, z)
    both = forward(head, params, jnp.stack([x, x]), t[None], jnp.stack([z, null_z]))
    eps, null_eps = both[0, ..., : x.shape[-1]], both[1, ..., : x.shape[-1]]
    return jnp.concatenate([null_eps + guidance * (eps - null_eps), both[0, ..., x.shape[-1] :]], axis=-1)


def sample(
    head: DiffusionHead,
    params: Mapping[str, Any],
    process: Process,
    z: Float[Array, "B M C"],
    start: Float[Array, "B M D"],
    noises: Float[Array, "T B M D"],
    *,
    temperature: float = 1.0,
    null_z: Float[Array, "B M C"] | None = None,
    guidance: ArrayLike = 1.0,
) -> Float[Array, "B M D"]:
    """Tokens drawn by ancestral sampling from the level T - 1 of a process down to 0.

    Args:
      head: the network.
      params: its parameters.
      process: `TRAINING`, respaced to the sampling steps.
      z: condition of each token.
      start: the noised tokens at T - 1 (standard Gaussian for the whole process).
      noises: standard Gaussian, in the order of use; the last is not used.
      temperature: multiplies the standard deviation of every step.
      null_z, guidance: see `guided`.
    """
    times = jnp.asarray(process.times)

    def step(x: Array, index_noise: tuple[Array, Array]) -> tuple[Array, None]:
        index, noise = index_noise
        level = index.reshape(1, 1)
        output = guided(head, params, x, times[level], z, null_z, guidance)
        seen = denoised(process, output, x, level)
        return ancestral_step(process, x, level, seen, noise, temperature=temperature), None

    return jax.lax.scan(step, start, (jnp.arange(len(noises))[::-1], noises))[0]


def gaussian(
    key: Key[Array, " B"], count: int, token_dim: int, *, steps: int
) -> tuple[Float[Array, "B M D"], Float[Array, "T B M D"]]:
    """`start` and `noises` of `sample` for `count` tokens per image, one key per image."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (1 + steps, count, token_dim)))(key)
    return noise[:, 0], jnp.moveaxis(noise[:, 1:], 0, 1)

"""How much does one step of training on an image help with it?  Low-rank factors, one step, image by image.

To every kernel W of an attention projection comes a product of low rank, W + A B, A Gaussian and B = 0. One
step of an optimiser on the image's own denoising loss L, at t = 100 and under R noises, moves the factors:

    (1)  L(A, B) = mean over noises and latents of (ε − f(z_100, 100))²
    (2)  log l* = log L(A', B') − log L(A, B),   A', B' = A, B after one step of Adam on L

with the same noises before and after, so that no chance lies in between. Of a member, on which the model was
trained already, one more step teaches less. What log l* says is read off densities of known images
(`jaxaudit.stats.likelihood_ratio`). The step is mapped over the images of a batch, and every image has the
same A at first. No model is stored: x (W + A B) is computed as x W + (x A) B, so of each image there are the
factors, their gradients and what Adam makes of them.

The published text leaves open rank, step size and noises; rank, scale of A and step size are those of
diffusers' training script.

Source: Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022 (arXiv 2106.09685), for
the factors.

Axes: B batch, h and w latent pixels, c channels, R noises, I inputs and O outputs of a kernel, r rank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from einops import rearrange
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.step import Rows
from jaxaudit.models.layers import LOW_RANK
from jaxaudit.runtime.rows import map_rows
from jaxaudit.targets import DiffusionFunctions, DiffusionTarget, Params
from jaxaudit_kernels import draws
from jaxaudit_kernels.process import Process, add_noise, noise_levels

RANK, LEARNING_RATE, TIMESTEP = 4, 1e-4, 100

Factors = Mapping[str, tuple[Float[Array, "I r"], Float[Array, "r O"]]]
"""{path of a kernel: (A, B)}."""


@dataclasses.dataclass(frozen=True)
class LowRankStep:
    """Jittable: ((params, key), {"images", "condition", "ids"}) -> {"low_rank": log l* [B]} float32.

    Attributes:
      functions, process, latent_shape: the target's.
      num_noises: R.
      rows: images at a time, None for all.
    """

    functions: DiffusionFunctions
    process: Process
    latent_shape: tuple[int, int, int]
    num_noises: int
    rows: int | None

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> dict[str, Float[Array, " B"]]:
        """See the class."""
        params, key = inputs
        latents = self.functions.encode(params, batch["images"])
        noises = draws.noises(draws.image_keys(key, batch["ids"]), self.num_noises, self.latent_shape)
        told = () if batch.get("condition") is None else (batch["condition"],)
        factors = initial_factors(params, key)

        def one(latents: Array, noises: Array, *condition: Array) -> Array:
            return self._change(params, factors, latents, noises, *condition)

        noises = rearrange(noises, "r b ... -> b r ...")
        return {"low_rank": map_rows(jax.vmap(one), latents, noises, *told, rows=self.rows)}

    def _change(
        self, params: Params, factors: Factors, latents: Array, noises: Array, condition: Any = None
    ) -> Float[Array, ""]:
        """log l* of one image, (2)."""
        level = noise_levels(self.process, jnp.full(len(noises), self.process.level(TIMESTEP)))
        z_t = add_noise(latents[None], level, noises)
        if condition is not None:
            condition = jnp.broadcast_to(condition, (len(noises), *condition.shape))

        def loss(factors: Factors) -> Array:
            seen = self.functions.denoise(with_factors(params, factors), z_t, level.index, condition)
            return jnp.mean((noises - seen.eps) ** 2)

        before, gradient = jax.value_and_grad(loss)(factors)
        optimiser = optax.adam(LEARNING_RATE)
        update, _ = optimiser.update(gradient, optimiser.init(factors))
        after: Any = optax.apply_updates(factors, update)
        return jnp.log(loss(after) / before)


def attention_kernels(params: Params) -> dict[str, Any]:
    """{path: kernel [I,O]} of the generator's attention projections, in order."""
    found = jax.tree_util.tree_leaves_with_path(params["generator"])
    named = {"/".join(entry.key for entry in path): leaf for path, leaf in found}
    return {
        path: leaf
        for path, leaf in named.items()
        if leaf.ndim == 2 and path.endswith("/kernel") and any(_is_attention(p) for p in path.split("/"))
    }


def why_no_low_rank(target: DiffusionTarget) -> str | None:
    """Why a target cannot be given such factors, None if it can."""
    kernels = attention_kernels(target.params)
    if not kernels:
        return f"{target.name} has no attention whose weights low-rank factors could be added to"
    if any(kernel.dtype != jnp.float32 for kernel in kernels.values()):
        return "a step changes weights by less than bfloat16 tells apart; take --precision=float32"
    return None


def initial_factors(params: Params, key: Key[Array, ""]) -> Factors:
    """A Gaussian with standard deviation 1/r, B = 0, float32."""
    kernels = attention_kernels(params)
    keys = jax.random.split(key, len(kernels))
    return {
        path: (jax.random.normal(each, (kernel.shape[0], RANK)) / RANK, jnp.zeros((RANK, kernel.shape[1])))
        for each, (path, kernel) in zip(keys, kernels.items(), strict=True)
    }


def with_factors(params: Params, factors: Factors) -> Params:
    """The parameters with A and B beside the kernels of these paths, where `Dense` adds them."""
    flat = flatten_dict(params["generator"], sep="/")
    for path, pair in factors.items():
        layer = path.removesuffix("kernel")
        flat |= {layer + name: factor for name, factor in zip(LOW_RANK, pair, strict=True)}
    return {**params, "generator": unflatten_dict(flat, sep="/")}


def _is_attention(part: str) -> bool:
    return part.startswith("attn")

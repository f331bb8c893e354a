"""A mixture of experts in the place of an MLP: each token is worked on by a few of them, and by one of all.

    expert(x) = W_down (silu(W_gate x) · W_up x)                                                      (1)
    p(x) = softmax(W x)  over E experts;  S(x): the k largest                                         (2)
    moe(x) = Σ_{e ∈ S(x)} p_e(x) expert_e(x) + shared(x)                                              (3)

`shared` is another expert (1), which all tokens have in common. The p_e in (3) are those of (2), so that they
do not sum to 1. The gradient of (3) goes through p and the experts; S is constant.

Only the chosen experts work, in static shapes: tokens are sorted by expert and put into blocks of one expert
each, the last of each expert filled up with zeros, so that N tokens need no more than (k N + E (b − 1)) / b
blocks of b tokens. A block is multiplied with the kernel of its expert (`grouped_matmul`).

The hidden units silu(W_gate x) · W_up x of the shared expert, the ones that see every token, are sown as
those of a gated layer of `jaxaudit.models.mlp` are.
Sources: Dai et al., "DeepSeekMoE", ACL 2024 (arXiv 2401.06066), §3; (1): Shazeer, "GLU variants improve
transformer", 2020 (arXiv 2002.05202).

Axes: B batch, L tokens of an image, N tokens of a batch, C width, F hidden units, E experts, k experts of a
token, G blocks, b tokens of a block.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxaudit.models.layers import Dense, matmul
from jaxaudit_kernels.precision import matmul_precision


class Kernels(NamedTuple):
    """Those of an expert (1)."""

    gate: Float[Array, "C F"]
    up: Float[Array, "C F"]
    down: Float[Array, "F C"]


class _Kernel(nn.Module):
    """A matrix that is a parameter."""

    shape: tuple[int, int]
    init: Initializer

    @nn.compact
    def __call__(self) -> Float[Array, "_ _"]:
        return self.param("kernel", self.init, self.shape, jnp.float32)


class Expert(nn.Module):
    """(1), without biases.

    Attributes:
      width: C.
      hidden: F.
      dtype: compute dtype, also of the hidden units.
      kernel_init: initialiser.
    """

    width: int
    hidden: int
    dtype: DTypeLike
    kernel_init: Initializer

    def setup(self):
        """The layers, named after the released keys."""
        self.gate_proj = _Kernel((self.width, self.hidden), self.kernel_init)
        self.up_proj = _Kernel((self.width, self.hidden), self.kernel_init)
        self.down_proj = _Kernel((self.hidden, self.width), self.kernel_init)

    def kernels(self) -> Kernels:
        """The matrices of (1)."""
        return Kernels(self.gate_proj(), self.up_proj(), self.down_proj())

    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """(1), float32; sows the hidden units [B,L,F]."""
        kernels = self.kernels()
        hidden = nn.silu(matmul(x, kernels.gate, self.dtype)) * matmul(x, kernels.up, self.dtype)
        hidden = hidden.astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        return matmul(hidden, kernels.down, self.dtype)


class SparseMoE(nn.Module):
    """(3).

    Attributes:
      num_experts: E.
      experts_per_token: k.
      hidden: F of a routed expert.
      shared_hidden: F of the shared one.
      dtype: compute dtype; the router's is float32, for it decides.
      kernel_init: initialiser.
    """

    num_experts: int
    experts_per_token: int
    hidden: int
    shared_hidden: int
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """(3), float32."""
        width = x.shape[-1]
        expert = functools.partial(Expert, width, dtype=self.dtype, kernel_init=self.kernel_init)
        experts = [expert(self.hidden, name=f"experts_{i}").kernels() for i in range(self.num_experts)]
        router = Dense(self.num_experts, use_bias=False, kernel_init=self.kernel_init, name="gate")
        logits = router(x)
        out = expert(self.shared_hidden, name="shared_experts")(x)
        if self.is_initializing():
            return out  # the rest adds no parameter
        weights, chosen = jax.lax.top_k(nn.softmax(logits), self.experts_per_token)
        tokens, places = (rearrange(each, "b l c -> (b l) c") for each in (x, chosen))
        routed = apply_chosen(tokens, places, experts, self.dtype).reshape(*chosen.shape, width)
        return out + jnp.sum(weights[..., None] * routed, axis=-2)


def apply_chosen(
    x: Float[Array, "N C"], chosen: Int[Array, "N k"], experts: Sequence[Kernels], dtype: DTypeLike
) -> Float[Array, "N k C"]:
    """expert_e(x) of each token and each of the experts that it has chosen, float32."""
    num_tokens, num_chosen = chosen.shape
    total, block = chosen.size, _block_size(chosen.size, len(experts))
    num_blocks = (total + len(experts) * (block - 1)) // block
    flat = chosen.reshape(-1)
    order = jnp.argsort(flat)
    counts = jnp.bincount(flat, length=len(experts))
    needed = -(-counts // block)  # blocks of each expert, rounded up
    ends = jnp.cumsum(needed)
    shift = block * (ends - needed) - (jnp.cumsum(counts) - counts)  # from its place in order to its slot
    slots = jnp.arange(total) + shift[flat[order]]
    rows = jnp.full(num_blocks * block, num_tokens).at[slots].set(order // num_chosen)
    blocks = jnp.take(x, rows, axis=0, mode="fill", fill_value=0).reshape(num_blocks, block, -1)
    owners = jnp.searchsorted(ends, jnp.arange(num_blocks), side="right")
    gate, up, down = zip(*experts, strict=True)
    hidden = nn.silu(grouped_matmul(blocks, gate, owners, dtype)) * grouped_matmul(blocks, up, owners, dtype)
    out = rearrange(grouped_matmul(hidden, down, owners, dtype), "g b c -> (g b) c")
    return out[jnp.zeros_like(slots).at[order].set(slots)].reshape(num_tokens, num_chosen, -1)


def _block_size(total: int, num_experts: int) -> int:
    """About what an expert is chosen for on average: fewer would read kernels more often, more add zeros."""
    return max(8, 2 ** round(math.log2(total / num_experts)))


def grouped_matmul(
    x: Float[Array, "G b C"],
    kernels: Sequence[Float[Array, "_ _"]],
    owners: Int[Array, " G"],
    dtype: DTypeLike,
    *,
    transposed: bool = False,
) -> Float[Array, "G b F"]:
    """x_g W_e, e the owner of block g, with operands in `dtype`, float32; 0 where the owner is E, nobody.

    `kernels` are the W_e [C,F], or if `transposed` their transposes.

    The kernels are not brought together, so nothing as large as they are is copied. JAX's own rule for the
    gradient of a choice would copy them: it keeps what every branch might need.
    """

    @jax.custom_vjp
    def product(x: Array, kernels: tuple[Array, ...], owners: Array) -> Array:
        branches = [functools.partial(_times, kernel, transposed, dtype) for kernel in kernels]
        nobody = functools.partial(_zeros, kernels[0].shape[0 if transposed else 1])
        return jax.lax.map(lambda at: jax.lax.switch(at[0], [*branches, nobody], at[1]), (owners, x))

    def forward(x: Array, kernels: tuple[Array, ...], owners: Array) -> tuple[Array, tuple[Any, ...]]:
        return product(x, kernels, owners), (x, kernels, owners)

    def backward(saved: tuple[Any, ...], gradient: Array) -> tuple[Array, tuple[Array, ...], None]:
        x, kernels, owners = saved
        by_x = grouped_matmul(gradient, kernels, owners, dtype, transposed=not transposed)
        rows, columns = (gradient, x) if transposed else (x, gradient)
        by_kernels = tuple(
            _gradient_of_kernel(rows, columns, owners == e, dtype).astype(kernel.dtype)
            for e, kernel in enumerate(kernels)
        )
        return by_x, by_kernels, None

    product.defvjp(forward, backward)
    return product(x, tuple(kernels), owners)


def _times(kernel: Array, transposed: bool, dtype: DTypeLike, x: Array) -> Array:
    return matmul(x, kernel.T if transposed else kernel, dtype)


def _zeros(features: int, x: Array) -> Array:
    return jnp.zeros((*x.shape[:-1], features), jnp.float32)


def _gradient_of_kernel(rows: Array, columns: Array, own: Array, dtype: DTypeLike) -> Array:
    """Over all blocks, masked: for training only, and left out by the compiler where nobody asks for it."""
    return jnp.einsum(
        "g b c, g b f -> c f",
        jnp.where(own[:, None, None], rows, 0),
        columns,
        precision=matmul_precision(dtype),
        preferred_element_type=jnp.float32,
    )

"""The MLPs of all transformer blocks, and the one rule by which their hidden units can be seen.

    mlp(x) = W₂ gelu(W₁ x + b₁) + b₂                                                                  (1)
    gated(x) = W₂ (silu(W₁ x) · W₃ x)                                                                 (2)

The hidden units gelu(W₁ x + b₁), or silu(W₁ x) · W₃ x, are sown as "hidden" into the collection
"activations": a caller who passes mutable=["activations"] finds them at the block's path, MLP's name,
"hidden", a tuple with one entry per call.
Initialisation sows nothing, so that `init` returns parameters only.
Source of (2), which has no biases: Shazeer, "GLU variants improve transformer", arXiv 2002.05202, (6).

Axes: B batch, L tokens, C width, F hidden units.
"""

from __future__ import annotations

import flax.linen as nn
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxaudit.models.layers import Dense


class MLP(nn.Module):
    """(1); W₁ and b₁ are `fc1`, W₂ and b₂ `fc2`.

    Attributes:
      hidden: F.
      approximate: tanh form of the GELU instead of the exact one.
      dtype: compute dtype, also of the hidden units.
      kernel_init: initialiser of W₁, and of W₂ unless it has its own.
      out_init: initialiser of W₂.
    """

    hidden: int
    approximate: bool
    dtype: DTypeLike
    kernel_init: Initializer
    out_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """(1), float32; sows the hidden units [B,L,F]."""
        hidden = Dense(self.hidden, dtype=self.dtype, kernel_init=self.kernel_init, name="fc1")(x)
        hidden = nn.gelu(hidden, approximate=self.approximate).astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        out_init = self.out_init or self.kernel_init
        return Dense(x.shape[-1], dtype=self.dtype, kernel_init=out_init, name="fc2")(hidden)


class GatedMLP(nn.Module):
    """(2); the maps are `w1`, `w2` and `w3`. A unit is linear in its column of `w3`.

    Attributes:
      hidden: F.
      dtype: compute dtype, also of the hidden units.
      kernel_init: initialiser of the three maps.
    """

    hidden: int
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """(2), float32; sows the hidden units [B,L,F]."""

        def linear(features: int, name: str) -> Dense:
            return Dense(features, use_bias=False, dtype=self.dtype, kernel_init=self.kernel_init, name=name)

        hidden = nn.silu(linear(self.hidden, "w1")(x)) * linear(self.hidden, "w3")(x)
        hidden = hidden.astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        return linear(x.shape[-1], "w2")(hidden)

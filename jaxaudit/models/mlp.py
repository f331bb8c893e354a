"""The MLP of transformer blocks, plain and gated, and the one rule by which its hidden units can be seen.

    mlp(x) = W₂ gelu(W₁ x + b₁) + b₂                                                                  (1)
    mlp(x) = W₂ (gelu(W₁ x + b₁) · (V x + c)) + b₂                                                    (2)

The hidden units, what W₂ is applied to, are sown as "hidden" into the collection "activations": a caller who
passes mutable=["activations"] finds them at the block's path, MLP's name, "hidden", a tuple with one entry
per call. Initialisation sows nothing, so that `init` returns parameters only.

Source of (2): Shazeer, "GLU variants improve transformer", arXiv 2002.05202.

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
    """(2) with the exact GELU; W₁ and b₁ are `fc1`, V and c `gate`, W₂ and b₂ `fc2`.

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
        activated = Dense(self.hidden, dtype=self.dtype, kernel_init=self.kernel_init, name="fc1")(x)
        gate = Dense(self.hidden, dtype=self.dtype, kernel_init=self.kernel_init, name="gate")(x)
        hidden = (nn.gelu(activated, approximate=False) * gate).astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        return Dense(x.shape[-1], dtype=self.dtype, kernel_init=self.kernel_init, name="fc2")(hidden)

"""The MLPs of all transformer blocks, and the one rule by which their hidden units can be seen.

    mlp(x) = W₂ gelu(W₁ x + b₁) + b₂                                                                  (1)
    gated(x) = W₂ ((W₁ x + b₁) · f(W₃ x + b₃)) + b₂,  f the GELU (GEGLU), SiLU (SwiGLU), …             (2)

The hidden units, which W₂ reads, are sown as "hidden" into the collection "activations": a caller who passes
mutable=["activations"] finds them at the block's path, MLP's name, "hidden", a tuple with one entry per call.
Initialisation sows nothing, so that `init` returns parameters only.

Source of (2): Shazeer, "GLU variants improve transformer", 2020 (arXiv 2002.05202).

Axes: B batch, L tokens, C width, F hidden units.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

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
    """(2); W₁ and b₁ are `fc1`, W₃ and b₃ `gate`, W₂ and b₂ `fc2`.

    Attributes:
      hidden: F.
      activation: f.
      use_bias: whether the biases are there.
      dtype: compute dtype, also of the hidden units.
      kernel_init: initialiser of the three matrices.
    """

    hidden: int
    activation: Callable[[Array], Array]
    use_bias: bool
    dtype: DTypeLike
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """(2), float32; sows the hidden units [B,L,F]."""
        linear = functools.partial(
            Dense, use_bias=self.use_bias, dtype=self.dtype, kernel_init=self.kernel_init
        )
        hidden = linear(self.hidden, name="fc1")(x) * self.activation(linear(self.hidden, name="gate")(x))
        hidden = hidden.astype(self.dtype)
        if not self.is_initializing():
            self.sow("activations", "hidden", hidden)
        return linear(x.shape[-1], name="fc2")(hidden)

"""DiT-MoE: DiT with a mixture of experts in the place of each block's MLP.

Of the equations of `jaxaudit.models.dit` it changes two:

    x ← x + γ₂ · moe(norm(x) (1 + σ₂) + β₂),  `jaxaudit.models.moe`                                    (4)
    attention: the queries and keys of each head are normalised (large models only)                    (3)

The small models (S, B) predict noise and the variance of the reverse step, as DiT does. The large ones
(XL, G) are flows: the first half of the channels is the velocity, the other half was trained by nothing.
Source: Fei et al., "Scaling diffusion transformers to 16 billion parameters", 2024 (arXiv 2407.11633).

Axes: see `jaxaudit.models.dit`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn

from jaxaudit.errors import InputError
from jaxaudit.models.adaptive import XAVIER
from jaxaudit.models.attention import SelfAttention
from jaxaudit.models.dit import Block, DiT, DiTConfig
from jaxaudit.models.moe import SparseMoE
from jaxaudit.models.variant import ModelVariant


@dataclasses.dataclass(frozen=True)
class DiTMoEConfig(DiTConfig):
    """Shape of a DiT-MoE; the defaults are those of XL/2 with 8 experts, but for `qk_norm`.

    Attributes, beside those of `DiTConfig`, whose `mlp_ratio` is that of a routed expert:
      num_experts: routed experts.
      experts_per_token: those of them that work on a token.
      shared_ratio: hidden units of the shared expert in units of C.
      qk_norm: whether queries and keys are normalised.

    Raises:
      InputError: as `DiTConfig`, or if a token would choose no expert or more than there are.
    """

    num_experts: int = 8
    experts_per_token: int = 2
    shared_ratio: float = 2.0
    qk_norm: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.experts_per_token <= self.num_experts:
            raise InputError(
                f"experts_per_token={self.experts_per_token} of num_experts={self.num_experts}: a token "
                "needs between one expert and all of them."
            )


class MoEBlock(Block):
    """A block of `DiTMoE`."""

    config: DiTMoEConfig

    @nn.nowrap
    def attention(self) -> nn.Module:
        """That of (3)."""
        config = self.config
        return SelfAttention(
            config.num_heads,
            True,
            self.dtype,
            XAVIER,
            self.attention_backend,
            config.qk_norm,
            name="attn",
        )

    @nn.nowrap
    def feed_forward(self) -> nn.Module:
        """The mixture of (4)."""
        config = self.config
        routed, shared = (round(config.width * ratio) for ratio in (config.mlp_ratio, config.shared_ratio))
        return SparseMoE(
            config.num_experts, config.experts_per_token, routed, shared, self.dtype, XAVIER, name="moe"
        )


class DiTMoE(DiT):
    """The network; its `config` is a `DiTMoEConfig`."""

    config: DiTMoEConfig
    block: ClassVar[type[nn.Module]] = MoEBlock


def _released(file: str, num_params: int, **shape: Any) -> ModelVariant:
    return ModelVariant(
        config=DiTMoEConfig(**shape),
        num_params=num_params,
        source=f"https://huggingface.co/feizhengcong/DiT-MoE/resolve/main/{file}.pt",
        licence="NOASSERTION",
    )


_S = {"depth": 12, "width": 384, "num_heads": 6}
_B = {"depth": 12, "width": 768, "num_heads": 12}
_XL = {"depth": 28, "width": 1152, "num_heads": 16, "qk_norm": True}
_G = {"depth": 40, "width": 1408, "num_heads": 16, "qk_norm": True}

VARIANTS: dict[str, ModelVariant] = {
    "dit_moe_s_2_8e2a": _released("dit_moe_s_8E2A", 199_307_552, **_S),
    "dit_moe_s_2_16e2a": _released("dit_moe_s_16E2A", 369_213_728, **_S, num_experts=16),
    "dit_moe_b_2_8e2a": _released("dit_moe_b_8E2A", 795_861_536, **_B),
    "dit_moe_xl_2_8e2a": _released("dit_moe_xl_8E2A", 4_168_172_192, **_XL),
    "dit_moe_g_2_16e2a": _released("dit_moe_g_16E2A", 16_503_731_232, **_G, num_experts=16),
}
"""The released models, trained on ImageNet at 256 px; parameters with the fixed positions.

Their authors state no licence.
"""

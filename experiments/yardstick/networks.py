"""Transformers and convolutional encoders as people write them in PyTorch, for timing.

Attention is `scaled_dot_product_attention`, as in the released code of all five families.

Axes: B batch, L tokens, C width, H and W pixels. NCHW.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and MLP, each behind a norm; with a condition both are shifted, scaled and gated by it."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        modulated: bool,
        cosine: bool = False,
        skip: bool = False,
    ):
        super().__init__()
        self.heads, self.cosine = heads, cosine
        self.norm1 = nn.LayerNorm(width, elementwise_affine=not modulated)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=not modulated)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width)) if modulated else None

    def forward(self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """x [B,L,C]; condition [B,1,C] or [B,L,C]; mask [L,L] is added to the logits."""
        if self.modulation is None or condition is None:
            x = x + self.attend(self.norm1(x), mask)
            return x + self.mlp(self.norm2(x))
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).chunk(6, dim=-1)
        x = x + gate1 * self.attend(self.norm1(x) * (1 + scale1) + shift1, mask)
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)

    def attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The heads' results, mixed."""
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.cosine:
            q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(batch, length, width))


class Skipping(nn.Module):
    """Blocks, those of the last half also reading what their mirror image in the first made (U-ViT)."""

    def __init__(self, width: int, heads: int, hidden: int, depth: int):
        super().__init__()

        def blocks(count: int) -> nn.ModuleList:
            return nn.ModuleList(Block(width, heads, hidden, modulated=False) for _ in range(count))

        self.first, self.middle, self.last = blocks(depth // 2), blocks(1), blocks(depth // 2)
        self.joined = nn.ModuleList(nn.Linear(2 * width, width) for _ in self.last)

    def forward(self, x: Tensor) -> Tensor:
        """x [B,L,C]."""
        kept = []
        for block in self.first:
            x = block(x)
            kept.append(x)
        for block in self.middle:
            x = block(x)
        for block, join in zip(self.last, self.joined, strict=True):
            x = block(join(torch.cat([x, kept.pop()], dim=-1)))
        return x


class ResBlock(nn.Module):
    """Two normalised 3×3 convolutions around a shortcut."""

    def __init__(self, inside: int, outside: int):
        super().__init__()
        self.convs = nn.Sequential(
            nn.GroupNorm(_groups(inside), inside),
            nn.SiLU(),
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.GroupNorm(_groups(outside), outside),
            nn.SiLU(),
            nn.Conv2d(outside, outside, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x [B,C,H,W]."""
        return self.shortcut(x) + self.convs(x)


class PixelAttention(nn.Module):
    """Single-head attention over all pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv, self.proj = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B,C,H,W]."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)
        out = functional.scaled_dot_product_attention(q, k, v)
        return x + self.proj(out.squeeze(1).transpose(1, 2).reshape(x.shape))


class Encoder(nn.Module):
    """Pictures to features at 1 / 2^(levels − 1) of their resolution."""

    def __init__(
        self,
        ch: int,
        ch_mult: Sequence[float],
        num_res_blocks: int,
        out_channels: int,
        *,
        attention_levels: Sequence[int] = (),
        attention: bool = True,
    ):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, ch, 3, padding=1)]
        inside = ch
        for level, mult in enumerate(ch_mult):
            for _ in range(num_res_blocks):
                layers.append(ResBlock(inside, round(ch * mult)))
                inside = round(ch * mult)
                if level in attention_levels:
                    layers.append(PixelAttention(inside))
            if level < len(ch_mult) - 1:
                layers.append(
                    nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inside, inside, 3, stride=2))
                )
        layers.append(ResBlock(inside, inside))
        if attention:
            layers.append(PixelAttention(inside))
        layers += [ResBlock(inside, inside), nn.GroupNorm(_groups(inside), inside), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(inside, out_channels, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """images [B,3,H,W]."""
        return self.layers(images)


class Timed(nn.Module):
    """The sinusoids of a time through two linear maps."""

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """t [B] to [B,C]."""
        frequencies = torch.exp(-9.2 * torch.arange(128) / 128)
        angles = t[:, None].float() * frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


def _groups(channels: int) -> int:
    return next(groups for groups in (32, 16, 8, 4, 2, 1) if channels % groups == 0)

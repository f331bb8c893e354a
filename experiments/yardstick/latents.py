"""The published pipelines for models of latents: MAR, DiT and U-ViT.

MAR (Kowalczuk et al. 2025), the conditional view, which is the one its published attack takes:

  - the pictures are encoded once, and the transformer looks once, with the labels;
  - the diffusion loss is taken of all L tokens, hidden or not, and set to 0 at the visible ones afterwards;
  - the R noises of a token are rows of one batch of B L R, for each of which the head's conditioning and
    modulations are computed anew.

DiT and U-ViT (Dubiński et al. 2025), the gray-box scores of the published set:

  - every attack runs over the pictures on its own: they are encoded once for each of the five;
  - every score evaluates the network for itself, whatever another one has seen before: the number of passes
    is `Scorer.evaluations()["naive"]` of these scores.

Axes: B batch, L tokens, K buffer positions, C width, D channels of a token, R noises, h and w latent pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .networks import Block, Encoder, Skipping, Timed

_ATTACKS = 5  # denoising_loss, secmi, pia, pian, multiple_loss


class MaskedPipeline(nn.Module):
    """MAR.

    Args:
      tokenizer, generator: the fields of the configs of our networks.
      num_hidden, num_noises: tokens that are hidden, and R.
    """

    def __init__(
        self,
        tokenizer: Mapping[str, Any],
        generator: Mapping[str, Any],
        *,
        num_hidden: int,
        num_noises: int,
    ):
        super().__init__()
        width, depth = generator["width"], generator["depth"]
        self.length, self.buffer = generator["side"] ** 2, generator["buffer_size"]
        self.num_hidden, self.num_noises, self.patch = num_hidden, num_noises, generator["patch_size"]
        channels = generator["latent_channels"] * self.patch**2
        hidden = round(width * generator["mlp_ratio"])
        self.autoencoder = _autoencoder(tokenizer)
        self.classes, self.project = (
            nn.Embedding(generator["num_classes"] + 1, width),
            nn.Linear(channels, width),
        )

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(
                Block(width, generator["num_heads"], hidden, modulated=False) for _ in range(depth)
            )

        self.encoder_blocks, self.decoder_blocks = blocks(), blocks()
        self.enter = nn.Linear(width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.head = _Head(channels, width, generator["head_depth"], generator["head_width"])

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Losses [B,L] of pictures [B,3,H,W] and their classes [B]."""
        latents = nn.functional.pixel_unshuffle(self.autoencoder(images), self.patch)
        latents = latents.flatten(2).transpose(1, 2)
        batch = len(images)
        order = torch.stack([torch.randperm(self.length) for _ in range(batch)])
        hidden, visible = order[:, : self.num_hidden], order[:, self.num_hidden :]
        rows = torch.arange(batch)[:, None]
        classes = self.classes(labels)[:, None].expand(-1, self.buffer, -1)
        x = torch.cat([classes, self.project(latents[rows, visible])], dim=1)
        for block in self.encoder_blocks:
            x = block(x)
        x = self.enter(x)
        tokens = self.mask_token.expand(batch, self.length, -1).clone()
        tokens[rows, visible] = x[:, self.buffer :]
        x = torch.cat([x[:, : self.buffer], tokens], dim=1)
        for block in self.decoder_blocks:
            x = block(x)
        losses = self.losses(x[:, self.buffer :], latents)
        mask = torch.zeros(batch, self.length).scatter_(1, hidden, 1.0)
        return losses * mask

    def losses(self, z: Tensor, latents: Tensor) -> Tensor:
        """[B,L]: mean over the noises."""
        batch, repeats = len(z), self.num_noises
        z = z.flatten(0, 1).repeat(repeats, 1)
        clean = latents.flatten(0, 1).repeat(repeats, 1)
        noise = torch.randn_like(clean)
        t = torch.full((len(z),), 500)
        seen = self.head(0.7 * clean + 0.7 * noise, t, z)
        error = (noise - seen.chunk(2, dim=-1)[0]).square().mean(-1)
        return error.view(repeats, batch, -1).mean(0)


class DenoiserPipeline(nn.Module):
    """DiT, or with `skips` U-ViT.

    Args:
      tokenizer, generator: the fields of the configs of our networks; no tokenizer for models of pixels.
      passes: of the network, for a batch.
      skips: whether the network is a U-ViT.
    """

    def __init__(
        self,
        tokenizer: Mapping[str, Any] | None,
        generator: Mapping[str, Any],
        *,
        passes: int,
        skips: bool,
    ):
        super().__init__()
        width, self.patch, self.passes = generator["width"], generator["patch_size"], passes
        channels = generator["latent_channels"]
        out = channels * (2 if generator.get("learned_variance") else 1)
        shape = width, generator["num_heads"], round(width * generator["mlp_ratio"])
        self.autoencoder = _autoencoder(tokenizer)
        self.embed = nn.Conv2d(channels, width, self.patch, stride=self.patch)
        self.classes, self.time = nn.Embedding(generator["num_classes"] + 1, width), Timed(width)
        depth = generator["depth"]
        self.skipping = Skipping(*shape, depth) if skips else None
        self.blocks = nn.ModuleList(Block(*shape, modulated=True) for _ in range(0 if skips else depth))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, out * self.patch**2)

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Errors [passes,B] of pictures [B,3,H,W] and their classes [B]."""
        errors, last = [], None
        for number in range(self.passes):
            attack = number * _ATTACKS // self.passes
            if attack != last:
                latents, last = self.autoencoder(images), attack
            noise = torch.randn_like(latents)
            t = torch.full((len(images),), 100 * (number % 10))
            seen = self.denoise(0.7 * latents + 0.7 * noise, t, labels)
            errors.append((noise - seen[:, : noise.shape[1]]).flatten(1).norm(dim=1))
        return torch.stack(errors)

    def denoise(self, z: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """What the network sees in noised latents z [B,c,h,w]."""
        x = self.embed(z)
        side = x.shape[-1]
        x = x.flatten(2).transpose(1, 2)
        time, label = self.time(t)[:, None], self.classes(labels)[:, None]
        if self.skipping is not None:
            x = self.skipping(torch.cat([label, time, x], dim=1))[:, 2:]
        for block in self.blocks:
            x = block(x, time + label)
        x = self.last(self.norm(x)).transpose(1, 2).unflatten(2, (side, side))
        return nn.functional.pixel_shuffle(x, self.patch)


class _Head(nn.Module):
    """MAR's diffusion head."""

    def __init__(self, channels: int, condition: int, depth: int, width: int):
        super().__init__()
        self.time, self.condition = Timed(width), nn.Linear(condition, width)
        self.enter, self.leave = nn.Linear(channels, width), nn.Linear(width, 2 * channels)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth + 1))
        self.modulations = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, count * width)) for count in [3] * depth + [2]
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(depth)
        )

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Rows of noised tokens, their times and conditions."""
        y = self.time(t) + self.condition(z)
        x = self.enter(x)
        for block, norm, modulation in zip(self.blocks, self.norms, self.modulations, strict=False):
            shift, scale, gate = modulation(y).chunk(3, dim=-1)
            x = x + gate * block(norm(x) * (1 + scale) + shift)
        shift, scale = self.modulations[-1](y).chunk(2, dim=-1)
        return self.leave(self.norms[-1](x) * (1 + scale) + shift)


class _Mean(nn.Module):
    """Of a posterior, without its variance."""

    def forward(self, moments: Tensor) -> Tensor:
        return moments.chunk(2, dim=1)[0]


def _autoencoder(tokenizer: Mapping[str, Any] | None) -> nn.Module:
    """Pictures to latents; None for models of pixels."""
    if tokenizer is None:
        return nn.Identity()
    encoder = Encoder(
        tokenizer["ch"],
        tokenizer["ch_mult"],
        tokenizer["num_res_blocks"],
        2 * tokenizer["latent_channels"],
        attention_levels=tokenizer["encoder_attention_levels"],
    )
    return nn.Sequential(encoder, _Mean())

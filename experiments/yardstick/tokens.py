"""The published pipeline for models of discrete tokens (VAR, RAR): Kowalczuk et al. 2025.

For a batch of pictures, the view that the published attack takes for these models, the difference of the
conditional and the null logits:

  - the pictures are tokenised three times: for the attack, and inside of either pass of the network;
  - one pass with the labels, one with the null label, one after the other; attention is full, under a mask;
  - all logits [B,L,V] of both are kept, and subtracted;
  - softmax and log-softmax over all of them are taken three times: for the tokens' probabilities, for the
    mean, and for the variance of the log-probability; the cross-entropy takes one more;
  - hinge copies the logits; surp sorts for every percentage and every entropy bound anew;
  - the scores are those that the published code lists; ours on the other side are all of cond and diff.

Axes: B batch, L tokens, V vocabulary, C width.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .networks import Block, Encoder

_PERCENTS = (0.1, 0.2, 0.3, 0.4, 0.5)
_ENTROPIES = (2.0, 4.0, 8.0)


class TokenPipeline(nn.Module):
    """A tokenizer, a transformer and the scores; `per_token` conditions every position apart (RAR).

    Args:
      tokenizer, generator: the fields of the configs of our networks.
      steps: tokens of each step of generation; a position sees its own step and all before it.
      per_token: whether every position has a modulation of its own.
    """

    def __init__(
        self,
        tokenizer: Mapping[str, Any],
        generator: Mapping[str, Any],
        *,
        steps: tuple[int, ...],
        per_token: bool,
    ):
        super().__init__()
        width, vocabulary = generator["width"], generator["vocab_size"]
        hidden = generator.get("mlp_width") or round(width * generator["mlp_ratio"])
        self.num_classes, self.per_token = generator["num_classes"], per_token
        shape = (tokenizer[name] for name in ("ch", "ch_mult", "num_res_blocks", "z_channels"))
        deepest = len(tokenizer["ch_mult"]) - 1
        attention = tokenizer.get("attention", False)
        self.encoder = Encoder(*shape, attention_levels=(deepest,) if attention else (), attention=attention)
        self.codes = nn.Embedding(vocabulary, tokenizer["z_channels"])
        self.classes = nn.Embedding(self.num_classes + 1, width)
        self.embed = nn.Embedding(vocabulary, width)
        length = sum(steps)
        last = np.repeat(np.cumsum(steps), steps)
        hides = torch.tensor(np.arange(length) >= last[:, None])
        self.length, self.mask = length, torch.zeros(length, length).masked_fill(hides, -torch.inf)
        self.positions = nn.Parameter(torch.randn(1, length, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(width, generator["num_heads"], hidden, modulated=True, cosine=not per_token)
            for _ in range(generator["depth"])
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores [B,N] of pictures [B,3,H,W] and their classes [B]."""
        tokens = self.tokenise(images)
        logits = self.logits(images, labels) - self.logits(images, torch.full_like(labels, self.num_classes))
        losses = functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
        return self.scores(logits, tokens, losses)

    def tokenise(self, images: Tensor) -> Tensor:
        """[B,L]: the nearest code of each feature; those of the last step stand for all steps."""
        features = self.encoder(images).flatten(2).transpose(1, 2)
        repeats = -(-self.length // features.shape[1])
        features = features.repeat(1, repeats, 1)[:, : self.length]
        codes = self.codes.weight
        distances = features.square().sum(-1, keepdim=True) - 2 * features @ codes.T + codes.square().sum(-1)
        return distances.argmin(-1)

    def logits(self, images: Tensor, labels: Tensor) -> Tensor:
        """[B,L,V], teacher forced; the pictures are tokenised anew."""
        x = self.embed(self.tokenise(images)) + self.positions
        condition = self.classes(labels)[:, None]
        if self.per_token:
            condition = condition + self.positions
        for block in self.blocks:
            x = block(x, condition, self.mask)
        return self.head(self.norm(x))

    def scores(self, logits: Tensor, tokens: Tensor, losses: Tensor) -> Tensor:
        """[B,N], each from what the last one left behind, or from the logits again."""
        log_prob = torch.gather(_distribution(logits)[1], 2, tokens[..., None])[..., 0]
        prob, log = _distribution(logits)
        mean = (prob * log).sum(-1)
        prob, log = _distribution(logits)
        variance = (prob * log.square()).sum(-1) - mean.square()
        sizes = torch.tensor([len(zlib.compress(str(row.tolist()).encode())) for row in tokens])
        standardised = (log_prob - mean) / (variance + 1e-6)
        found = [losses.mean(1), log_prob.mean(1) / sizes, _hinge(logits.clone(), tokens)]
        counts = [int(percent * tokens.shape[1]) for percent in _PERCENTS]
        found += [torch.topk(-log_prob, count).values.mean(1) for count in counts]
        for reduce in (_mean_where, _share_where):
            for count in counts:
                for bound in _ENTROPIES:
                    threshold = torch.topk(-log_prob, count).values.max(1, keepdim=True).values
                    found.append(reduce(log_prob, (-mean < bound) & (log_prob < threshold)))
        found += [torch.topk(-standardised, count).values.mean(1) for count in counts]
        place = torch.arange(1, tokens.shape[1] + 1)
        for signal in (log_prob, standardised):
            found.append((signal < signal.mean(1, keepdim=True)).float().mean(1))
            found.append((signal < signal.cumsum(1) / place).float().mean(1))
        centred = place - place.float().mean()
        found.append((centred * log_prob).sum(1) / centred.square().sum())
        return torch.stack([each.float() for each in found], dim=1)


def _distribution(logits: Tensor) -> tuple[Tensor, Tensor]:
    return functional.softmax(logits, dim=-1), functional.log_softmax(logits, dim=-1)


def _hinge(logits: Tensor, tokens: Tensor) -> Tensor:
    own = torch.gather(logits, 2, tokens[..., None])[..., 0]
    logits.scatter_(2, tokens[..., None], -torch.inf)
    return (own - logits.max(-1).values).mean(1)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def _share_where(values: Tensor, mask: Tensor) -> Tensor:
    del values
    return mask.float().mean(1)

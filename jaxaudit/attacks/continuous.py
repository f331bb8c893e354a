"""Membership scores of masked autoregressive models over continuous tokens (MAR).

Some tokens of an image are hidden, the model is told the others, and its diffusion head is asked to denoise
each hidden token. With the loss ℓ_n of hidden token n (mse + vb, as in training), averaged over R noises at
one timestep, and ⟨·⟩ the mean over the hidden tokens of an image, in raster order:

    (1)  loss      −⟨ℓ⟩
    (2)  zlib      −⟨ℓ⟩ / |zlib(latents in hundredths)|
    (3)  min_k     minus the mean of the k% largest ℓ
    (4)  camia     how −ℓ moves along the image: shares of tokens below its (running) mean, and its slope

Two views: `cond`, ℓ given the class label; `diff`, its difference from ℓ given the null label, under the same
mask and noises: what the label saves, which cancels how hard the image is. `diff` costs a second pass and
carries over what is done for discrete tokens; the published attack is `cond`.

A training step hides about 86% of the tokens and takes 4 noises at random timesteps. The published attack on
MAR changes one after the other (`SETTINGS`): more hidden tokens leave more to memory, the fixed timestep and
the many noises take variance out of the score. Masks, timesteps and noises follow from the id of the image.

`_ref` scores are those of the code published with Kowalczuk et al. 2025 (their negatives), with (5) in place
of ℓ: visible tokens count as 0, and everything is divided by the number of hidden tokens of all repetitions:

    (5)  ℓ'_n = ℓ_n / (R M) / (1 + 1e-6)   where n is hidden, 0 elsewhere

The published code divides by the hidden tokens of the whole batch: with a batch of B images its losses are
ours divided by B, and scores of different batch sizes are not on one scale.

Axes: B images, L tokens, M hidden tokens, N hidden or all tokens, D channels of a latent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit.attacks.reductions import (
    PERCENTS,
    compressed_sizes,
    mean_of_lowest,
    percentage,
    share_below_mean,
    share_below_running_mean,
    slope,
)
from jaxaudit.attacks.registry import declare_paper_set, host_score, score
from jaxaudit.attacks.sources import CARLINI_2021, CHANG_2024, KOWALCZUK_2025, SHI_2024, YEOM_2018
from jaxaudit.errors import InputError

_KIND = "continuous"
_PUBLISHED = {"cond": ("published",)}
_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class MaskedLossConfig:
    """How the loss of hidden tokens is measured.

    Attributes:
      mask_ratio: share of the tokens that are hidden, rounded up.
      timestep: of the diffusion, from 0 (clean); "random" draws one for every token and noise.
      num_noises: noises the loss is averaged over.

    Raises:
      InputError: if the ratio is not in (0, 1], the timestep is no index, or there is no noise.
    """

    mask_ratio: float = 0.95
    timestep: int | Literal["random"] = 500
    num_noises: int = 64

    def __post_init__(self):
        if not 0 < self.mask_ratio <= 1:
            raise InputError(f"mask_ratio={self.mask_ratio} is not in (0, 1].")
        if self.timestep != "random" and not (isinstance(self.timestep, int) and self.timestep >= 0):
            raise InputError(f"timestep={self.timestep!r} is neither 'random' nor 0, 1, 2, ...")
        if self.num_noises < 1:
            raise InputError(f"num_noises={self.num_noises} is less than 1.")

    def num_hidden(self, num_tokens: int) -> int:
        """M, of `num_tokens`."""
        return math.ceil(self.mask_ratio * num_tokens)


TRAINING = MaskedLossConfig(mask_ratio=0.86, timestep="random", num_noises=1)
"""What `unified_loss` measures. Training draws the ratio between 0.7 and 1; this is about its mean."""

SETTINGS: Mapping[str, MaskedLossConfig] = {
    "default": dataclasses.replace(TRAINING, num_noises=4),
    "mask": MaskedLossConfig(timestep="random", num_noises=4),
    "timestep": MaskedLossConfig(num_noises=4),
    "noise": MaskedLossConfig(),
}
"""The rows of the published ablation: as in training, then one change after the other."""


def published_losses(
    losses: Float[Array, "B M"], hidden: Int[Array, "B M"], num_tokens: int, num_noises: int
) -> Float[Array, "B L"]:
    """(5): the losses at the `hidden` positions, scaled as published for a batch of one; 0 elsewhere."""
    batch, count = losses.shape
    scaled = losses / (num_noises * count) / (1 + _EPSILON)
    return jnp.zeros((batch, num_tokens), jnp.float32).at[jnp.arange(batch)[:, None], hidden].set(scaled)


@score("loss", published=True, kind=_KIND, views=_PUBLISHED, source=KOWALCZUK_2025)
@score("loss", kind=_KIND, source=YEOM_2018)
def loss(losses: Float[Array, "B N"]) -> Float[Array, " B"]:
    """Minus the mean diffusion loss of the hidden tokens.

    (1), Yeom et al. 2018. Training lowers the loss of members.
    """
    return -jnp.mean(losses, axis=-1)


@host_score("zlib", of="loss", kind=_KIND, source=CARLINI_2021)
def zlib_ratio(
    loss: Float[np.ndarray, "*scores B"], latents: Float[np.ndarray, "B L D"]
) -> Float[np.ndarray, "*scores B"]:
    """Minus the mean diffusion loss over the compressed size of the latents, in hundredths.

    (2), Carlini et al. 2021. Latents have about unit variance; their digits beyond are noise, and the last
    ones rounding.
    """
    return loss / compressed_sizes(np.rint(100 * np.asarray(latents)).astype(np.int64))


@host_score("zlib", published=True, of="loss_ref", kind=_KIND, views=("cond",), source=KOWALCZUK_2025)
def zlib_ratio_ref(
    loss: Float[np.ndarray, "*scores B"], latents: Float[np.ndarray, "B L D"]
) -> Float[np.ndarray, "*scores B"]:
    """Minus the mean diffusion loss over the compressed size of the latents' text, as published.

    The text has every digit of the float32 numbers, so rounding that differs between machines shows.
    """
    return loss / compressed_sizes(np.asarray(latents, np.float32))


@score("min_k_{k}", kind=_KIND, grid={"k": PERCENTS}, source=SHI_2024)
def min_k(losses: Float[Array, "B N"], *, k: int) -> Float[Array, " B"]:
    """Minus the mean of the k% largest losses (Min-K%), of one token at least.

    (3), Shi et al. 2024. A member has fewer outlying tokens.
    """
    return mean_of_lowest(-losses, max(1, percentage(losses, k)))


@score("min_k_{k}", published=True, kind=_KIND, grid={"k": PERCENTS}, views=_PUBLISHED, source=KOWALCZUK_2025)
def min_k_ref(losses: Float[Array, "B N"], *, k: int) -> Float[Array, " B"]:
    """Minus the mean of the k% largest losses as published: NaN if that is less than one token."""
    return mean_of_lowest(-losses, percentage(losses, k))


@score("camia_below_mean", published=True, kind=_KIND, views=_PUBLISHED, source=KOWALCZUK_2025)
@score("camia_below_mean", kind=_KIND, source=CHANG_2024)
def camia_below_mean(losses: Float[Array, "B N"]) -> Float[Array, " B"]:
    """Minus the share of tokens that do worse than the image's mean.

    (4), Chang et al. 2024.
    """
    return -share_below_mean(-losses)


@score("camia_below_running_mean", published=True, kind=_KIND, views=_PUBLISHED, source=KOWALCZUK_2025)
@score("camia_below_running_mean", kind=_KIND, source=CHANG_2024)
def camia_below_running_mean(losses: Float[Array, "B N"]) -> Float[Array, " B"]:
    """Share of tokens that do worse than the mean of those up to them.

    (4), Chang et al. 2024. Sign as in the published features.
    """
    return share_below_running_mean(-losses)


@score("camia_slope", published=True, kind=_KIND, views=_PUBLISHED, source=KOWALCZUK_2025)
@score("camia_slope", kind=_KIND, source=CHANG_2024)
def camia_slope(losses: Float[Array, "B N"]) -> Float[Array, " B"]:
    """Least-squares slope of the loss along the tokens, per token.

    (4), Chang et al. 2024. Sign as in the published features.
    """
    return slope(losses)


_WITHOUT_CAMIA = [f"cond/{name}_ref" for name in ("loss", "zlib", *(f"min_k_{k}" for k in PERCENTS))]
declare_paper_set(
    _KIND,
    [
        *_WITHOUT_CAMIA,
        *(f"cond/camia_{name}_ref" for name in ("below_mean", "below_running_mean", "slope")),
    ],
    inference=_WITHOUT_CAMIA,
)

"""Membership scores of discrete-token autoregressive models (VAR, RAR).

At token n, x_n = log p(t_n), μ_n and σ²_n are the mean and variance of log p under p, and H_n = −μ_n is the
entropy. ⟨·⟩ is the mean over the L tokens of an image.

    (1)  loss       ⟨x⟩
    (2)  zlib       ⟨x⟩ / |zlib(t)|
    (3)  hinge      ⟨z_t − max_{v≠t} z_v⟩
    (4)  min_k      mean of the k% smallest x
    (5)  min_k_pp   mean of the k% smallest (x − μ)/σ
    (6)  surp       mean of eˣ over {n : H_n < e, eˣ_n < the k% quantile of eˣ}
    (7)  camia      how x moves along the image: shares of tokens below its (running) mean, and its slope
    (8)  icas       ⟨d / (1.75 + e^{1.3 d})⟩,  d = x_cond − x_null
    (9)  calibrated_loss  ⟨d⟩

Sources are cited at each function. Except (8) and (9) all exist in two views: `cond`, on the logits given
the class label, and `diff`, on their difference from the logits given the null label. Every score is oriented
higher = more likely a member. `_ref` scores are the features of the code published with Kowalczuk et al. 2025
(their negatives: that code means lower = member) where it departs from the literature.

Axes: B batch, L tokens. Functions take `TokenStatistics` [B, L] and return [B] float32.
"""

from __future__ import annotations

import math

import jax
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
    share_of_tokens,
    slope,
)
from jaxaudit.attacks.registry import declare_paper_set, host_score, score
from jaxaudit.attacks.sources import (
    BERTRAN_2023,
    CARLINI_2021,
    CHANG_2024,
    KOWALCZUK_2025,
    SHI_2024,
    WATSON_2022,
    YEOM_2018,
    YU_2025,
    ZHANG_2024,
    ZHANG_WU_2024,
)
from jaxaudit_kernels.likelihood import TokenStatistics

MAX_ENTROPIES = (2, 4, 8, 16)
"""Limits on the entropy, nats."""


@score("loss", source=YEOM_2018, ref=True)
def loss(view: TokenStatistics) -> Float[Array, " B"]:
    """Mean log-probability of the tokens: the negative of the training loss.

    (1), Yeom et al. 2018. Training lowers the loss of members.
    """
    return jnp.mean(view.log_prob, axis=-1)


@host_score("zlib", of="loss", source=CARLINI_2021, ref=True)
def zlib_ratio(
    loss: Float[np.ndarray, "*scores B"], tokens: Int[np.ndarray, "B L"]
) -> Float[np.ndarray, "*scores B"]:
    """Mean log-probability over the compressed size of the tokens.

    (2), Carlini et al. 2021. Images that are likely only because they are simple compress well, which pushes
    their (negative) ratio down.
    """
    return loss / compressed_sizes(tokens)


@score("hinge", source=BERTRAN_2023, ref=True)
def hinge(view: TokenStatistics) -> Float[Array, " B"]:
    """Mean margin of the tokens' logits over the best other logit.

    (3), Bertran et al. 2023. Members win by more, or lose by less.
    """
    return jnp.mean(view.margin, axis=-1)


@score("min_k_{k}", grid={"k": PERCENTS}, source=SHI_2024)
def min_k(view: TokenStatistics, *, k: int) -> Float[Array, " B"]:
    """Mean of the k% lowest log-probabilities (Min-K%), of one token at least.

    (4), Shi et al. 2024. A member has fewer outlying tokens of low probability.
    """
    return mean_of_lowest(view.log_prob, max(1, percentage(view.log_prob, k)))


@score("min_k_{k}", published=True, grid={"k": PERCENTS}, source=KOWALCZUK_2025)
def min_k_ref(view: TokenStatistics, *, k: int) -> Float[Array, " B"]:
    """Mean of the k% lowest log-probabilities as published: NaN if that is less than one token."""
    return mean_of_lowest(view.log_prob, percentage(view.log_prob, k))


@score("min_k_pp_{k}", grid={"k": PERCENTS}, source=ZHANG_2024)
def min_k_pp(view: TokenStatistics, *, k: int) -> Float[Array, " B"]:
    """Mean of the k% lowest standardised log-probabilities (Min-K%++), of one token at least.

    (5), Zhang et al. 2024. The tokens of members are modes of the model's distribution.
    """
    return mean_of_lowest(_standardised(view), max(1, percentage(view.log_prob, k)))


@score("min_k_pp_{k}", published=True, grid={"k": PERCENTS}, source=KOWALCZUK_2025)
def min_k_pp_ref(view: TokenStatistics, *, k: int) -> Float[Array, " B"]:
    """Mean of the k% lowest (log p − μ)/(σ² + 1e-6) as published; NaN if that is less than one token."""
    return mean_of_lowest(_standardised_ref(view), percentage(view.log_prob, k))


@score("surp_{k}_{e}", grid={"k": PERCENTS, "e": MAX_ENTROPIES}, source=ZHANG_WU_2024)
def surp(view: TokenStatistics, *, k: int, e: int) -> Float[Array, " B"]:
    """Mean probability of the surprising tokens: entropy below e, probability below the k% quantile (SURP).

    (6), Zhang & Wu 2024. At such a token the model is certain of something else; what it has seen surprises
    it less. The quantile is that of the image's own token probabilities, interpolated linearly. Without
    surprising tokens there is no mean; the score is then its least upper bound, the quantile, since an image
    in which nothing surprises is at the member end of what its probabilities allow.
    """
    probs = jnp.exp(view.log_prob)
    quantile = _lower_quantile(probs, k)
    surprising = (view.entropy < e) & (probs < quantile)
    mean = _mean_over(probs, surprising)
    return jnp.where(jnp.any(surprising, axis=-1), mean, quantile[..., 0])


@score("surp_{k}_{e}", published=True, grid={"k": PERCENTS, "e": MAX_ENTROPIES}, source=KOWALCZUK_2025)
def surp_ref(view: TokenStatistics, *, k: int, e: int) -> Float[Array, " B"]:
    """Mean log-probability of the tokens with entropy below e, as published; 0 if there are none.

    The published bound on the log-probability is a non-negative number and never binds: k has no effect.
    """
    del k
    return _mean_over(view.log_prob, view.entropy < e)


@score("surp_count_{k}_{e}", published=True, grid={"k": PERCENTS, "e": MAX_ENTROPIES}, source=KOWALCZUK_2025)
def surp_count_ref(view: TokenStatistics, *, k: int, e: int) -> Float[Array, " B"]:
    """Share of the tokens with entropy below e, as published; k has no effect, see `surp_ref`."""
    del k
    return share_of_tokens(view.entropy < e)


@score("camia_below_mean", source=CHANG_2024, ref=True)
def camia_below_mean(view: TokenStatistics) -> Float[Array, " B"]:
    """Minus the share of tokens less likely than the image's mean.

    (7), Chang et al. 2024. In a member, few unlikely tokens stand out from many likely ones.
    """
    return -share_below_mean(view.log_prob)


@score("camia_below_mean_pp", source=CHANG_2024)
def camia_below_mean_pp(view: TokenStatistics) -> Float[Array, " B"]:
    """Minus the share of tokens whose standardised log-probability is below its mean.

    (7) on the quantity of (5).
    """
    return -share_below_mean(_standardised(view))


@score("camia_below_mean_pp", published=True, source=KOWALCZUK_2025)
def camia_below_mean_pp_ref(view: TokenStatistics) -> Float[Array, " B"]:
    """Minus the share of tokens whose (log p − μ)/(σ² + 1e-6) is below its mean, as published."""
    return -share_below_mean(_standardised_ref(view))


@score("camia_below_running_mean", source=CHANG_2024, ref=True)
def camia_below_running_mean(view: TokenStatistics) -> Float[Array, " B"]:
    """Share of tokens less likely than the mean of those up to them.

    (7), Chang et al. 2024. The running mean includes the token itself, so the first never counts. Sign as in
    the published features.
    """
    return share_below_running_mean(view.log_prob)


@score("camia_below_running_mean_pp", source=CHANG_2024)
def camia_below_running_mean_pp(view: TokenStatistics) -> Float[Array, " B"]:
    """Share of tokens whose standardised log-probability is below the mean of those up to them.

    (7) on the quantity of (5).
    """
    return share_below_running_mean(_standardised(view))


@score("camia_below_running_mean_pp", published=True, source=KOWALCZUK_2025)
def camia_below_running_mean_pp_ref(view: TokenStatistics) -> Float[Array, " B"]:
    """Share of tokens whose (log p − μ)/(σ² + 1e-6) is below its running mean, as published."""
    return share_below_running_mean(_standardised_ref(view))


@score("camia_slope", source=CHANG_2024, ref=True)
def camia_slope(view: TokenStatistics) -> Float[Array, " B"]:
    """Minus the least-squares slope of the log-probability along the tokens, nats per token.

    (7), Chang et al. 2024. Context makes the later tokens of any image more likely; those of a member are
    likely from the start.
    """
    return -slope(view.log_prob)


@score("calibrated_loss", views={"diff": ("cond", "null")}, source=WATSON_2022)
def calibrated_loss(cond: TokenStatistics, null: TokenStatistics) -> Float[Array, " B"]:
    """Mean log-probability gained by knowing the class: the loss, calibrated by the model's own null view.

    (9), Watson et al. 2022, eq. 1, whose reference model is here the same model given no class. It takes off
    what makes an image hard for anyone; what training on the image with its class has added remains.
    """
    return jnp.mean(cond.log_prob - null.log_prob, axis=-1)


@score("icas", views={"diff": ("cond", "null")}, source=YU_2025)
def icas(cond: TokenStatistics, null: TokenStatistics) -> Float[Array, " B"]:
    """Mean of d / (1.75 + e^{1.3 d}), d the log-probability gained by knowing the class (ICAS).

    (8), Yu et al. 2025: the model as an implicit classifier, in which tokens of low d weigh more. The
    constants are frozen, never tuned on the data under audit. 1/(c + eᵃ) = sigmoid(log c − a)/c does not
    overflow.
    """
    gain = cond.log_prob - null.log_prob
    return jnp.mean(gain * jax.nn.sigmoid(math.log(1.75) - 1.3 * gain) / 1.75, axis=-1)


declare_paper_set(
    "discrete",
    [
        f"diff/{name}_ref"
        for name in (
            *("loss", "zlib", "hinge"),
            *(f"min_k_{k}" for k in PERCENTS),
            *(f"min_k_pp_{k}" for k in PERCENTS),
            *("camia_below_mean", "camia_below_mean_pp"),
            *("camia_below_running_mean", "camia_below_running_mean_pp"),
            "camia_slope",
        )
    ],
)


def _standardised(view: TokenStatistics) -> Array:
    """(x − μ)/σ; 0 where x = μ, the limit for a distribution whose log p does not vary."""
    deviation = view.log_prob - view.mean
    return jnp.where(deviation == 0, 0.0, deviation / jnp.sqrt(view.variance))


def _standardised_ref(view: TokenStatistics) -> Array:
    return (view.log_prob - view.mean) / (view.variance + 1e-6)


def _lower_quantile(values: Array, k: int) -> Array:
    """The k% quantile along the tokens, [B, 1], between order statistics as `numpy.quantile` has it."""
    position = k * (values.shape[-1] - 1)
    below, weight = position // 100, (position % 100) / 100
    ordered = jnp.sort(values, axis=-1)
    low, high = ordered[..., below, None], ordered[..., min(below + 1, values.shape[-1] - 1), None]
    return low + weight * (high - low)


def _mean_over(values: Array, mask: Array) -> Array:
    """Mean of the values where the mask is set; 0 where it never is."""
    return jnp.sum(values, axis=-1, where=mask) / jnp.maximum(jnp.sum(mask, axis=-1), 1)

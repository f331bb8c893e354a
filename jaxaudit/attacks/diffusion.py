"""Membership scores of diffusion models.

With z the latents of an image, ε Gaussian noise that follows from its id, z_t = √ᾱ_t z + √(1 − ᾱ_t) ε, f the
noise that the model sees given what the image is conditioned on, and f_0 that given nothing:

    (1)  denoising_loss      −⟨‖ε − f(z_100, 100)‖⟩ over 5 noises
    (2)  secmi               −‖x − x'‖, x the end of a DDIM chain from z to t = 100, x' one step on and back
    (3)  pia                 −‖e − f(√ᾱ z + √(1−ᾱ) e, 200)‖₅,  e = f(z, 0);  pian: e of a Gaussian's magnitude
    (4)  multiple_loss_t     −‖ε − f(z_t, t)‖
    (5)  gradient_masking_t  −‖((ε − z_t) − f(ẑ, t)) · M‖,  ẑ = ε in M and z_t elsewhere;
                             M: the 20% of z_t on which (4) depends most
    (6)  noise_opt_error     −‖ε − f(z_100 + δ, 100)‖,  δ by 5 iterations of L-BFGS;  noise_opt_norm: −‖δ‖
    (7)  clid_t              ‖ε − f_0(z_t, t)‖ − ‖ε − f(z_t, t)‖
    (8)  arl                 −‖x − D(E(x))‖²,  x the picture, E and D the autoencoder
    (9)  masked_gap_t        ‖ε − f_m(z_t, t)‖ − ‖ε − f(z_t, t)‖,  f_m: some of z_t's tokens are hidden, drawn
                             from the image's id, as many as in training (models that were trained so: MDT)
    (10) velocity_loss_u     −‖v − v̂‖,  of models that predict a velocity, at u = σ / (s + σ)

Members are denoised better (1, 4), lie where the model's path is smooth (2) and steady (3), are restored
better (5), need less help (6) and profit more from their label (7). In (9) the pass with hidden tokens tells
how hard an image is, as the one without a label does in (7); it is not published as an attack. Formulas and
sources are in the kernels. (4) to (7), (9) and (10) share one noise, the first of (1). Norms, not their
squares, as in the published code: one is monotone in the other.

In (5) z_t is kept outside M, and ε − z_t is what was put in its place: the published text, and what a network
at time t knows how to read. (5) and (6) need the network's gradient (white-box).

The path of a flow is x = (1 − u) z + u ε, its velocity v = ±(ε − z), and v − v̂ = ±(ε − f) / (1 − u): where
there is as much noise, (10) is (4) in other units. It is there for its even steps along the path, over which
the gap between members and others was found to be a bell; even timesteps leave the first quarter out.

`_ref` scores are the negatives of the 26 features of the code published with Dubiński et al. 2025. They
depart from the above in pian (e has the magnitude √(π/2), a Gaussian's is √(2/π)); in (5), with z in place of
z_t; in the error of (6), on latents that were noised twice (for a batch of one: the published δ is optimised
for a batch at once); and for U-ViT, whose time counts from 1, in t: it is the time, and 0 no noise at all.

Axes: B images.
"""

from __future__ import annotations

import functools
import math

from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_measurements import (
    Error,
    MaskedError,
    MeanError,
    OptimisedError,
    PerturbationSize,
    ProximalError,
    ReconstructionError,
    RenoisedError,
    StepError,
    VelocityError,
)
from jaxaudit.attacks.registry import declare_paper_set, score
from jaxaudit.attacks.sources import (
    CARLINI_2023,
    DUAN_2023,
    DUBINSKI_2025,
    GAO_2023,
    KONG_2024,
    SESMAT_2026,
    ZHAI_2024,
)
from jaxaudit_kernels.denoising import GAUSSIAN_MAGNITUDE

NUM_NOISES = 5
"""Noises of (1)."""

TIMESTEPS = tuple(range(0, 1000, 100))
"""t of (4), (5) and (7)."""

PERCENTS = tuple(range(10, 100, 10))
"""u of (10), in percent."""

_LOSS_TIMESTEP = 100
_PUBLISHED_MAGNITUDE = math.sqrt(math.pi / 2)

_gray = functools.partial(score, kind="diffusion")
_white = functools.partial(score, kind="diffusion", access="white-box")
_GRID = {"t": TIMESTEPS}


@_gray(
    "denoising_loss",
    published=True,
    views={"": (MeanError(_LOSS_TIMESTEP, published=True),)},
    source=DUBINSKI_2025,
)
@_gray("denoising_loss", views={"": (MeanError(_LOSS_TIMESTEP),)}, source=CARLINI_2023)
def denoising_loss(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of the predicted noise at t = 100, mean of 5 noises.

    (1), Carlini et al. 2023. Training lowers the loss of members.
    """
    return -error


@_gray("secmi", published=True, views={"": (StepError(published=True),)}, source=DUBINSKI_2025)
@_gray("secmi", views={"": (StepError(),)}, source=DUAN_2023)
def secmi(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of a DDIM step forth and back at t = 100 (SecMI).

    (2), Duan et al. 2023.
    """
    return -error


@_gray("pia", published=True, views={"": (ProximalError(published=True),)}, source=DUBINSKI_2025)
@_gray("pia", views={"": (ProximalError(),)}, source=KONG_2024)
def pia(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of predicting at t = 200 the noise predicted at 0 (PIA).

    (3), Kong et al. 2024.
    """
    return -error


@_gray("pian", views={"": (ProximalError(GAUSSIAN_MAGNITUDE),)}, source=KONG_2024)
def pian(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of predicting at t = 200 the noise predicted at 0, normalised (PIAN).

    (3), Kong et al. 2024.
    """
    return -error


@_gray(
    "pian",
    published=True,
    views={"": (ProximalError(_PUBLISHED_MAGNITUDE, published=True),)},
    source=DUBINSKI_2025,
)
def pian_ref(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of predicting the noise predicted at 0, normalised to √(π/2) as published."""
    return -error


@_gray(
    "multiple_loss_{t}",
    published=True,
    grid=_GRID,
    views=lambda t: {"": (Error(t, published=True),)},
    source=DUBINSKI_2025,
)
@_gray("multiple_loss_{t}", grid=_GRID, views=lambda t: {"": (Error(t),)}, source=DUBINSKI_2025)
def multiple_loss(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of the predicted noise at one timestep.

    (4), Dubiński et al. 2025.
    """
    return -error


@_white("gradient_masking_{t}", grid=_GRID, views=lambda t: {"": (MaskedError(t),)}, source=DUBINSKI_2025)
def gradient_masking(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error where noise replaced the 20% of the latents on which the loss depends most.

    (5), Dubiński et al. 2025.
    """
    return -error


@_white(
    "gradient_masking_{t}",
    published=True,
    grid=_GRID,
    views=lambda t: {"": (MaskedError(t, published=True),)},
    source=DUBINSKI_2025,
)
def gradient_masking_ref(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error where noise replaced 20% of the latents, the others clean, as published."""
    return -error


@_white("noise_opt_error", views={"": (OptimisedError(),)}, source=DUBINSKI_2025)
def noise_opt_error(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of the predicted noise at t = 100 after 5 iterations of L-BFGS on the latents.

    (6), Dubiński et al. 2025.
    """
    return -error


@_white("noise_opt_error", published=True, views={"": (RenoisedError(),)}, source=DUBINSKI_2025)
def noise_opt_error_ref(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error after L-BFGS on the latents, which are noised once more, as published."""
    return -error


@_white(
    "noise_opt_norm", published=True, views={"": (PerturbationSize(published=True),)}, source=DUBINSKI_2025
)
@_white("noise_opt_norm", views={"": (PerturbationSize(),)}, source=DUBINSKI_2025)
def noise_opt_norm(size: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the size of the perturbation that 5 iterations of L-BFGS apply to the latents.

    (6), Dubiński et al. 2025. The noise of members is seen well without one.
    """
    return -size


@_gray("clid_{t}", grid=_GRID, views=lambda t: {"": (Error(t, null=True), Error(t))}, source=ZHAI_2024)
def clid(null: Float[Array, " B"], cond: Float[Array, " B"]) -> Float[Array, " B"]:
    """Error of the predicted noise without the label or caption, less that with it (CLiD).

    (7), Zhai et al. 2024. A model overfits to how members belong to their labels before it does to members.
    """
    return null - cond


@_gray(
    "masked_gap_{t}",
    grid=_GRID,
    views=lambda t: {"": (Error(t, masked=True), Error(t))},
    source=GAO_2023,
)
def masked_gap(masked: Float[Array, " B"], whole: Float[Array, " B"]) -> Float[Array, " B"]:
    """Error of the predicted noise with a share of the tokens hidden, less that with none (MDT).

    (9); the errors of the two losses of Gao et al. 2023, of which the first tells the image's difficulty.
    """
    return masked - whole


@_gray(
    "velocity_loss_{u}",
    grid={"u": PERCENTS},
    views=lambda u: {"": (VelocityError(u),)},
    source=SESMAT_2026,
)
def velocity_loss(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the error of the predicted velocity where noise has this share of the path, in percent.

    (10), Sesmat et al. 2026. Of flows and other models that predict a velocity.
    """
    return -error


@_gray("arl", views={"": (ReconstructionError(),)}, source=DUBINSKI_2025, on_request=True)
def arl(error: Float[Array, " B"]) -> Float[Array, " B"]:
    """Minus the autoencoder's squared error. Only where its training set is the generator's: ask by name.

    (8), Dubiński et al. 2025. It never sees the generator: where the two were trained on different pictures,
    it tells what the autoencoder has seen.
    """
    return -error


declare_paper_set(
    "diffusion",
    [
        *("denoising_loss_ref", "secmi_ref", "pia_ref", "pian_ref"),
        *(f"gradient_masking_{t}_ref" for t in TIMESTEPS),
        *(f"multiple_loss_{t}_ref" for t in TIMESTEPS),
        *("noise_opt_error_ref", "noise_opt_norm_ref"),
    ],
)

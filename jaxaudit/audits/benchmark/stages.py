"""What an audit of each kind of target consists of, stage by stage and as a whole.

    load          files → pictures in the target's range, on the host's threads
    discrete      tokenise; forward, of label and null label as one batch; statistics of both, and scores
    continuous    encode; forward, of both labels as one batch; losses of every hidden token and noise
    diffusion     encode; forward, one evaluation of the network; gradient, one with that of its input
    whole step    the compiled program that scores a batch, from pictures to scores

Axes: B batch, L tokens, M hidden tokens, R noises, D channels, V views (label, null label).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.typing import DTypeLike
from PIL import Image

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.runner import Scorer
from jaxaudit.attacks.step import side_by_side
from jaxaudit.audits.benchmark.timing import Stage
from jaxaudit.data import Source, batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.targets import ContinuousTarget, DiffusionTarget, DiscreteTarget, Kind, Target
from jaxaudit_kernels import draws
from jaxaudit_kernels.gradient_masking import denoised_and_gradient
from jaxaudit_kernels.likelihood import guided_token_statistics

_TIMESTEP = 500


def check_benchmark(target: Target) -> None:
    """Raises InputError if there are no stages for such a target."""
    if target.context_shape:
        raise InputError(f"{target.name} reads captions, and a benchmark has none; take a target of classes.")


def scoring_stages(scorer: Scorer, folder: Path, *, batch_size: int, seed: int = 0) -> dict[str, Stage]:
    """Every stage of scoring a batch of drawn pictures, then the whole step.

    Args:
      scorer: what is timed, with its target.
      folder: an empty one, for the pictures' files.
      batch_size: B.
      seed: of pictures and labels.

    Raises:
      InputError: as `check_benchmark`.
    """
    target = scorer.target
    check_benchmark(target)
    generator = np.random.default_rng(seed)
    source = write_pictures(folder, target.preprocessing.image_size, batch_size, generator)

    def load() -> list[Any]:
        return list(batches(source, range(batch_size), target.preprocessing, batch_size))

    images, labels = load()[0].images, None
    if target.num_classes:
        labels = jnp.asarray(generator.integers(0, target.num_classes, batch_size), jnp.int32)
    return {
        "load": Stage(load),
        **_OF_KIND[target.kind](target, scorer, jnp.asarray(images), labels),
        "whole step": Stage(
            lambda: scorer.submit(images, labels).result(), batch_size * scorer.flops_per_image()
        ),
    }


def compute_dtype(target: Target) -> DTypeLike:
    """The dtype of the parameters of the generator, which is that of its products."""
    return jax.tree.leaves(target.params["generator"])[0].dtype


def write_pictures(folder: Path, size: int, count: int, generator: np.random.Generator) -> Source:
    """Smooth JPEGs a quarter larger than `size`, as an audit would read them."""
    side = size + size // 4 if size > 8 else size
    for index in range(count):
        pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((side // 4, side // 4)).resize((side, side)).save(buffer, "JPEG")
        (folder / f"{index}.jpg").write_bytes(buffer.getvalue())
    return open_source(f"folder:{folder}?label=0")


def _discrete_stages(
    target: DiscreteTarget, scorer: Scorer, images: jax.Array, labels: jax.Array
) -> dict[str, Stage]:
    functions, params, plan = target.functions, scorer.params, scorer.plan
    tokens = target.encode(images)
    views = side_by_side(tokens, tokens), side_by_side(labels, jnp.full_like(labels, target.num_classes))
    hidden = rearrange(jax.jit(functions.hidden)(params, *views), "(b v) l d -> b v l d", v=2)

    def statistics(params: Any, hidden: jax.Array, tokens: jax.Array) -> dict[str, jax.Array]:
        kernel, bias = functions.head(params)
        return plan.device(guided_token_statistics(hidden[:, 0], hidden[:, 1], kernel, bias, tokens))

    return {
        "tokenise": Stage.of(functions.encode, params, images),
        "forward": Stage.of(functions.hidden, params, *views),
        "statistics": Stage.of(statistics, params, hidden, tokens),
    }


def _continuous_stages(
    target: ContinuousTarget, scorer: Scorer, images: jax.Array, labels: jax.Array
) -> dict[str, Stage]:
    functions, params, config = target.functions, scorer.params, MaskedLossConfig()
    length, channels = target.latent_shape
    count = config.num_hidden(length)
    keys = draws.image_keys(jax.random.key(0), np.arange(len(images), dtype=np.uint32))
    hidden = draws.hidden_positions(keys, length, count)
    noise = draws.noises(keys, config.num_noises, (count, channels))
    latents = target.encode(images)
    views = [
        side_by_side(latents, latents),
        side_by_side(labels, jnp.full_like(labels, target.num_classes)),
        side_by_side(hidden, hidden),
    ]
    z = jax.jit(functions.conditions)(params, *views)[::2]
    clean = jnp.take_along_axis(latents, hidden[:, :, None], axis=1)

    def losses(params: Any, z: jax.Array, clean: jax.Array, noise: jax.Array) -> jax.Array:
        return jnp.mean(functions.head_losses(params, z, clean, config.timestep, noise)["loss"], axis=0)

    return {
        "encode": Stage.of(functions.encode, params, images),
        "forward": Stage.of(functions.conditions, params, *views),
        "losses": Stage.of(losses, params, z, clean, noise),
    }


def _diffusion_stages(
    target: DiffusionTarget, scorer: Scorer, images: jax.Array, labels: jax.Array | None
) -> dict[str, Stage]:
    functions, params = target.functions, scorer.params
    latents = target.encode(images)
    level = jnp.full(len(images), target.process.level(_TIMESTEP))

    def gradient(params: Any, z: jax.Array, level: jax.Array, labels: Any) -> Any:
        return denoised_and_gradient(functools.partial(functions.denoise, params), z, level, labels, z)

    stages = {
        "encode": Stage.of(functions.encode, params, images),
        "forward": Stage.of(functions.denoise, params, latents, level, labels),
    }
    evaluations = scorer.step.evaluations()
    if evaluations and evaluations["planned"].gradients:
        stages["gradient"] = Stage.of(gradient, params, latents, level, labels)
    return stages


_OF_KIND: dict[Kind, Callable[..., dict[str, Stage]]] = {
    "discrete": _discrete_stages,
    "continuous": _continuous_stages,
    "diffusion": _diffusion_stages,
}
"""The stages of each kind of target."""

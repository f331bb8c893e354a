"""How strongly every hidden unit of a target answers to a picture: the measurements behind UnitMem.

A unit's mean activation on a picture is taken over the tokens (`jaxaudit.attacks.units`) and over A views of
the picture.

Views are what training shows of a picture: random crops after a resize to 1.125 times the target's size (VAR
is trained like that, RAR on crops at 1.1 times), mirrored or not. Small pictures (under 32 pixels a side)
would lose too much by a resize: they are shifted by up to one pixel, edges repeated. Which views, hidden
tokens and noise a picture gets follows from its id.

Source: Kasliwal, Boenisch, Dziedzic, "Localizing and mitigating memorization in image autoregressive models",
arXiv 2509.00488.

Axes: B pictures, A views, S pixels per side, P pixels per side before the crop, T stages, U units of all
hidden layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.condition import condition_arrays, condition_spec
from jaxaudit.attacks.units import Units, units_of
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis
from jaxaudit.runtime.mesh import mesh_of, replicated
from jaxaudit.runtime.parallel import Parallelism, Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.targets import Given, Params, Target
from jaxaudit_kernels import draws

_ENLARGED = 1.125
_SMALL = 32


@dataclasses.dataclass(frozen=True)
class Views:
    """The views of a picture over which a unit's activation is averaged.

    Attributes:
      num_views: A; 1 is the picture as the target reads it, without any randomness.
      flip: whether a view is mirrored, left to right, half of the time.

    Raises:
      InputError: if there is no view, or the one there is would be mirrored.
    """

    num_views: int = 10
    flip: bool = False

    def __post_init__(self):
        if self.num_views < 1:
            raise InputError(f"num_views={self.num_views} is less than 1.")
        if self.flip and self.num_views == 1:
            raise InputError(
                "A single view is the picture itself; mirrored ones need num_views of 2 or more."
            )

    def canvas(self, preprocessing: Preprocessing) -> Preprocessing:
        """How a picture becomes the square that `draw` cuts views from."""
        size = preprocessing.image_size
        if self.num_views == 1 or _shifted(preprocessing):
            return preprocessing
        side = math.ceil(_ENLARGED * size)
        return dataclasses.replace(
            preprocessing, image_size=side, short_side=max(side, preprocessing.short_side)
        )

    def draw(
        self, images: Float[Array, "B P P 3"], keys: Key[Array, "B A"], preprocessing: Preprocessing
    ) -> Float[Array, "B A S S 3"]:
        """The views of pictures that were prepared with `canvas(preprocessing)`; one key for each view."""
        size = preprocessing.image_size
        if self.num_views == 1:
            return images[:, None]
        if _shifted(preprocessing):
            images = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        room = images.shape[1] - size

        def view(image: Array, key: Array) -> Array:
            place_key, flip_key = jax.random.split(key)
            top, left = jax.random.randint(place_key, (2,), 0, room + 1)
            cut = jax.lax.dynamic_slice(image, (top, left, 0), (size, size, 3))
            if self.flip:
                cut = jnp.where(jax.random.bernoulli(flip_key), cut[:, ::-1], cut)
            return cut

        return jax.vmap(jax.vmap(view, in_axes=(None, 0)))(images, keys)


def _shifted(preprocessing: Preprocessing) -> bool:
    """Whether views are shifts by a pixel, not crops."""
    return preprocessing.resize == "none" or preprocessing.image_size < _SMALL


@dataclasses.dataclass(frozen=True)
class ActivationStep:
    """What is computed for a batch: {images [B,P,P,3], condition, ids [B] uint32} -> [B,T,U] float32.

    There is no condition where the target has none. A value: equal steps share their compiled program.
    """

    units: Units
    views: Views
    preprocessing: Preprocessing

    def __call__(
        self, inputs: tuple[Params, Key[Array, ""]], batch: Mapping[str, Array]
    ) -> Float[Array, "B T U"]:
        """(1): the mean activation of every unit on every picture."""
        params, key = inputs
        count = self.views.num_views
        keys = draws.image_keys(key, batch["ids"])
        keys = jax.vmap(lambda key: jax.random.split(key, (count, 2)))(keys)
        views = self.views.draw(batch["images"], keys[:, :, 0], self.preprocessing)
        condition = batch.get("condition")
        if condition is not None:
            condition = einops.repeat(condition, "b ... -> (b a) ...", a=count)
        means = self.units(
            params,
            einops.rearrange(views, "b a h w c -> (b a) h w c"),
            condition,  # pyright: ignore[reportArgumentType]  # there is one where the units ask for it
            keys[:, :, 1].reshape(-1),
        )
        return jnp.mean(einops.rearrange(means, "(b a) t u -> b a t u", a=count), axis=1)


class ActivationMeter:
    """Measures the mean activation of every unit for batch after batch.

    Args:
      target: what is measured.
      views: the views of a picture.
      timestep: of a diffusion model, default 100. mask_ratio: share of hidden tokens of a model over
        continuous tokens, default that of training on average.
      key: of views, hidden tokens and noise; default `jax.random.key(0)`.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      target, views: as given.
      mesh: the devices.
      shape: (T, U).
      stages: T names of groups of tokens.
      axis: the hidden layers of the U units.

    Raises:
      InputError: if an option does not fit the target, or it names no hidden layers.
    """

    def __init__(
        self,
        target: Target,
        views: Views = Views(),
        *,
        timestep: int | None = None,
        mask_ratio: float | None = None,
        key: Key[Array, ""] | None = None,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        self.target, self.views = target, views
        self.axis = UnitAxis(tuple(target.hidden_widths), tuple(target.hidden_widths.values()))
        units = units_of(target, timestep=timestep, mask_ratio=mask_ratio)
        step = ActivationStep(units, views, target.preprocessing)
        self.mesh = mesh = mesh or mesh_of(target.params)
        key = jax.device_put(jax.random.key(0) if key is None else key, replicated(mesh))
        self._inputs = place(target.params, target.partition, mesh), key
        self._side = views.canvas(target.preprocessing).image_size
        self._run = data_parallel(step, mesh, parallelism=parallelism)
        spec = jax.ShapeDtypeStruct
        batch = {
            "images": spec((1, self._side, self._side, 3), np.float32),
            "ids": spec((1,), np.uint32),
            **condition_spec(target, 1),
        }
        self.shape = jax.eval_shape(step, self._inputs, batch).shape[1:]
        if self.shape[-1] != self.axis.num_units:
            raise InputError(
                f"The activations of {target.name} show {self.shape[-1]} units, its hidden layers have "
                f"{self.axis.num_units}."
            )
        self.stages = ("all tokens",)
        if units.stages:
            self.stages = tuple(f"scale {i + 1}" for i in range(len(units.stages)))

    def submit(
        self,
        images: Float[np.ndarray, "B P P 3"],
        condition: Given,
        *,
        ids: Sequence[Any] | np.ndarray,
        padded_size: int = 1,
    ) -> Pending:
        """Starts a batch and returns at once; its `result()` is [B,T,U] float32.

        Args:
          images: prepared with `views.canvas(target.preprocessing)`, float32.
          condition: classes [B], embeddings of captions [B,T,D], or None, as the target wants.
          ids: B names that stay with the pictures, from which their views follow.
          padded_size: rows the batch is filled up to, so that a short batch needs no compilation of its own.

        Raises:
          InputError: if the images or the condition have another shape, or a label is no class of the target.
        """
        if np.shape(images) != (len(ids), self._side, self._side, 3):
            raise InputError(
                f"Images of shape {np.shape(images)} do not fit; expected "
                f"[{len(ids)},{self._side},{self._side},3]."
            )
        batch = {
            "images": np.asarray(images, np.float32),
            "ids": draws.id_numbers(ids),
            **condition_arrays(self.target, condition, len(ids)),
        }
        return self._run(self._inputs, batch, padded_size)

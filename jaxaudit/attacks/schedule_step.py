"""The walks of `jaxaudit.attacks.schedules` through a model, in one scan; equations are numbered there.

The steps of all schedules follow each other; where one begins, the latents are made anew. So the compiled
program holds the network twice, guided and not, however many schedules there are.

Axes: B batch, H and W pixels, h and w latent pixels, c channels, R noises, S steps of a schedule, N steps of
all, T tokens of a caption, D their channels.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.schedules import ALL_NOISE, ERRORS, Schedule
from jaxaudit.attacks.step import Rows, side_by_side
from jaxaudit.targets import DiffusionFunctions, Params
from jaxaudit_kernels import draws
from jaxaudit_kernels.denoising import ddim
from jaxaudit_kernels.process import CLEAN, Process, noise_levels

_TEXT = 1 << 16  # the kind of draw for captions; other kinds are numbers of steps


class _Step(NamedTuple):
    """What a step does, a scalar each; [N] of all steps.

    Attributes:
      level, to: where the network is told to be, and where (3) leads.
      new: whether z_t is made anew, with `signal` and `spread`, from the draw of that number.
      jolt, text: standard deviations of noise added to z_t and to the caption.
      guided, guidance: of (1).
    """

    level: Any
    to: Any
    new: Any
    signal: Any
    spread: Any
    draw: Any
    jolt: Any
    text: Any
    guided: Any
    guidance: Any


@dataclasses.dataclass(frozen=True)
class ScheduleStep:
    """Jittable: ((params, key), {"images", "condition", "null", "ids"}) -> {"7/latent": [B,S], ...} float32.

    Minus the errors of (4), mean over the noises, which are those of other scores of the same key and ids.
    """

    functions: DiffusionFunctions
    process: Process
    latent_shape: tuple[int, int, int]
    null_label: int | None
    schedules: tuple[tuple[str, Schedule], ...]
    num_noises: int

    def __call__(self, inputs: tuple[Params, Key[Array, ""]], batch: Rows) -> dict[str, Float[Array, "B _"]]:
        """See the class."""
        params, key = inputs
        keys = draws.image_keys(key, batch["ids"])
        latents = self.functions.encode(params, batch["images"])
        walk = functools.partial(self._walk, params, batch, keys, latents)
        noises = draws.noises(keys, self.num_noises, self.latent_shape)
        found = jax.lax.map(walk, (jnp.arange(self.num_noises), noises)).mean(axis=0)
        ends = np.cumsum([len(schedule.times) for _, schedule in self.schedules])[:-1]
        return {
            f"{name}/{error}": part[:, row].T
            for (name, _), part in zip(self.schedules, jnp.split(found, ends), strict=True)
            for row, error in enumerate(ERRORS)
        }

    def _walk(
        self, params: Params, batch: Rows, keys: Array, latents: Array, of_noise: tuple[Array, Array]
    ) -> Float[Array, "N 3 B"]:
        """Minus the errors of all steps under one noise."""
        number, noise = of_noise
        condition: Any = batch.get("condition")
        noised = any(schedule.text_noise for _, schedule in self.schedules)
        text = _drawn(keys, _TEXT, number, condition.shape[1:]) if noised else 0.0

        def step(state: tuple[Array, Array], here: _Step) -> tuple[tuple[Array, Array], Array]:
            z_t, eps = state
            drawn = jnp.where(here.draw == 0, noise, _drawn(keys, here.draw, number, self.latent_shape))
            eps = jnp.where(here.new, drawn, eps)
            made = here.signal * latents + here.spread * eps
            z_t = jnp.where(here.new, made, z_t + here.jolt * drawn)
            told = condition + here.text * text if noised else condition
            seen = self._seen(params, z_t, here, told, batch)
            level, to, clean = (
                noise_levels(self.process, i) for i in (here.level, here.to, jnp.array(CLEAN))
            )
            restored = ddim(z_t, level, clean, seen)
            picture = self.functions.decode(params, restored)
            differences = eps - seen, latents - restored, batch["images"] - picture
            errors = jnp.stack([-jnp.sum(each**2, axis=(1, 2, 3)) for each in differences])
            return (ddim(z_t, level, to, seen), eps), errors

        nothing = jnp.zeros_like(latents)
        return jax.lax.scan(step, (nothing, nothing), self._steps())[1]

    def _seen(self, params: Params, z_t: Array, here: _Step, told: Any, batch: Rows) -> Array:
        """ε̂ of (1)."""

        def look(z: Array, condition: Any) -> Array:
            return self.functions.denoise(params, z, here.level, condition).eps

        def guided() -> Array:
            null = batch["null"] if self.null_label is None else jnp.full_like(told, self.null_label)
            both = look(side_by_side(z_t, z_t), side_by_side(told, null))
            return both[1::2] + here.guidance * (both[0::2] - both[1::2])

        if all(schedule.guidance is None for _, schedule in self.schedules):
            return look(z_t, told)
        return jax.lax.cond(here.guided, guided, lambda: look(z_t, told))

    def _steps(self) -> _Step:
        """[N] each."""
        rows = [self._step(schedule, i) for _, schedule in self.schedules for i in range(len(schedule.times))]
        return _Step(*(jnp.asarray(np.array(column)) for column in zip(*rows, strict=True)))

    def _step(self, schedule: Schedule, i: int) -> _Step:
        def level(row: int) -> np.int32:
            last = row == len(schedule.times)  # nothing follows
            return np.int32(CLEAN if last else self.process.level(schedule.times[row]))

        a = schedule.noised[i if schedule.fresh else 0]
        share = 0.0 if a == ALL_NOISE else self.process.alphas_cumprod[self.process.level(a)]
        time, scale = schedule.jolt or (None, 0.0)
        return _Step(
            level=level(i),
            to=level(i + 1),
            new=schedule.fresh or i == 0,
            signal=np.float32(np.sqrt(share)),
            spread=np.float32(np.sqrt(1.0 - share)),
            draw=np.int32(i),
            jolt=np.float32(scale if schedule.times[i] == time else 0.0),
            text=np.float32(schedule.text_noise),
            guided=schedule.guidance is not None,
            guidance=np.float32(schedule.guidance or 0.0),
        )


def _drawn(keys: Key[Array, " B"], kind: Any, number: Array, shape: tuple[int, ...]) -> Array:
    """Standard Gaussian [B,*shape], of its own for every image, kind and number."""

    def fold(keys: Key[Array, " B"], value: Any) -> Key[Array, " B"]:
        return jax.vmap(jax.random.fold_in, (0, None))(keys, value)

    return draws.noises(fold(fold(keys, kind), number), 1, shape)[0]

"""From pictures to scores: one compiled step per batch computes everything that was asked for.

What a step does depends on the kind of target, see `jaxaudit.attacks.steps`. Host scores are computed while
the devices are at the next batch.

Axes: B batch, H and W pixels.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.registry import ScorePlan
from jaxaudit.attacks.steps import make_step
from jaxaudit.errors import InputError
from jaxaudit.flops import count_flops
from jaxaudit.sharding import Parallelism, Pending, data_parallel, mesh_of, replicated
from jaxaudit.targets import LatentTarget, TokenTarget, check_labels


def score(
    target: TokenTarget | LatentTarget,
    images: Float[np.ndarray, "B H W 3"],
    labels: Int[np.ndarray, " B"],
    *,
    names: str | Sequence[str] = "default",
    key: Key[Array, ""] | None = None,
    ids: Sequence[Any] | None = None,
    options: MaskedLossConfig | None = None,
) -> dict[str, Float[np.ndarray, " B"]]:
    """Membership scores of images, {name: [B]}, higher = more likely a member.

    Scores that must be fitted to known members first ("diff/prada") are left out of patterns: they are part
    of audits (`jaxaudit.collect_evidence`, `jaxaudit.assess`).

    Args:
      target: from `jaxaudit.load_target`.
      images: [B,H,W,3] float32 in the target's range. labels: [B] classes.
      names: score names or patterns, see `jaxaudit.attacks.registry.get_scores`.
      key: of stochastic scores; default `jax.random.key(0)`. Those of discrete tokens are deterministic.
      ids: B names that stay with the images, from which their random draws follow; default 0 .. B-1, with
        which a stochastic score depends on the place in the batch.
      options: how stochastic scores are measured, for continuous tokens a `MaskedLossConfig`.

    Raises:
      InputError: for unknown or fitted names, images of another shape, labels that are no class of the
        target, or options that do not fit it.
    """
    plan = ScorePlan(make_step(target, names, options).scores)
    kept = [name for name in plan.names if name not in plan.fitted]
    asked_for = {names} if isinstance(names, str) else set(names)
    if wrong := [name for name in plan.fitted if name in asked_for or not kept]:
        raise InputError(
            f"Score {wrong[0]} is fitted to known members and nonmembers: collect evidence and assess it."
        )
    return Scorer(target, kept, key=key, options=options).submit(images, labels, ids=ids).result()


class PendingScores:
    """Scores of a batch that the devices are still computing; `result` waits for them."""

    def __init__(self, plan: ScorePlan, pending: Pending):
        self._plan, self._pending = plan, pending

    def result(self) -> dict[str, Float[np.ndarray, " B"]]:
        """{name: [B]}: the scores, higher = more likely a member, and the features of fitted scores."""
        outputs = self._pending.result()
        return {**self._plan.host(outputs["scores"], outputs["tokens"]), **outputs["features"]}


class Scorer:
    """Computes the same scores for batch after batch.

    Args:
      target: what is scored.
      names: score names or patterns.
      key: of stochastic scores; default `jax.random.key(0)`.
      options: how stochastic scores are measured; None are the published attack's.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      plan: the scores, in order.
      step: what is computed for a batch; its `kind` is that of the target, its `options` those in use.
      params: the parameters, on every device of the mesh.

    Raises:
      InputError: for unknown names, or options that do not fit the target.
    """

    def __init__(
        self,
        target: TokenTarget | LatentTarget,
        names: str | Sequence[str],
        *,
        key: Key[Array, ""] | None = None,
        options: MaskedLossConfig | None = None,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        self.target = target
        self.step = make_step(target, names, options)
        self.plan = ScorePlan(self.step.scores)
        mesh = mesh or mesh_of(target.params)
        self.params = jax.device_put(target.params, replicated(mesh))
        self._key = jax.device_put(jax.random.key(0) if key is None else key, replicated(mesh))
        self._run = _compiled(self.step, mesh, parallelism)

    def flops_per_image(self) -> int:
        """Floating-point operations of matrix products and convolutions that scoring one image takes."""
        size, spec = self.target.preprocessing.image_size, jax.ShapeDtypeStruct
        batch = {
            "images": spec((1, size, size, 3), np.float32),
            "labels": spec((1,), np.int32),
            "ids": spec((1,), np.uint32),
        }
        return count_flops(self.step, (self.params, self._key), batch)

    def submit(
        self,
        images: Float[np.ndarray, "B H W 3"],
        labels: Int[np.ndarray, " B"],
        *,
        ids: Sequence[Any] | None = None,
        padded_size: int = 1,
    ) -> PendingScores:
        """Starts a batch and returns at once.

        Args:
          images: [B,H,W,3] float32 in the target's range. labels: [B] classes.
          ids: B names that stay with the images, see `score`.
          padded_size: rows the batch is filled up to, so that a short batch needs no compilation of its own.

        Raises:
          InputError: if the images have another shape, a label is no class of the target, or there are more
            or fewer ids than images.
        """
        size, labels = self.target.preprocessing.image_size, np.asarray(labels, np.int32)
        if np.shape(images) != (len(labels), size, size, 3):
            raise InputError(
                f"Images of shape {np.shape(images)} do not fit; expected [{len(labels)},{size},{size},3]."
            )
        check_labels(labels, self.target.num_classes)
        ids = range(len(labels)) if ids is None else ids
        if len(ids) != len(labels):
            raise InputError(f"{len(ids)} ids do not fit {len(labels)} images.")
        batch = {
            "images": np.asarray(images, np.float32),
            "labels": labels,
            "ids": np.array([zlib.crc32(str(each).encode()) for each in ids], np.uint32),
        }
        return PendingScores(self.plan, self._run((self.params, self._key), batch, padded_size))


@functools.lru_cache(maxsize=16)  # equal requests share their compiled program
def _compiled(step: Callable[..., Any], mesh: Mesh, parallelism: Parallelism) -> Callable[..., Pending]:
    return data_parallel(step, mesh, parallelism=parallelism)

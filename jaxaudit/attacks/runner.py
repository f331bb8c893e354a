"""From pictures to scores: one compiled step per batch computes everything that was asked for.

What a step does depends on the kind of target, see `jaxaudit.attacks.step`. Host scores are computed while
the devices are at the next batch.

Axes: B batch, H and W pixels, h and w latent pixels, L tokens, D channels of a token or of a caption's token,
T tokens of a caption, c channels of a latent, R noises.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxaudit.attacks.batch import batch_spec, check_images, make_batch
from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.registry import Access, ScorePlan
from jaxaudit.attacks.step import Step
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.errors import InputError
from jaxaudit.runtime.ahead_of_time import Compiled, compile_ahead
from jaxaudit.runtime.mesh import mesh_of, replicated
from jaxaudit.runtime.parallel import Parallelism, Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.targets import AnyArray, Given, Target


def score(
    target: Target,
    images: Float[AnyArray, "B H W 3"] | None = None,
    labels: Given = None,
    *,
    latents: Float[AnyArray, "B L D"] | Float[AnyArray, "B h w c"] | None = None,
    noise: Float[AnyArray, "B h w c"] | Float[AnyArray, "R B h w c"] | None = None,
    null_context: Float[AnyArray, "T D"] | None = None,
    names: str | Sequence[str] = "default",
    access: Access = "white-box",
    key: Key[Array, ""] | None = None,
    ids: Sequence[Any] | np.ndarray | None = None,
    options: MaskedLossConfig | None = None,
) -> dict[str, Float[np.ndarray, " B"]]:
    """Membership scores of images, {name: [B]}, higher = more likely a member.

    Scores that must be fitted to known members first ("diff/prada") are left out of patterns: they are part
    of audits (`jaxaudit.collect_evidence`, `jaxaudit.audits.assess`).

    Args:
      target: from `jaxaudit.load_target`.
      images: [B,H,W,3] float32 in the target's range, as `jaxaudit.data.preprocess` makes them; None if there
        are latents.
      labels: what the images are conditioned on: classes [B]; embeddings of captions [B,T,D] for a model of
        captions; None for an unconditional one.
      latents: instead of images, encoded as the target does, where it has latents (MAR, diffusion).
      noise: diffusion: instead of drawn noises; R noises, or one. The first serves all scores, all serve
        `denoising_loss`.
      null_context: models of captions: the embedding of the empty caption, which `diff/*` and `clid_*` need;
        default what the model has learned in its place, if it has.
      names: score names or patterns, see `jaxaudit.attacks.registry.get_scores`.
      access: "gray-box" leaves scores that need gradients of the model out of patterns.
      key: of stochastic scores; default `jax.random.key(0)`. Those of discrete tokens are deterministic.
      ids: B names that stay with the images, from which their random draws follow; default 0 .. B-1, with
        which a stochastic score depends on the place in the batch.
      options: how stochastic scores are measured, for continuous tokens a `MaskedLossConfig`.

    Raises:
      InputError: for unknown or fitted names, scores that the target or the access does not allow, arrays of
        another shape or that the target has no use for, images that are not in the target's range, labels
        that are no class of the target, or options that do not fit it.
    """
    if images is not None:
        check_images(images, target.preprocessing)
    null_context = target.null_context if null_context is None else null_context
    given = {"access": access, "null_context": null_context is not None}
    plan = ScorePlan(make_step(target, names, options, **given).scores)
    kept = [name for name in plan.names if name not in plan.fitted]
    asked_for = {names} if isinstance(names, str) else set(names)
    if wrong := [name for name in plan.fitted if name in asked_for or not kept]:
        raise InputError(
            f"Score {wrong[0]} is fitted to known members and nonmembers: collect evidence and assess it."
        )
    scorer = Scorer(target, kept, key=key, options=options, access=access, null_context=null_context)
    return scorer.submit(images, labels, latents=latents, noise=noise, ids=ids).result()


@functools.lru_cache(maxsize=64)  # counting traces the whole step
def _flops(step: Step, tree: Any, leaves: tuple[jax.ShapeDtypeStruct, ...]) -> int:
    return step.flops(*jax.tree.unflatten(tree, leaves))


class PendingScores:
    """Scores of a batch that the devices are still computing; `result` waits for them."""

    def __init__(self, plan: ScorePlan, pending: Pending):
        self._plan, self._pending = plan, pending

    def result(self) -> dict[str, Float[np.ndarray, " B"]]:
        """{name: [B]}: the scores, higher = more likely a member; of a fitted one, {"name/feature": [B]}."""
        outputs = self._pending.result()
        features = {
            f"{name}/{feature}": values
            for name, group in outputs["features"].items()
            for feature, values in group.items()
        }
        return {**self._plan.host(outputs["scores"], outputs["tokens"]), **features}


class Scorer:
    """Computes the same scores for batch after batch.

    Args:
      target: what is scored.
      names: score names or patterns.
      key: of stochastic scores; default `jax.random.key(0)`.
      options: how stochastic scores are measured; None are the published attack's.
      access: "gray-box" leaves scores that need gradients of the model out of patterns.
      null_context: [T,D], the embedding of the empty caption, for models of captions; default what the model
        has learned in its place, if it has.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      plan: the scores, in order.
      step: what is computed for a batch; its `kind` is that of the target, its `options` those in use.
      mesh: the devices.
      params: the parameters on them, whole or split as the target says.

    Raises:
      InputError: for unknown names, scores that cannot be had, or options that do not fit the target.
    """

    def __init__(
        self,
        target: Target,
        names: str | Sequence[str],
        *,
        key: Key[Array, ""] | None = None,
        options: MaskedLossConfig | None = None,
        access: Access = "white-box",
        null_context: Float[AnyArray, "T D"] | None = None,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        self.target = target
        null_context = target.null_context if null_context is None else null_context
        self.step = make_step(target, names, options, access=access, null_context=null_context is not None)
        self.plan = ScorePlan(self.step.scores)
        self.mesh = mesh = mesh or mesh_of(target.params)
        self._parallelism: Parallelism = parallelism
        self.params = place(target.params, target.partition, mesh)
        self._key = jax.device_put(jax.random.key(0) if key is None else key, replicated(mesh))
        self._null_context = null_context
        self._run = data_parallel(self.step, mesh, parallelism=parallelism)

    def flops_per_image(self) -> int:
        """Floating-point operations of matrix products and convolutions that scoring one image takes.

        Where their number depends on the image, the least: see `Cost` and `evaluations`.
        """
        arguments = jax.eval_shape(lambda *given: given, (self.params, self._key), self._spec(1))
        leaves, tree = jax.tree.flatten(arguments)
        return _flops(self.step, tree, tuple(leaves))

    def features(self) -> dict[str, tuple[str, ...]]:
        """{fitted score: the names of its features}; nothing is computed."""
        if not self.plan.fitted:
            return {}
        outputs = jax.eval_shape(self.step, (self.params, self._key), self._spec(1))
        return {name: tuple(outputs["features"][name]) for name in self.plan.fitted}

    def compile(self, batch_size: int) -> Compiled:
        """Compiles what `submit` will run for batches of this size; nothing is scored.

        JAX keeps what it compiled where it has a folder for that, and takes it from there at the next start.
        """
        inputs, batch = (self.params, self._key), self._spec(batch_size)
        return compile_ahead(self.step, inputs, batch, self.mesh, parallelism=self._parallelism)

    def _spec(self, count: int) -> dict[str, jax.ShapeDtypeStruct]:
        return batch_spec(self.target, count, null_context=self._null_context is not None)

    def evaluations(self) -> dict[str, dict[str, int]] | None:
        """How often a diffusion model's network looks at one image; None for other kinds of target.

        {"planned": what is done, "naive": the sum over the scores, each computed alone}, each {"forwards",
        "gradients", "passes"}: forward passes alone, those with the gradient by the input, and the passes of
        both, a gradient being a forward and a backward one.
        """
        if (found := self.step.evaluations()) is None:
            return None
        return {name: {**dataclasses.asdict(cost), "passes": cost.passes} for name, cost in found.items()}

    def passes(self) -> dict[str, int]:
        """{score: passes through the network that it takes for one image on its own}; see `Step.passes`."""
        return self.step.passes()

    def submit(
        self,
        images: Float[AnyArray, "B H W 3"] | None = None,
        labels: Given = None,
        *,
        latents: Float[AnyArray, "B L D"] | Float[AnyArray, "B h w c"] | None = None,
        noise: Float[AnyArray, "B h w c"] | Float[AnyArray, "R B h w c"] | None = None,
        ids: Sequence[Any] | np.ndarray | None = None,
        padded_size: int = 1,
    ) -> PendingScores:
        """Starts a batch and returns at once.

        Args:
          images, labels, latents, noise, ids: see `score`.
          padded_size: rows the batch is filled up to, so that a short batch needs no compilation of its own.

        Raises:
          InputError: if something is missing, has another shape or is of no use to the target, a label is no
            class of it, or there are more or fewer ids than images.
        """
        batch = make_batch(
            self.target,
            images,
            labels,
            latents=latents,
            noise=noise,
            null_context=self._null_context,
            ids=ids,
        )
        return PendingScores(self.plan, self._run((self.params, self._key), batch, padded_size))

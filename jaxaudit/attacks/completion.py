"""Extraction: does a model, given the beginning of a training image, produce the rest of it?

    rank      one teacher-forced pass over an image: how much of it the model predicts (candidate scores)
    complete  the image's first steps are kept, the model continues from its class or caption, nothing is
              drawn at random where it need not be: discrete tokens greedily, without guidance, with a
              key/value cache

A completion close to the original image is an extraction. The candidate scores, higher = more memorised:

    discrete    greedy_match      share of the tokens that are the model's greedy choice
                greedy_match_ref  the same over the last scale (VAR) or the last 99 tokens (RAR), as published
    continuous  latent_match      minus the squared distance of true and drawn latents, 5% of them visible
                latent_match_ref  the same with the published pairing of tokens, which is wrong for many

MAR generates in any order: one permutation of the positions, the same for all images, says which tokens are
visible when ranking and which come first when completing. Seed 0 gives the published one.

Source: Kowalczuk, Dubiński, Boenisch, Dziedzic, "Privacy attacks on image autoregressive models", ICML 2025
(arXiv 2502.02514), section 6.

Axes: B batch, H and W pixels, L tokens, D channels of a latent, M hidden tokens.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxaudit.attacks.condition import condition_arrays
from jaxaudit.attacks.step import Rows
from jaxaudit.data import to_unit
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.runtime.mesh import mesh_of, replicated
from jaxaudit.runtime.parallel import Parallelism, Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.targets import ContinuousFunctions, DiscreteFunctions, Given, Params, Target
from jaxaudit_kernels import draws
from jaxaudit_kernels.memorization_scores import (
    greedy_matches,
    latent_distance,
    match_rate,
    published_latent_distance,
)

Inputs = tuple[Params, Key[Array, ""]]

_PUBLISHED_LAST = 99  # tokens of a model without scales that the published ranking looks at
_HIDDEN = 0.95  # share of hidden latents when ranking
_LARGEST_SHARE = 0.25  # of an image that a default prefix may give away


@dataclasses.dataclass(frozen=True)
class DiscreteExtraction:
    """What is computed for discrete tokens. Methods are jittable and take (params, key) and a batch.

    Its "condition" are labels [B], or embeddings of captions [B,T,D]. Nothing is drawn; `seed` is not used.
    """

    functions: DiscreteFunctions
    tokens_per_step: tuple[int, ...]
    seed: int
    scores = ("greedy_match", "greedy_match_ref")
    prefix_tokens = (0, 1, 5, 14, 30)

    def rank(self, inputs: Inputs, batch: Rows) -> dict[str, Float[Array, " B"]]:
        """{candidate score: [B]} of images [B,H,W,3] and their condition."""
        params, _ = inputs
        tokens = self.functions.encode(params, batch["images"])
        hidden = self.functions.hidden(params, tokens, batch["condition"])
        matches = greedy_matches(hidden, *self.functions.head(params), tokens)
        scale = self.tokens_per_step[-1]
        last = scale if scale > 1 else min(_PUBLISHED_LAST, sum(self.tokens_per_step))
        return {"greedy_match": match_rate(matches), "greedy_match_ref": match_rate(matches, last=last)}

    def encode(self, inputs: Inputs, batch: Rows) -> Int[Array, "B L"]:
        """The tokens of images [B,H,W,3]."""
        return self.functions.encode(inputs[0], batch["images"])

    def complete(self, inputs: Inputs, batch: Rows, *, prefix: int) -> Float[Array, "B H W 3"]:
        """Images in the target's range, from the first `prefix` steps of tokens [B,L] and a condition."""
        params, _ = inputs
        tokens = self.functions.complete(params, batch["tokens"], batch["condition"], prefix)
        return self.functions.decode(params, tokens)


@dataclasses.dataclass(frozen=True)
class ContinuousExtraction:
    """What is computed for continuous tokens, as `DiscreteExtraction`; `ids` [B] uint32 seed the draws."""

    functions: ContinuousFunctions
    tokens_per_step: tuple[int, ...]
    seed: int
    scores = ("latent_match", "latent_match_ref")
    prefix_tokens = (0, 1, 2, 5)

    def rank(self, inputs: Inputs, batch: Rows) -> dict[str, Float[Array, " B"]]:
        """{candidate score: [B]} of images [B,H,W,3] and their condition."""
        params, key = inputs
        latents = self.functions.encode(params, batch["images"])
        order, length = self.order, sum(self.tokens_per_step)
        hidden = np.sort(order[: math.ceil(_HIDDEN * length)])
        positions = jnp.broadcast_to(jnp.asarray(hidden, jnp.int32), (len(latents), len(hidden)))
        z = self.functions.conditions(params, latents, batch["condition"], positions)
        predicted = self.functions.sample(params, z, draws.image_keys(key, batch["ids"]))
        published = published_latent_distance(latents, predicted, order, assumed=int(_HIDDEN * length))
        return {
            "latent_match": -latent_distance(latents, predicted, hidden),
            "latent_match_ref": -published,
        }

    def encode(self, inputs: Inputs, batch: Rows) -> Float[Array, "B L D"]:
        """The latents of images [B,H,W,3]."""
        return self.functions.encode(inputs[0], batch["images"])

    def complete(self, inputs: Inputs, batch: Rows, *, prefix: int) -> Float[Array, "B H W 3"]:
        """Images in the target's range, from the first `prefix` steps of latents [B,L,D] and a condition."""
        params, key = inputs
        latents, keys = batch["tokens"], draws.image_keys(key, batch["ids"])
        order = jnp.broadcast_to(jnp.asarray(self.order[::-1], jnp.int32), latents.shape[:2])
        latents = self.functions.complete(params, latents, batch["condition"], prefix, order, keys)
        return self.functions.decode(params, latents)

    @property
    def order(self) -> Int[np.ndarray, " L"]:
        """The positions, those generated last first, as published (its random generator is frozen)."""
        return np.random.RandomState(self.seed).permutation(sum(self.tokens_per_step))


_EXTRACTIONS = {"discrete": DiscreteExtraction, "continuous": ContinuousExtraction}


class ExtractionAttack:
    """Ranks and completes batch after batch; a result follows from the image, its condition, id and the seed.

    Args:
      target: from `jaxaudit.load_target`, of discrete or continuous tokens.
      seed: of all draws (continuous tokens only).
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      mesh: the devices.
      scores: names of the candidate scores, the default one first.
      prefixes: default numbers of generation steps that are kept, ascending, see `default_prefixes`.

    Raises:
      InputError: if the target does not generate tokens one after the other.
    """

    def __init__(
        self,
        target: Target,
        *,
        seed: int = 0,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        if target.kind not in _EXTRACTIONS:
            raise InputError(
                f"{target.name} has no beginning to be completed from: extraction takes models that generate "
                f"tokens, and this is a {target.kind} target."
            )
        self._extraction = _EXTRACTIONS[target.kind](target.functions, target.tokens_per_step, seed)
        self.target, self.scores = target, self._extraction.scores
        self.prefixes = default_prefixes(target.tokens_per_step, self._extraction.prefix_tokens)
        self.mesh = mesh = mesh or mesh_of(target.params)
        key = jax.device_put(jax.random.key(seed), replicated(mesh))
        self._inputs = place(target.params, target.partition, mesh), key
        self._parallel = functools.partial(data_parallel, mesh=mesh, parallelism=parallelism)

    def rank(
        self,
        images: Float[np.ndarray, "B H W 3"],
        condition: Given,
        *,
        ids: Sequence[Any] | np.ndarray,
        padded_size: int = 1,
    ) -> Pending:
        """Starts a batch; its result is {candidate score: [B]}, higher = more memorised.

        Args:
          images: [B,H,W,3] float32 in the target's range.
          condition: classes [B], or embeddings of captions [B,T,D], as the target wants.
          ids: B names that stay with the images, from which their draws follow.
          padded_size: rows the batch is filled up to.

        Raises:
          InputError: if the condition has another shape, or a label is no class of the target.
        """
        batch = {"images": np.asarray(images, np.float32), **self._told(condition, ids)}
        return self._run(_Task(self._extraction, "rank"), batch, padded_size)

    def encode(self, images: Float[np.ndarray, "B H W 3"], *, padded_size: int = 1) -> Pending:
        """Starts a batch; its result are tokens [B,L], or latents [B,L,D]."""
        batch = {"images": np.asarray(images, np.float32)}
        return self._run(_Task(self._extraction, "encode"), batch, padded_size)

    def complete(
        self,
        tokens: Int[np.ndarray, "B L"] | Float[np.ndarray, "B L D"],
        condition: Given,
        prefix: int,
        *,
        ids: Sequence[Any] | np.ndarray,
        padded_size: int = 1,
    ) -> Pending:
        """Starts a batch; its result are the completed images [B,H,W,3] in the target's range.

        `prefix` generation steps of the `tokens` are kept; other arguments and errors as for `rank`.

        Raises:
          InputError: if `prefix` is not in 0 .. steps of the target - 1.
        """
        check_prefixes((prefix,), self.target.tokens_per_step)
        batch = {"tokens": np.asarray(tokens), **self._told(condition, ids)}
        return self._run(_Task(self._extraction, "complete", int(prefix)), batch, padded_size)

    def _run(self, task: _Task, batch: Mapping[str, np.ndarray], padded_size: int) -> Pending:
        return self._parallel(task)(self._inputs, batch, padded_size)

    def to_unit(self, images: Float[np.ndarray, "B H W 3"]) -> Float[np.ndarray, "B H W 3"]:
        """Images from the target's range to [0,1]."""
        return to_unit(images, self.target.preprocessing)

    def _told(self, condition: Given, ids: Sequence[Any] | np.ndarray) -> dict[str, np.ndarray]:
        told = condition_arrays(self.target, condition, len(ids))
        return {"condition": told["condition"], "ids": draws.id_numbers(ids)}


@dataclasses.dataclass(frozen=True)
class _Task:
    """A method of an extraction as a value, so that equal ones share their compiled program."""

    extraction: DiscreteExtraction | ContinuousExtraction
    method: Literal["rank", "encode", "complete"]
    prefix: int | None = None

    def __call__(self, inputs: Inputs, batch: Rows) -> Any:
        method = getattr(self.extraction, self.method)
        return method(inputs, batch) if self.prefix is None else method(inputs, batch, prefix=self.prefix)


def default_prefixes(tokens_per_step: Sequence[int], tokens: Sequence[int]) -> tuple[int, ...]:
    """Numbers of generation steps to keep: as many as fit in each of these numbers of `tokens`, ascending.

    The published numbers of tokens (30 are 4 VAR scales or 30 RAR tokens) are a small share of a 256 px
    image. Of a smaller one no more than a quarter is given away, or there would be nothing left to extract.
    """
    given = np.cumsum([0, *tokens_per_step[:-1]])
    most = _LARGEST_SHARE * sum(tokens_per_step)
    return tuple(sorted({int(np.searchsorted(given, min(count, most), "right")) - 1 for count in tokens}))


def check_prefixes(prefixes: Sequence[int], tokens_per_step: Sequence[int]) -> None:
    """Raises InputError unless every prefix leaves at least one of the steps of generation to the model."""
    for prefix in prefixes:
        if not 0 <= prefix < (steps := len(tokens_per_step)):
            raise InputError(
                f"A prefix of {prefix} steps is not in 0..{steps - 1}: the target generates an image in "
                f"{steps} steps, of which the model must take one at least."
            )


def check_score(name: str, known: Sequence[str]) -> None:
    """Raises InputError unless `name` is a candidate score of the target."""
    if name not in known:
        raise unknown_name("candidate score", name, known)

"""From pictures to scores: one compiled step per batch computes everything that was asked for.

    tokens ← encode(images)                                once per picture
    hidden ← generator(tokens, [label, null label])        both views as one batch
    statistics → device scores                             logits exist for a few tokens at a time
    host scores                                            while the devices are at the next batch

Axes: B batch, H and W pixels, L tokens, C width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxaudit.attacks.registry import Score, ScorePlan, get_scores
from jaxaudit.errors import InputError
from jaxaudit.sharding import Parallelism, Pending, data_parallel, mesh_of, replicated
from jaxaudit.targets import Params, TokenFunctions, TokenTarget, check_labels
from jaxaudit_kernels.likelihood import TokenStatistics, chunked_token_statistics, guided_token_statistics


def score(
    target: TokenTarget,
    images: Float[np.ndarray, "B H W 3"],
    labels: Int[np.ndarray, " B"],
    *,
    names: str | Sequence[str] = "default",
    key: jax.Array | None = None,
) -> dict[str, Float[np.ndarray, " B"]]:
    """Membership scores of images, {name: [B]}, higher = more likely a member.

    Args:
      target: from `jaxaudit.load_target`.
      images: [B,H,W,3] float32 in the target's range. labels: [B] classes.
      names: score names or patterns, see `jaxaudit.attacks.registry.get_scores`.
      key: of stochastic scores; those of discrete tokens are deterministic and ignore it.

    Raises:
      InputError: for unknown names, images of another shape, or labels that are no class of the target.
    """
    del key
    return Scorer(target, names).submit(images, labels).result()


class PendingScores:
    """Scores of a batch that the devices are still computing; `result` waits for them."""

    def __init__(self, plan: ScorePlan, pending: Pending):
        self._plan, self._pending = plan, pending

    def result(self) -> dict[str, Float[np.ndarray, " B"]]:
        """{name: [B]}, higher = more likely a member."""
        outputs = self._pending.result()
        return self._plan.host(outputs["scores"], outputs["tokens"])


class Scorer:
    """Computes the same scores for batch after batch.

    Args:
      target: what is scored.
      names: score names or patterns.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Attributes:
      plan: the scores, in order.
      params: the parameters, on every device of the mesh.
    """

    def __init__(
        self,
        target: TokenTarget,
        names: str | Sequence[str],
        *,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        self.target = target
        self.plan = ScorePlan(get_scores(names, "discrete"))
        mesh = mesh or mesh_of(target.params)
        self.params = jax.device_put(target.params, replicated(mesh))
        self._run = _compiled(target.functions, self.plan.scores, target.null_label, mesh, parallelism)

    def submit(
        self, images: Float[np.ndarray, "B H W 3"], labels: Int[np.ndarray, " B"], *, padded_size: int = 1
    ) -> PendingScores:
        """Starts a batch and returns at once.

        Args:
          images: [B,H,W,3] float32 in the target's range. labels: [B] classes.
          padded_size: rows the batch is filled up to, so that a short batch needs no compilation of its own.

        Raises:
          InputError: if the images have another shape, or a label is no class of the target.
        """
        size, labels = self.target.preprocessing.image_size, np.asarray(labels, np.int32)
        if np.shape(images) != (len(labels), size, size, 3):
            raise InputError(
                f"Images of shape {np.shape(images)} do not fit; expected [{len(labels)},{size},{size},3]."
            )
        check_labels(labels, self.target.num_classes)
        batch = {"images": np.asarray(images, np.float32), "labels": labels}
        return PendingScores(self.plan, self._run(self.params, batch, padded_size))


@functools.lru_cache(maxsize=16)  # equal requests share their compiled program
def _compiled(
    functions: TokenFunctions,
    scores: tuple[Score, ...],
    null_label: int,
    mesh: Mesh,
    parallelism: Parallelism,
) -> Callable[..., Pending]:
    plan = ScorePlan(scores)

    def step(params: Params, batch: Mapping[str, Array]) -> dict[str, Any]:
        tokens = functions.encode(params, batch["images"])
        statistics = _statistics(functions, params, tokens, batch["labels"], null_label, plan.inputs)
        return {"tokens": tokens, "scores": plan.device(statistics)}

    return data_parallel(step, mesh, parallelism=parallelism)


def _statistics(
    functions: TokenFunctions,
    params: Params,
    tokens: Int[Array, "B L"],
    labels: Int[Array, " B"],
    null_label: int,
    views: frozenset[str],
) -> dict[str, TokenStatistics]:
    """The token statistics of the `views`; the null label costs a forward pass only where one needs it."""
    kernel, bias = functions.head(params)
    if views == {"cond"}:
        hidden = functions.hidden(params, tokens, labels)
        return {"cond": chunked_token_statistics(hidden, kernel, bias, tokens)}
    # Label and null label of an image side by side, so that a batch spread over devices stays where it is.
    both = jnp.stack([labels, jnp.full_like(labels, null_label)], axis=1).reshape(-1)
    hidden = functions.hidden(params, jnp.repeat(tokens, 2, axis=0), both)
    hidden = hidden.reshape(len(labels), 2, *hidden.shape[1:])
    return guided_token_statistics(hidden[:, 0], hidden[:, 1], kernel, bias, tokens)

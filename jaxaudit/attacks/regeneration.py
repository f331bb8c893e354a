"""With what probability would sampling bring an image back?  From one teacher-forced pass, drawing nothing.

The sampler of an autoregressive model draws the tokens of an image's step n, its earlier tokens being as they
are, with probability q_n (`jaxaudit_kernels.sampling_law`), VAR's tokens of one scale independently. So

  log p_z(prefix) = sum over the steps after the prefix of log q_n                                       (1)

is exact, and a step's sum of log q_n is all that is kept. What is never drawn has log q = -inf, here -1e30.

Source: Hayes et al., "Measuring memorization through probabilistic discoverable extraction", NAACL 2025
(arXiv 2410.19482); of language models, here of images.

Axes: B batch, H and W pixels, L tokens, S steps of generation, C channels of a hidden state, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxaudit.attacks.condition import condition_arrays
from jaxaudit.attacks.step import Rows, no_null_context, side_by_side
from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import mesh_of
from jaxaudit.runtime.parallel import Parallelism, Pending, data_parallel
from jaxaudit.runtime.partition import place
from jaxaudit.targets import DiscreteFunctions, DiscreteTarget, Given, Params, Target
from jaxaudit_kernels.chunks import map_chunks
from jaxaudit_kernels.precision import matmul_precision
from jaxaudit_kernels.sampling_law import Sampler, guidance_scales, guided, log_probability

NEVER = -1e30
"""The log-probability of what is never drawn, so that sums and files hold finite numbers."""
_CHUNK = 32  # tokens whose logits exist at once


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a model is sampled.

    Attributes:
      sampler: temperature, top-k and top-p.
      guidance: at the last step, 1 for none; how it grows is the model's `guidance_schedule`.
      guidance_power: of a schedule that is a cosine, > 0; 1 for other schedules.
    """

    sampler: Sampler = dataclasses.field(default_factory=Sampler)
    guidance: float = 1.0
    guidance_power: float = 1.0


PLAIN = Sampling()
"""Temperature 1, nothing left out, no guidance."""


@dataclasses.dataclass(frozen=True)
class _Step:
    """Jittable: (params, {"images", "condition", "null"}) -> log q summed within steps, [B,S] float32."""

    functions: DiscreteFunctions
    tokens_per_step: tuple[int, ...]
    null_label: int | None
    sampler: Sampler
    scales: tuple[float, ...]

    def __call__(self, params: Params, batch: Rows) -> Float[Array, "B S"]:
        tokens = self.functions.encode(params, batch["images"])
        kernel, bias = self.functions.head(params)
        bias = bias.astype(jnp.float32)[None, None]
        scales = jnp.repeat(jnp.asarray(self.scales, jnp.float32), np.array(self.tokens_per_step))
        states = self._states(params, tokens, batch)

        precision = matmul_precision(kernel.dtype)

        def chunk(tokens: Array, scales: Array, *hidden: Array) -> Array:
            logits = [
                jnp.matmul(h, kernel, precision=precision, preferred_element_type=jnp.float32) + bias
                for h in hidden
            ]
            chosen = guided(logits[0], logits[1], scales) if len(logits) == 2 else logits[0]
            return log_probability(chosen, tokens, self.sampler)

        scales = jnp.broadcast_to(scales[None], tokens.shape)
        each = map_chunks(chunk, (tokens, scales, *states), axis=1, chunk_size=_CHUNK)
        steps = jnp.split(each, np.cumsum(self.tokens_per_step)[:-1], axis=1)
        return jnp.maximum(jnp.stack([step.sum(axis=1) for step in steps], axis=1), NEVER)

    def _states(self, params: Params, tokens: Array, batch: Rows) -> list[Float[Array, "B L C"]]:
        """Hidden states of the condition, and of the null condition if guidance needs them."""
        condition = batch["condition"]
        if all(scale == 1 for scale in self.scales):
            return [self.functions.hidden(params, tokens, condition)]
        null = batch["null"] if self.null_label is None else jnp.full_like(condition, self.null_label)
        both = self.functions.hidden(params, side_by_side(tokens, tokens), side_by_side(condition, null))
        return [both[0::2], both[1::2]]


class RegenerationAttack:
    """Batch after batch, the log-probability with which sampling draws an image's tokens, step by step.

    Args:
      target: of discrete tokens.
      sampling: how it is sampled.
      mesh: devices to spread a batch over; default those that hold the target's parameters.
      parallelism: "jit" or "pmap".

    Raises:
      InputError: if the target has no likelihood of tokens, guidance has nothing to be guided away from, or
        its power is not positive or not 1 where guidance grows by no cosine.
    """

    def __init__(
        self,
        target: Target,
        sampling: Sampling = PLAIN,
        *,
        mesh: Mesh | None = None,
        parallelism: Parallelism = "jit",
    ):
        if not isinstance(target, DiscreteTarget):
            raise InputError(
                f"{target.name} is a {target.kind} target and gives no probability of tokens; take one of "
                "discrete tokens (VAR, RAR, LlamaGen)."
            )
        guides = sampling.guidance != 1
        if guides and target.context_shape and target.null_context is None:
            raise InputError(f"--guidance={sampling.guidance:g}: {no_null_context(target)}.")
        _check_power(target, sampling.guidance_power)
        self.target, self.sampling, self.mesh = target, sampling, mesh or mesh_of(target.params)
        steps = len(target.tokens_per_step)
        scales = guidance_scales(
            target.guidance_schedule, sampling.guidance, steps, power=sampling.guidance_power
        )
        step = _Step(
            target.functions,
            target.tokens_per_step,
            target.null_label,
            sampling.sampler,
            tuple(scales.tolist()),
        )
        self._params = place(target.params, target.partition, self.mesh)
        self._run = data_parallel(step, self.mesh, parallelism=parallelism)

    def submit(
        self,
        images: Float[np.ndarray, "B H W 3"],
        condition: Given,
        *,
        padded_size: int = 1,
    ) -> Pending:
        """Starts a batch; its result is [B,S] float32, log q of every step in nats.

        Args:
          images: [B,H,W,3] float32 in the target's range.
          condition: classes [B], or embeddings of captions [B,T,D], as the target wants.
          padded_size: rows the batch is filled up to.

        Raises:
          InputError: if the condition has another shape, or a label is no class of the target.
        """
        told = condition_arrays(self.target, condition, len(images))
        return self._run(self._params, {"images": np.asarray(images, np.float32), **told}, padded_size)


def _check_power(target: DiscreteTarget, power: float) -> None:
    """Raises InputError unless guidance may grow with it."""
    if not power > 0:
        raise InputError(f"--guidance_power={power:g} is not positive.")
    if power != 1 and target.guidance_schedule != "cosine":
        raise InputError(
            f"--guidance_power={power:g} is for guidance that grows by a cosine; that of {target.name} is "
            f"{target.guidance_schedule}."
        )


def log_probabilities(
    steps: Float[np.ndarray, "N S"], prefixes: Sequence[int]
) -> dict[int, Float[np.ndarray, " N"]]:
    """{prefix: [N] log p_z in nats}, (1), summed in float64; -inf for what is never drawn."""
    steps = np.asarray(steps, np.float64)
    sums = {prefix: steps[:, prefix:].sum(axis=1) for prefix in prefixes}
    return {prefix: np.where(total <= NEVER / 2, -np.inf, total) for prefix, total in sums.items()}

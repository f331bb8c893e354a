"""Work that is timed in turn with a matrix product, so that a machine that is busy in between slows both.

Every stage stands between two matrix products, and is compared with their mean:

    share = (F / s) / (2 n³ / mean(s_before, s_after))                                             (1)

F operations of the stage, s seconds, n the side of the product; the median over rounds counts. The same is
formed of the processor seconds of this process, which other programs take nothing of; they see no idle core.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxaudit.results import StageSpeed
from jaxaudit.runtime.flops import count_flops
from jaxaudit_kernels.precision import matmul_precision


@dataclasses.dataclass(frozen=True)
class Stage:
    """Something to be timed.

    Attributes:
      call: does it, and returns what must be waited for.
      flops: multiplications and additions of one call; 0 for work outside JAX.
    """

    call: Callable[[], Any]
    flops: int = 0

    @classmethod
    def of(cls, function: Callable[..., Any], *arguments: Any) -> Stage:
        """A program of JAX on these arguments, compiled when it is first called; its operations counted."""
        return cls(functools.partial(jax.jit(function), *arguments), count_flops(function, *arguments))


@dataclasses.dataclass(frozen=True)
class Lap:
    """Seconds of one call: those that passed, and those that the processors spent on this process."""

    wall: float
    cpu: float


def matrix_product(side: int, dtype: DTypeLike, *, seed: int = 0) -> Stage:
    """Two square matrices of `dtype`, multiplied with sums in float32."""
    matrix = jax.random.normal(jax.random.key(seed), (side, side), dtype)
    return Stage.of(
        functools.partial(jnp.matmul, precision=matmul_precision(dtype), preferred_element_type=jnp.float32),
        matrix,
        matrix,
    )


def time_in_turn(
    stages: Mapping[str, Stage], product: Stage, *, rounds: int, batch_size: int
) -> dict[str, StageSpeed]:
    """How fast each stage is, and under "matmul" how fast the product is.

    Args:
      stages: in order; a first call of each compiles it and is told as `first_call_s`.
      product: from `matrix_product`.
      rounds: timed calls of each.
      batch_size: images of one call of a stage.
    """
    lap(product)
    first = {name: lap(stage) for name, stage in stages.items()}
    products: list[Lap] = []
    laps: dict[str, list[tuple[Lap, Lap]]] = {name: [] for name in stages}
    for _ in range(rounds):
        before = lap(product)
        products.append(before)
        for name, stage in stages.items():
            found, after = lap(stage), lap(product)
            products.append(after)
            laps[name].append((found, _mean(before, after)))
            before = after
    return {
        "matmul": _speed([(each, each) for each in products], product, product, images=0, first=None),
        **{
            name: _speed(laps[name], stage, product, images=batch_size, first=first[name].wall)
            for name, stage in stages.items()
        },
    }


def time_side_by_side(
    ours: Callable[[], Any], other: Callable[[], Any], *, rounds: int
) -> tuple[list[Lap], list[Lap]]:
    """The laps of two programs, called alternately; a first call of each is not counted."""
    pair = Stage(ours), Stage(other)
    laps: tuple[list[Lap], list[Lap]] = [], []
    for number in range(rounds + 1):
        for stage, of_stage in zip(pair, laps, strict=True):
            found = lap(stage)
            if number:
                of_stage.append(found)
    return laps


def speedup(ours: Sequence[Lap], other: Sequence[Lap], clock: Literal["wall", "cpu"]) -> float:
    """The other's seconds over ours, median over rounds."""
    pairs = zip(ours, other, strict=True)
    return float(np.median([getattr(theirs, clock) / getattr(mine, clock) for mine, theirs in pairs]))


def lap(stage: Stage) -> Lap:
    """Runs it and waits for the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(stage.call())
    return Lap(time.perf_counter() - wall, time.process_time() - cpu)


def _mean(*laps: Lap) -> Lap:
    return Lap(*(float(np.mean([getattr(each, name) for each in laps])) for name in ("wall", "cpu")))


def _speed(
    laps: list[tuple[Lap, Lap]], stage: Stage, product: Stage, *, images: int, first: float | None
) -> StageSpeed:
    """(1), of laps of a stage and of the product beside each."""
    seconds = float(np.median([found.wall for found, _ in laps]))

    def share(clock: str) -> float | None:
        if not stage.flops:
            return None
        ratios = [getattr(beside, clock) / getattr(found, clock) for found, beside in laps]
        return float(np.median(ratios)) * stage.flops / product.flops

    return StageSpeed(
        images_per_s=images / seconds if images else None,
        gflop_per_image=stage.flops / images / 1e9 if images and stage.flops else None,
        gflop_per_s=stage.flops / seconds / 1e9 if stage.flops else None,
        share_of_matmul=share("wall"),
        share_of_matmul_cpu=share("cpu"),
        first_call_s=first,
    )

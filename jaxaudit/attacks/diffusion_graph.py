"""What some scores of a diffusion model need, computed together: each thing once, like things in one go.

What a score measures is written as a graph of small values. A node says what it needs and how it follows from
that, and is its own name: two scores that need the same need one node. Nodes that look at the network are in
`jaxaudit.attacks.diffusion_nodes`; those that scores are computed from, in `jaxaudit.attacks.diffusion`.

`execute` works in waves: of all nodes whose needs are met, those of a kind are stacked and mapped over, so
that the compiled program holds the network once per kind of node and wave, however many timesteps there are.

A level is an index of the target's process (CLEAN: no noise), or RANDOM, drawn for each image. Timesteps, by
which scores are named, have their levels from `Setting.level`.

Axes: B images, h and w latent pixels, c channels, R noises, N nodes of a kind.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from jaxaudit_kernels.denoising import Denoise
from jaxaudit_kernels.process import Denoised, NoiseLevel, Process, noise_levels

Level = int | Literal["random"]
RANDOM: Level = "random"
Results = Mapping["Node", Any]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Evaluations of the network, and of the autoencoder beside it, for one image.

    Attributes:
      forwards: forward passes alone.
      gradients: with the gradient by the input, a forward and a backward pass each.
      weight_gradients: with the gradient by the weights, the same.
      encodings: by the autoencoder, beside that of the picture.
      decodings: by the autoencoder.
      decoder_gradients: backward through its decoder; all share one forward pass, which is not counted.
    """

    forwards: int = 0
    gradients: int = 0
    weight_gradients: int = 0
    encodings: int = 0
    decodings: int = 0
    decoder_gradients: int = 0

    @property
    def passes(self) -> int:
        """Passes through the network, forward or backward."""
        return self.forwards + 2 * (self.gradients + self.weight_gradients)

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(operator.add, dataclasses.astuple(self), dataclasses.astuple(other)))


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a graph depends on beside its scores.

    Attributes:
      process: the target's.
      num_noises: R.
    """

    process: Process
    num_noises: int

    def level(self, timestep: int, *, published: bool = False) -> int:
        """The level of a timestep.

        `published`: as the published audits count, who give the network the timestep as its time. Where that
        counts from 1 (U-ViT), it is the level before, and CLEAN for 0. They know networks that count alone;
        to others the timestep is what it is for every score.
        """
        level = self.process.level(timestep)
        if published and self.process.counts_timesteps:
            return level - int(self.process.times[0])
        return level


@dataclasses.dataclass(frozen=True)
class Run:
    """One batch under one model.

    Attributes:
      setting: see `Setting`.
      denoise: the model, see `jaxaudit_kernels.denoising`.
      denoise_masked: the same with a share of the tokens hidden, None where the model has not learned that.
      denoise_by: the same as a function of the weights as well, which come first.
      weights: of the network.
      encode: images -> latents.
      decode: latents -> images.
      reconstruct: the same as a smooth function, not clamped.
      keys: [B], from which an image's draws follow.
      images: [B,H,W,3], None if only latents are known.
      latents: z [B,h,w,c].
      noises: [R,B,h,w,c].
      random_level: [B].
      condition: what the images are conditioned on, None if nothing is.
      null: the absence of it, None if there is none.
    """

    setting: Setting
    denoise: Denoise
    denoise_masked: Denoise | None
    denoise_by: Callable[[Any, Array, Array, Any], Denoised]
    weights: Any
    encode: Callable[[Array], Array]
    decode: Callable[[Array], Array]
    reconstruct: Callable[[Array], Array]
    keys: Key[Array, " B"]
    images: Float[Array, "B H W 3"] | None
    latents: Float[Array, "B h w c"]
    noises: Float[Array, "R B h w c"]
    random_level: Int[Array, " B"]
    condition: Any
    null: Any

    def levels(self, levels: Sequence[Level]) -> NoiseLevel:
        """N levels, [N,B]."""
        batch = len(self.latents)
        index = [jnp.full(batch, level) if isinstance(level, int) else self.random_level for level in levels]
        return noise_levels(self.setting.process, jnp.stack(index))

    def conditioned(self, null: Bool[Array, ""]) -> Any:
        """The condition, or its absence where `null`."""
        return self.condition if self.null is None else jnp.where(null, self.null, self.condition)


class Node:
    """A value that follows from others. Subclasses are frozen dataclasses.

    Attributes:
      reads_images: whether it needs the picture; latents are not enough.
      reads_autoencoder: whether it says nothing of a model without one.
    """

    reads_images: ClassVar[bool] = False
    reads_autoencoder: ClassVar[bool] = False

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """What must be known before."""
        return ()

    def value(self, run: Run, results: Results) -> Any:
        """What it is, from the values of its needs."""
        raise NotImplementedError

    def cost(self) -> Cost:
        """Evaluations of the network that it takes beside its needs."""
        return Cost()

    @property
    def richer(self) -> Node | None:
        """A node whose value is this one's and more: where it is computed, this one is not."""
        return None

    @property
    def kind(self) -> Any:
        """Nodes of the same kind are computed together."""
        return type(self)

    @classmethod
    def values(cls, nodes: Sequence[Any], run: Run, results: Results) -> Sequence[Any]:
        """The values of nodes of one kind; where there may be many, in one go."""
        return [node.value(run, results) for node in nodes]


def stack(trees: Sequence[Any]) -> Any:
    """Equal trees of arrays as one, along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree: Any) -> list[Any]:
    """The trees along the first axis."""
    return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(len(jax.tree.leaves(tree)[0]))]


def required(wanted: Iterable[Node], setting: Setting) -> tuple[Node, ...]:
    """The nodes that must be known for `wanted`, each after its needs."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in found:
            for need in node.needs(setting):
                visit(need)
            found[node] = None

    for node in wanted:
        visit(node)
    return tuple(found)


def cost(wanted: Iterable[Node], setting: Setting) -> Cost:
    """What computing `wanted` together takes."""
    nodes = required(wanted, setting)
    return sum((node.cost() for node in nodes if node.richer not in nodes), Cost())


def execute(wanted: Iterable[Node], run: Run) -> dict[Node, Any]:
    """The values of `wanted` and of what they need. Jittable."""
    nodes = required(wanted, run.setting)
    same = {node: node.richer for node in nodes if node.richer in nodes}
    pending = [node for node in nodes if node not in same]
    results: dict[Node, Any] = {}
    while pending:
        ready = [node for node in pending if results.keys() >= set(node.needs(run.setting))]
        pending = [node for node in pending if node not in ready]
        wave: dict[Any, list[Node]] = {}
        for node in ready:
            wave.setdefault(node.kind, []).append(node)
        for alike in wave.values():
            results |= zip(alike, alike[0].values(alike, run, results), strict=True)
        results |= {node: results[richer] for node, richer in same.items() if richer in results}
    return results

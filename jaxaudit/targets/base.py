"""What every kind of target has in common.

Axes: B batch, H height, W width, T tokens and D channels of a caption's embedding.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.runtime.partition import Rules
from jaxaudit.targets.autoencoder import Autoencoder

Params = Any
"""A tree of parameters, nested dicts of arrays."""

AnyArray = Array | np.ndarray
"""What a caller may pass, on a device or not."""

HiddenLayers = Mapping[str, tuple[str, ...]]
"""{name: path in `params` of the linear map before the activation function}, the first layer first.

The map's `kernel` [...,F] makes the F hidden units of the layer, one per channel of its last axis; in a gated
layer it is the map of the values, not that of the gates.
"""
Condition = Int[Array, " B"] | Float[Array, "B T D"] | None
"""What a model is conditioned on: class labels, embeddings of captions, or nothing."""

Given = Int[AnyArray, " B"] | Float[AnyArray, "B T D"] | None
"""The same, as a caller hands it over."""

Kind = Literal["discrete", "continuous", "diffusion"]
"""What a model generates: discrete tokens, continuous tokens, or latents by diffusion."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class BaseTarget:
    """The fields and checks that every kind of target has.

    Attributes:
      kind: what attacks, units and reports go by.
      name: the built-in name or the directory it was loaded from.
      family: the model family, for people and files only.
      platform: that its functions are to be compiled for, "cpu", "gpu" or "tpu".
      params: the parameters of the generator and of its tokenizer, if it has one, one tree.
      functions: the pure functions over `params`.
      preprocessing: how a picture becomes the `images` of `encode`.
      num_classes: class labels are 0 .. num_classes - 1; 0 where labels are no condition.
      has_null_label: whether the model has been trained without a class, too.
      context_shape: (T, D) of a caption's embedding, None where captions are no condition.
      embed_captions: B captions -> [B,T,D], the model's text encoder; None without one, then captions come
        embedded.
      null_path: path in `params` of the embedding [T,D] that a model of captions has learned for no caption;
        None: that of the empty caption stands for none.
      tokens_per_step: how many tokens each step of generation makes, in order; () for a model that generates
        none.
      latent_shape: of the latents that stand for an image: (L, D) continuous tokens, or (h, w, c); None for
        discrete tokens.
      hidden_layers: those whose units `activations` shows; layers may differ in width.
      autoencoder: what its pictures come through; None for a model that generates pixels.
      partition: how its parameters are split where one device is too small for them.
      provenance: where the weights came from (source files and their sha256, licence, versions).
    """

    kind: ClassVar[Kind]

    name: str
    family: str
    params: Params
    functions: Any
    preprocessing: Preprocessing
    num_classes: int
    latent_shape: tuple[int, ...] | None
    has_null_label: bool = True
    context_shape: tuple[int, int] | None = None
    embed_captions: Callable[[Sequence[str]], Float[np.ndarray, "B T D"]] | None = None
    null_path: tuple[str, ...] | None = None
    tokens_per_step: tuple[int, ...] = ()
    hidden_layers: HiddenLayers = dataclasses.field(default_factory=dict)
    autoencoder: Autoencoder | None = None
    partition: Rules = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    platform: str = dataclasses.field(default_factory=jax.default_backend)

    @property
    def num_tokens(self) -> int:
        """L, the tokens of one image; 0 for a model that generates none."""
        return sum(self.tokens_per_step)

    @property
    def null_label(self) -> int | None:
        """The label of the unconditional view, `num_classes`; None where there is none."""
        return self.num_classes or None if self.has_null_label else None

    @property
    def null_context(self) -> Float[AnyArray, "T D"] | None:
        """What a model of captions has learned to read where there is none; None: it has learned nothing."""
        return None if self.null_path is None else _leaf(self.params, self.null_path)

    @property
    def num_params(self) -> int:
        """Number of parameters, generator and tokenizer together."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    @property
    def hidden_widths(self) -> dict[str, int]:
        """{layer: F}, the number of units of every hidden layer, from the first to the last."""
        return {
            name: _leaf(self.params, (*path, "kernel")).shape[-1] for name, path in self.hidden_layers.items()
        }

    def _activations(self, *inputs: Any) -> dict[str, Float[Array, "B N _"]]:
        found = self._compiled("activations")(self.params, *inputs)
        return {name: found[name] for name in self.hidden_layers}  # jit returns them sorted by name

    def _compiled(self, function: str, *, static: tuple[int, ...] = ()) -> Callable[..., Any]:
        return _compile(getattr(self.functions, function), static)

    def _images(self, images: Float[AnyArray, "B H W 3"]) -> Float[Array, "B H W 3"]:
        size = self.preprocessing.image_size
        if np.ndim(images) != 4 or tuple(np.shape(images)[1:]) != (size, size, 3):
            raise InputError(f"Images of shape {np.shape(images)} do not fit; expected [B,{size},{size},3].")
        return jnp.asarray(images, jnp.float32)

    def _labels(self, labels: Any) -> Int[Array, " B"]:
        given = np.asarray(labels)
        check_labels(given, self.num_classes, has_null_label=self.has_null_label)
        return jnp.asarray(given, jnp.int32)

    def _condition(self, condition: Given, batch: int) -> Condition:
        shape = None if condition is None else np.shape(condition)
        if self.num_classes:
            if shape != (batch,):
                raise InputError(f"The condition must be {batch} class labels, one per image.")
            return self._labels(condition)
        if self.context_shape:
            if shape != (batch, *self.context_shape):
                tokens, channels = self.context_shape
                raise InputError(
                    f"The condition must be embeddings of captions [{batch},{tokens},{channels}], "
                    f"not {shape or 'None'}."
                )
            return jnp.asarray(condition, jnp.float32)
        if condition is not None:
            raise InputError("The model is unconditional; its condition must be None.")
        return None


def _leaf(params: Params, path: tuple[str, ...]) -> Any:
    return functools.reduce(operator.getitem, path, params)


def check_prefix(prefix: int, tokens_per_step: tuple[int, ...]) -> None:
    """Raises InputError if `prefix` is no number of generation steps."""
    if not 0 <= prefix <= len(tokens_per_step):
        raise InputError(f"prefix={prefix} is not in 0..{len(tokens_per_step)}.")


def check_labels(labels: Int[np.ndarray, " B"], num_classes: int, *, has_null_label: bool = True) -> None:
    """Raises InputError if a label is neither a class (0 .. num_classes - 1) nor the null label num_classes.

    An embedding lookup out of range would be clamped silently and score the wrong class.
    """
    wrong = np.unique(labels[(labels < 0) | (labels >= num_classes + has_null_label)])
    if wrong.size:
        null = f"{num_classes} is its null label" if has_null_label else "it has no null label"
        raise InputError(
            f"Label {wrong[0]} is out of range: the target has classes 0..{num_classes - 1} ({null})."
        )


@functools.lru_cache(maxsize=64)  # equal functions share their compiled program
def _compile(function: Callable[..., Any], static: tuple[int, ...]) -> Callable[..., Any]:
    return jax.jit(function, static_argnums=static)

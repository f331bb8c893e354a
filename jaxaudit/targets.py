"""What an attack may ask of a model.

Axes: B batch, H height, W width, L tokens, V vocabulary, C channels of a hidden state.

A target is a small frozen record: the parameters, the facts an attack needs, and pure functions
`f(params, ...)`. Its methods bind the parameters and compile once; sharded programs call the functions
themselves. Nothing outside `jaxaudit.families` knows which model family a target came from.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.precision import matmul_precision
from jaxaudit_kernels.diffusion import Schedule

Params = Any
Condition = Int[Array, " B"] | Float[Array, "B T D"] | None
"""What a diffusion model is conditioned on: class labels, embeddings of captions, or nothing."""


@dataclasses.dataclass(frozen=True)
class TokenFunctions:
    """The pure functions of a discrete-token model. Every one takes `params` first and is jittable.

    Attributes:
      encode: images [B,H,W,3] float32 in the target's range -> tokens [B,L] int32.
      decode: tokens [B,L] int32 -> images [B,H,W,3] float32 in the target's range, clamped.
      hidden: (tokens [B,L], labels [B]) -> hidden states [B,L,C], teacher forced: row n has seen tokens < n
        (VAR: the scales before that of n) and is what `head` turns into the logits of token n.
      head: () -> (kernel [C,V], bias [V]): logits = hidden @ kernel + bias.
      activations: (tokens, labels) -> {block index: [B,L,F]}, the MLP's hidden units after GELU.
      complete: (tokens, labels, prefix) -> tokens [B,L]; keeps the first `prefix` (static int) scales or
        tokens and continues greedily, with a key/value cache.
    """

    encode: Callable[..., Int[Array, "B L"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    hidden: Callable[..., Float[Array, "B L C"]]
    head: Callable[[Params], tuple[Float[Array, "C V"], Float[Array, " V"]]]
    activations: Callable[..., dict[int, Float[Array, "B L F"]]]
    complete: Callable[..., Int[Array, "B L"]]


@dataclasses.dataclass(frozen=True, eq=False)
class TokenTarget:
    """An autoregressive image generator over discrete tokens (VAR, RAR).

    Attributes:
      name: the built-in name or the directory it was loaded from.
      family: the model family, for people and files only.
      params: the parameters of the generator and of its tokenizer, one tree.
      functions: the pure functions over `params`.
      preprocessing: how a picture becomes the `images` of `encode`.
      num_classes: class labels are 0 .. num_classes - 1.
      vocab_size: V.
      steps: number of tokens predicted together, in order; their sum is L (VAR: one entry per scale,
        RAR: all ones).
      provenance: where the weights came from (source files and their sha256, licence, versions).
    """

    name: str
    family: str
    params: Params
    functions: TokenFunctions
    preprocessing: Preprocessing
    num_classes: int
    vocab_size: int
    steps: tuple[int, ...]
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def null_label(self) -> int:
        """The label of the unconditional view."""
        return self.num_classes

    @property
    def num_tokens(self) -> int:
        """L, the tokens of one image."""
        return sum(self.steps)

    @property
    def num_params(self) -> int:
        """Number of parameters, generator and tokenizer together."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    def encode(self, images: Float[Array, "B H W 3"]) -> Int[Array, "B L"]:
        """Tokens [B,L] int32 of images [B,H,W,3] float32 in the target's range."""
        return self._compiled("encode")(self.params, _images(images, self.preprocessing.image_size))

    def decode(self, tokens: Int[Array, "B L"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._tokens(tokens))

    def logits(self, tokens: Int[Array, "B L"], labels: Int[Array, " B"]) -> Float[Array, "B L V"]:
        """Teacher-forced logits [B,L,V] float32; row n predicts token n. No label is ever dropped.

        For the null view pass labels filled with `null_label`. Holds all logits: audits use the chunked
        statistics of `jaxaudit_kernels.likelihood` instead.
        """
        return self._compiled("logits")(self.params, self._tokens(tokens), self._labels(labels))

    def activations(
        self, tokens: Int[Array, "B L"], labels: Int[Array, " B"]
    ) -> dict[int, Float[Array, "B L F"]]:
        """{block: [B,L,F]}: the hidden units of each block's MLP after GELU, teacher forced."""
        return self._compiled("activations")(self.params, self._tokens(tokens), self._labels(labels))

    def complete(self, tokens: Int[Array, "B L"], labels: Int[Array, " B"], prefix: int) -> Int[Array, "B L"]:
        """Keeps the first `prefix` steps (VAR scales, RAR tokens) of `tokens`; the rest is the greedy choice.

        Raises:
          InputError: if `prefix` is not in 0 .. number of steps.
        """
        if not 0 <= prefix <= len(self.steps):
            raise InputError(f"prefix={prefix} is not in 0..{len(self.steps)}.")
        return self._compiled("complete")(self.params, self._tokens(tokens), self._labels(labels), prefix)

    def _compiled(self, function: str) -> Callable[..., Any]:
        return _compile(self.functions, function)

    def _tokens(self, tokens: Int[Array, "B L"]) -> Int[Array, "B L"]:
        if np.ndim(tokens) != 2 or np.shape(tokens)[1] != self.num_tokens:
            raise InputError(
                f"Tokens of shape {np.shape(tokens)} do not fit; expected [B,{self.num_tokens}]."
            )
        return jnp.asarray(tokens, jnp.int32)

    def _labels(self, labels: Int[Array, " B"]) -> Int[Array, " B"]:
        return _labels(labels, self.num_classes)


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Raises InputError if a label is neither a class (0 .. num_classes - 1) nor the null label num_classes.

    An embedding lookup out of range would be clamped silently and score the wrong class.
    """
    wrong = np.unique(labels[(labels < 0) | (labels > num_classes)])
    if wrong.size:
        raise InputError(
            f"Label {wrong[0]} is out of range: the target has classes 0..{num_classes - 1} "
            f"({num_classes} is its null label)."
        )


def _images(images: Float[Array, "B H W 3"], size: int) -> Float[Array, "B H W 3"]:
    if np.ndim(images) != 4 or tuple(np.shape(images)[1:]) != (size, size, 3):
        raise InputError(f"Images of shape {np.shape(images)} do not fit; expected [B,{size},{size},3].")
    return jnp.asarray(images, jnp.float32)


def _labels(labels: Int[Array, " B"], num_classes: int) -> Int[Array, " B"]:
    labels = np.asarray(labels)
    check_labels(labels, num_classes)
    return jnp.asarray(labels, jnp.int32)


@functools.lru_cache(maxsize=64)
def _compile(functions: Any, name: str) -> Callable[..., Any]:
    if name == "logits":
        return jax.jit(functools.partial(_logits, functions))
    return jax.jit(getattr(functions, name), static_argnums=(3,) if name == "complete" else ())


def _logits(functions: TokenFunctions, params: Params, tokens: Array, labels: Array) -> Array:
    kernel, bias = functions.head(params)
    hidden = functions.hidden(params, tokens, labels)
    precision = matmul_precision(hidden.dtype)
    logits = jnp.matmul(hidden, kernel, precision=precision, preferred_element_type=jnp.float32)
    return logits + bias.astype(jnp.float32)[None, None]


@dataclasses.dataclass(frozen=True)
class LatentFunctions:
    """The pure functions of a continuous-token model. Every one takes `params` first and is jittable.

    Axes: M hidden tokens, R noises of a token, D channels of a token, F hidden units of an MLP.
    `hidden` [B,M] int32 are the positions of the hidden tokens, all different in a row; `key` has one key per
    image, so that no result depends on the rest of the batch.

    Attributes:
      encode: (images [B,H,W,3] float32 in the target's range, key=None) -> latents [B,L,D] float32, scaled as
        the model reads them: the posterior's mean, or with a key a draw.
      decode: latents -> images [B,H,W,3] float32 in the target's range, clamped.
      conditions: (latents, labels [B], hidden) -> z [B,M,C] float32, what the model knows of each hidden
        token from the visible ones.
      head_losses: (z [B,M,C], latents [B,M,D], timestep, noise [R,B,M,D]) -> {"mse", "vb", "loss"}, each
        [R,B,M] float32: the training loss of the given clean tokens under each noise. `timestep` is a scalar,
        [B,M], or [R,B,M]; in the first two forms the noises share the conditioning, computed once.
      sample: (z [B,M,C], key) -> latents [B,M,D] drawn from the model.
      activations: (latents, labels, hidden) -> {block index: [B,N,F]}, the MLP's hidden units after GELU; the
        blocks of the encoder (N: class positions, visible tokens), then those of the decoder (all tokens).
      complete: (latents, labels, prefix, order [B,L], key) -> latents [B,L,D]; keeps the tokens of the first
        `prefix` (static int) generation steps and draws the others. `order` lists the positions in the order
        in which they are generated.
    """

    encode: Callable[..., Float[Array, "B L D"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    conditions: Callable[..., Float[Array, "B M C"]]
    head_losses: Callable[..., dict[str, Float[Array, "R B M"]]]
    sample: Callable[..., Float[Array, "B M D"]]
    activations: Callable[..., dict[int, Float[Array, "B N F"]]]
    complete: Callable[..., Float[Array, "B L D"]]


@dataclasses.dataclass(frozen=True, eq=False)
class LatentTarget:
    """A masked autoregressive image generator over continuous tokens (MAR).

    Attributes:
      name: the built-in name or the directory it was loaded from.
      family: the model family, for people and files only.
      params: the parameters of the generator and of its tokenizer, one tree.
      functions: the pure functions over `params`.
      preprocessing: how a picture becomes the `images` of `encode`.
      num_classes: class labels are 0 .. num_classes - 1.
      latent_dim: D, channels of a token.
      num_timesteps: timesteps of the diffusion loss are 0 .. num_timesteps - 1, from clean to noise.
      steps: number of tokens generated together, in order; their sum is L.
      provenance: where the weights came from (source files and their sha256, licence, versions).
    """

    name: str
    family: str
    params: Params
    functions: LatentFunctions
    preprocessing: Preprocessing
    num_classes: int
    latent_dim: int
    num_timesteps: int
    steps: tuple[int, ...]
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def null_label(self) -> int:
        """The label of the unconditional view."""
        return self.num_classes

    @property
    def num_tokens(self) -> int:
        """L, the tokens of one image."""
        return sum(self.steps)

    @property
    def num_params(self) -> int:
        """Number of parameters, generator and tokenizer together."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    def encode(
        self, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B L D"]:
        """Latents [B,L,D] float32 of images [B,H,W,3] float32 in the target's range.

        The posterior's mean, or with `key`, one per image, a draw.
        """
        return self._compiled("encode")(self.params, _images(images, self.preprocessing.image_size), key)

    def decode(self, latents: Float[Array, "B L D"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._latents(latents))

    def token_losses(
        self,
        latents: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        mask: Int[Array, "B L"],
        timestep: int | Int[Array, "B L"],
        noise: Float[Array, "B L D"],
    ) -> dict[str, Float[Array, "B L"]]:
        """The diffusion loss of every hidden token, given the visible ones. No label is ever dropped.

        Args:
          latents: clean tokens.
          labels: class labels, or `null_label`.
          mask: 1 where a token is hidden, else 0; every row hides the same number.
          timestep: 0 .. num_timesteps - 1, for all tokens or for each.
          noise: standard Gaussian; only that of hidden tokens is used.

        Returns:
          "mse", "vb" (bits) and "loss", their sum, float32; 0 at visible tokens.

        Raises:
          InputError: if a shape, label, mask or timestep does not fit.
        """
        times = np.asarray(timestep)
        if times.shape not in ((), np.shape(mask)) or times.dtype.kind not in "iu":
            raise InputError(f"timestep must be an int or ints of the mask's shape {np.shape(mask)}.")
        if np.any(wrong := (times < 0) | (times >= self.num_timesteps)):
            raise InputError(f"Timestep {times[wrong].flat[0]} is not in 0..{self.num_timesteps - 1}.")
        return _compile_losses(self.functions)(
            self.params,
            self._latents(latents),
            self._labels(labels),
            self._hidden(mask),
            jnp.asarray(times, jnp.int32),
            self._latents(noise),
        )

    def activations(
        self, latents: Float[Array, "B L D"], labels: Int[Array, " B"], mask: Int[Array, "B L"]
    ) -> dict[int, Float[Array, "B N F"]]:
        """{block: [B,N,F]}: each MLP's hidden units after GELU, the encoder's blocks, then the decoder's.

        `mask` is that of `token_losses`. N are the class positions and the visible tokens in the encoder, the
        class positions and all tokens in the decoder.
        """
        return self._compiled("activations")(
            self.params, self._latents(latents), self._labels(labels), self._hidden(mask)
        )

    def complete(
        self,
        latents: Float[Array, "B L D"],
        labels: Int[Array, " B"],
        prefix: int,
        *,
        order: Int[Array, "B L"],
        key: Key[Array, " B"],
    ) -> Float[Array, "B L D"]:
        """Keeps the tokens of the first `prefix` generation steps of `latents` and draws the others.

        Args:
          latents: clean tokens; those of later steps are not read.
          labels: class labels, or `null_label`.
          prefix: number of steps to keep.
          order: the positions in the order in which they are generated.
          key: one per image.

        Raises:
          InputError: if `prefix` is not in 0 .. number of steps, or a row of `order` is no permutation.
        """
        if not 0 <= prefix <= len(self.steps):
            raise InputError(f"prefix={prefix} is not in 0..{len(self.steps)}.")
        order = np.asarray(order)
        if order.shape != np.shape(latents)[:2] or np.any(np.sort(order, 1) != np.arange(self.num_tokens)):
            raise InputError(
                f"order must list the positions 0..{self.num_tokens - 1} once in each of B rows."
            )
        return self._compiled("complete")(
            self.params,
            self._latents(latents),
            self._labels(labels),
            prefix,
            jnp.asarray(order, jnp.int32),
            key,
        )

    def _compiled(self, function: str) -> Callable[..., Any]:
        return _compile(self.functions, function)

    def _latents(self, latents: Float[Array, "B L D"]) -> Float[Array, "B L D"]:
        if np.ndim(latents) != 3 or np.shape(latents)[1:] != (self.num_tokens, self.latent_dim):
            raise InputError(
                f"Latents of shape {np.shape(latents)} do not fit; "
                f"expected [B,{self.num_tokens},{self.latent_dim}]."
            )
        return jnp.asarray(latents, jnp.float32)

    def _labels(self, labels: Int[Array, " B"]) -> Int[Array, " B"]:
        return _labels(labels, self.num_classes)

    def _hidden(self, mask: Int[Array, "B L"]) -> Int[Array, "B M"]:
        """The positions where the mask is 1, ascending."""
        mask = np.asarray(mask)
        if mask.ndim != 2 or mask.shape[1] != self.num_tokens or not np.isin(mask, (0, 1)).all():
            raise InputError(f"The mask must hold 0 and 1 in the shape [B,{self.num_tokens}].")
        counts = np.unique(mask.sum(1, dtype=int))
        if len(counts) != 1 or counts[0] == 0:
            raise InputError(
                "Every row of the mask must hide the same number of tokens, at least one; "
                f"its rows hide {', '.join(map(str, counts))}."
            )
        return jnp.asarray(np.nonzero(mask)[1].reshape(len(mask), -1), jnp.int32)


@functools.lru_cache(maxsize=64)
def _compile_losses(functions: LatentFunctions) -> Callable[..., Any]:
    return jax.jit(functools.partial(_token_losses, functions))


def _token_losses(
    functions: LatentFunctions,
    params: Params,
    latents: Array,
    labels: Array,
    hidden: Array,
    timestep: Array,
    noise: Array,
) -> dict[str, Array]:
    rows = jnp.arange(len(latents))[:, None]
    z = functions.conditions(params, latents, labels, hidden)
    if timestep.ndim:
        timestep = timestep[rows, hidden]
    losses = functions.head_losses(params, z, latents[rows, hidden], timestep, noise[rows, hidden][None])
    visible = jnp.zeros(latents.shape[:2], jnp.float32)
    return {name: visible.at[rows, hidden].set(loss[0]) for name, loss in losses.items()}


@dataclasses.dataclass(frozen=True)
class DiffusionFunctions:
    """The pure functions of a diffusion model. Every one takes `params` first and is jittable.

    Axes: h and w latent pixels, c channels of a latent, N tokens of a block, F hidden units of an MLP.
    `condition` is what the target says: labels [B], captions [B,T,D], or None.

    Attributes:
      encode: (images [B,H,W,3] float32 in the target's range, key=None) -> latents [B,h,w,c] float32, scaled
        as the model reads them: the posterior's mean, or with a key per image a draw.
      decode: latents -> images [B,H,W,3] float32 in the target's range, clamped.
      network: (z_t [B,h,w,c], time, condition) -> the network's output, float32: the noise ε̂ [B,h,w,c], or
        with a learned variance [ε̂, v] [B,h,w,2c]. `time`, a scalar or [B], is what the network is told:
        `schedule.timesteps[t]` for timestep t, and any other number it can make sense of.
      predict_noise: (z_t, timestep, condition) -> ε̂ [B,h,w,c] float32. `timestep`, a scalar or [B], is an
        index of the schedule.
      activations: (z_t, timestep, condition) -> {block index: [B,N,F]}, the MLP's hidden units after GELU.
    """

    encode: Callable[..., Float[Array, "B h w c"]]
    decode: Callable[..., Float[Array, "B H W 3"]]
    network: Callable[..., Float[Array, "B h w out"]]
    predict_noise: Callable[..., Float[Array, "B h w c"]]
    activations: Callable[..., dict[int, Float[Array, "B N F"]]]


@dataclasses.dataclass(frozen=True, eq=False)
class DiffusionTarget:
    """A diffusion model that predicts the noise in an image's latents (DiT, U-ViT).

    Attributes:
      name: the built-in name or the directory it was loaded from.
      family: the model family, for people and files only.
      params: the parameters of the generator and, unless it works on pixels, of its autoencoder, one tree.
      functions: the pure functions over `params`.
      preprocessing: how a picture becomes the `images` of `encode`.
      latent_shape: (h, w, c).
      num_classes: class labels are 0 .. num_classes - 1; 0 where labels are no condition.
      context_shape: (T, D) of a caption's embedding, None where captions are no condition.
      schedule: the noise levels; its index is the timestep t, 0 .. num_timesteps - 1, from nearly clean to
        noise, in every family, whatever the network itself counts from.
      learned_variance: whether the network predicts the variance of the reverse step beside the noise.
      provenance: where the weights came from (source files and their sha256, licence, versions).
    """

    name: str
    family: str
    params: Params
    functions: DiffusionFunctions
    preprocessing: Preprocessing
    latent_shape: tuple[int, int, int]
    num_classes: int
    context_shape: tuple[int, int] | None
    schedule: Schedule
    learned_variance: bool
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def null_label(self) -> int | None:
        """The label of the unconditional view; None where labels are no condition."""
        return self.num_classes or None

    @property
    def num_timesteps(self) -> int:
        """Number of timesteps."""
        return len(self.schedule.betas)

    @property
    def alphas_cumprod(self) -> Float[np.ndarray, " num_timesteps"]:
        """ᾱ_t float64, the share of an image's variance left at timestep t: z_t = √ᾱ_t z_0 + √(1 − ᾱ_t) ε."""
        return self.schedule.alphas_cumprod

    @property
    def num_params(self) -> int:
        """Number of parameters, generator and autoencoder together."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    def encode(
        self, images: Float[Array, "B H W 3"], key: Key[Array, " B"] | None = None
    ) -> Float[Array, "B h w c"]:
        """Latents [B,h,w,c] float32 of images [B,H,W,3] float32 in the target's range.

        The posterior's mean, or with `key`, one per image, a draw.
        """
        return self._compiled("encode")(self.params, _images(images, self.preprocessing.image_size), key)

    def decode(self, latents: Float[Array, "B h w c"]) -> Float[Array, "B H W 3"]:
        """Images [B,H,W,3] float32 in the target's range."""
        return self._compiled("decode")(self.params, self._latents(latents))

    def predict_noise(
        self,
        z_t: Float[Array, "B h w c"],
        timestep: int | Int[Array, " B"],
        condition: Condition = None,
    ) -> Float[Array, "B h w c"]:
        """The noise ε̂ [B,h,w,c] float32 the model sees in noised latents. No label is ever dropped.

        Args:
          z_t: √ᾱ_t z_0 + √(1 − ᾱ_t) ε.
          timestep: t, 0 .. num_timesteps - 1, for all images or for each.
          condition: class labels or `null_label`, captions' embeddings, or None, as the target wants.

        Raises:
          InputError: if a shape, timestep or label does not fit, or the condition is of the wrong kind.
        """
        return self._compiled("predict_noise")(self.params, *self._inputs(z_t, timestep, condition))

    def activations(
        self,
        z_t: Float[Array, "B h w c"],
        timestep: int | Int[Array, " B"],
        condition: Condition = None,
    ) -> dict[int, Float[Array, "B N F"]]:
        """{block: [B,N,F]}: the hidden units of each block's MLP after GELU; arguments of `predict_noise`."""
        return self._compiled("activations")(self.params, *self._inputs(z_t, timestep, condition))

    def _compiled(self, function: str) -> Callable[..., Any]:
        return _compile(self.functions, function)

    def _inputs(self, z_t: Array, timestep: Any, condition: Condition) -> tuple[Array, Array, Condition]:
        z_t = self._latents(z_t)
        return z_t, self._timestep(timestep, len(z_t)), self._condition(condition, len(z_t))

    def _latents(self, latents: Float[Array, "B h w c"]) -> Float[Array, "B h w c"]:
        if np.ndim(latents) != 4 or tuple(np.shape(latents)[1:]) != self.latent_shape:
            raise InputError(
                f"Latents of shape {np.shape(latents)} do not fit; expected [B,"
                f"{','.join(map(str, self.latent_shape))}]."
            )
        return jnp.asarray(latents, jnp.float32)

    def _timestep(self, timestep: Any, batch: int) -> Int[Array, ...]:
        times = np.asarray(timestep)
        if times.shape not in ((), (batch,)) or times.dtype.kind not in "iu":
            raise InputError(f"timestep must be an int or {batch} ints, one per image.")
        if np.any(wrong := (times < 0) | (times >= self.num_timesteps)):
            raise InputError(f"Timestep {times[wrong].flat[0]} is not in 0..{self.num_timesteps - 1}.")
        return jnp.asarray(times, jnp.int32)

    def _condition(self, condition: Condition, batch: int) -> Condition:
        shape = None if condition is None else np.shape(condition)
        if self.num_classes:
            if shape != (batch,):
                raise InputError(f"The condition must be {batch} class labels, one per image.")
            return _labels(condition, self.num_classes)
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


Target = TokenTarget | LatentTarget | DiffusionTarget
"""Whatever can be audited."""

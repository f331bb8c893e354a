"""The contract of a model family: all that the rest of the house asks of one, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.models.attention_backend import AttentionChoice
from jaxaudit.runtime.partition import Rules
from jaxaudit.targets import Params, Target


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a family knows about a released target: everything but the weights.

    Attributes:
      config: {"generator": ..., "tokenizer": ...}, plain JSON-able dicts.
      preprocessing: how a picture becomes the target's input.
      num_params: learned parameters of each part.
      sources: address of the released file of each part.
      licence: SPDX identifier of the released weights.
    """

    config: Mapping[str, Any]
    preprocessing: Preprocessing
    num_params: Mapping[str, int]
    sources: Mapping[str, str]
    licence: str


@runtime_checkable
class Family(Protocol):
    """A family is a module with these names.

    A `config` is a plain JSON-able dict {"generator": {...}, "tokenizer": {...}} with the fields of the two
    frozen config dataclasses. A diffusion model in pixel space has "tokenizer": None and no parameters of
    that name; models over tokens also read "output_noise" (`jaxaudit.families.noise`), and models of captions
    may have a "text_encoder" and its parameters (`jaxaudit.families.captions`). Everything else, such as its
    kind, its hidden layers and what it computes, is asked of the target.

    Attributes:
      VARIANTS: the released targets by name.
      PARTITION: how the parameters are split where one device is too small for them; also the target's.
    """

    VARIANTS: dict[str, Variant]
    PARTITION: Rules

    def abstract_params(self, config: Mapping[str, Any]) -> Params:
        """Shapes and dtypes of the parameters, {"generator": ..., "tokenizer": ...}; nothing is computed.

        Raises:
          InputError: if the config holds what it should not, or its two parts do not fit each other.
        """
        ...

    def build_target(
        self,
        name: str,
        config: Mapping[str, Any],
        params: Params,
        preprocessing: Preprocessing,
        provenance: Mapping[str, Any],
        *,
        dtype: DTypeLike = jnp.float32,
        platform: str | None = None,
        attention: AttentionChoice = "auto",
    ) -> Target:
        """The target with these parameters; equal configs share their functions, hence compiled programs.

        Args:
          name: built-in name or directory.
          config: as above.
          params: a tree of the shapes of `abstract_params(config)`.
          preprocessing: how a picture becomes the target's input.
          provenance: where the weights came from.
          dtype: of the computation; parameters keep their own.
          platform: that its functions will be compiled for, "cpu", "gpu" or "tpu"; None: this process's.
          attention: what computes the generator's attention over whole images; it changes scores by rounding.

        Raises:
          InputError: as `abstract_params`, or if the preprocessing makes pictures of another size, or the
            attention asked for cannot be used.
        """
        ...

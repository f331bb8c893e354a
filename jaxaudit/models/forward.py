"""Flax modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn


def forward(
    module: nn.Module, params: Any, *inputs: Any, method: str | Callable[..., Any] = "__call__"
) -> Any:
    """What a method of a module makes of the inputs; `params` are the module's own.

    Flax's `apply`, which by its type might return changed variables too.
    """
    return module.apply({"params": params}, *inputs, method=method)

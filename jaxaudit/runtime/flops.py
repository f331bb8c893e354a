"""How much arithmetic a program asks for: multiplications and additions of matrix products and convolutions.

Counted on the traced program, so that loops count as often as they run; XLA's own cost analysis counts the
body of a loop once. Elementwise work is left out: it is a small share, and what it costs is memory traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

_CUDNN_ATTENTION = {"dot_product_attention_fwd_wrapper": 2, "dot_product_attention_bwd_wrapper": 5}
"""Products of queries and keys, or as large ones, in what JAX calls cuDNN's attention."""


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Floating-point operations of one call of `function` on arguments of these shapes; nothing is computed.

    Args:
      function: traceable by JAX.
      arguments: arrays or `jax.ShapeDtypeStruct`s.

    Raises:
      ValueError: if the program has a loop whose length is only known when it runs.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, dimensions = equation.invars[1].aval.shape, params["dimension_numbers"]
        out_channels = kernel[dimensions.rhs_spec[0]]
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // out_channels
    if name == "scan":
        return params["length"] * _count(params["jaxpr"].jaxpr)
    if name == "pallas_call":
        return math.prod(params["grid_mapping"].grid) * _count(params["jaxpr"])
    if name in _CUDNN_ATTENTION:
        (batch, queries, heads, width), keys = (equation.invars[i].aval.shape for i in (0, 1))
        return _CUDNN_ATTENTION[name] * 2 * batch * heads * queries * keys[1] * width
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in params["branches"])
    inside = sum(_count(inner) for inner in _inner_programs(params))
    if name == "while" and inside:
        raise ValueError("The program has a loop whose length is not known before it runs.")
    return inside


def _inner_programs(params: dict[str, Any]) -> list[core.Jaxpr]:
    found = [value for value in params.values() if isinstance(value, core.Jaxpr | core.ClosedJaxpr)]
    return [value.jaxpr if isinstance(value, core.ClosedJaxpr) else value for value in found]

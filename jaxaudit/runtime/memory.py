"""How much memory a program takes at once, and how much it moves: a model of what compilers make of it.

Elementwise work is taken to be fused into what reads it, and an array to exist in memory where it is made by
a product, a reduction, a sort or a gather, is read by several equations, or is what a product reads. It lives
from the equation that makes it to the last one that reads it, if only through what was fused between:

    (1)  peak    = max over equations of  Σ bytes of the arrays alive
    (2)  traffic = Σ over equations, as often as they run, of  bytes read + bytes made

Arguments are not part of the peak, for they are known exactly. A loop's body uses the same memory every time;
one whose length is only known when it runs counts as running once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend import core

_PRODUCTS = frozenset({"dot_general", "conv_general_dilated", "ragged_dot_general"})
_LAYOUT = frozenset(
    {"broadcast_in_dim", "convert_element_type", "expand_dims", "reshape", "squeeze", "transpose", "slice"}
)
_ELEMENTWISE = """
    abs add and clamp copy copy_p cos div eq erf erf_inv exp exp2 expm1 floor ge gt integer_pow iota is_finite
    le log log1p logistic lt max min mul ne neg not or pow rem round rsqrt select_n shift_left sign sin sqrt
    shift_right_logical square stop_gradient sub tanh xor
    bitcast_convert_type concatenate pad rev random_bits random_unwrap random_wrap threefry2x32
"""
_FUSED = _LAYOUT | frozenset(_ELEMENTWISE.split())
_ON_CHIP = frozenset({"pallas_call"})


@dataclasses.dataclass(frozen=True)
class MemoryUse:
    """Bytes, on one device.

    Attributes:
      peak: of temporary arrays alive at once, (1).
      traffic: read and written, (2).
    """

    peak: int
    traffic: int


def memory_use(function: Callable[..., Any], *arguments: Any) -> MemoryUse:
    """What one call of `function` on arguments of these shapes takes; nothing is computed.

    Args:
      function: traceable by JAX.
      arguments: arrays or `jax.ShapeDtypeStruct`s.
    """
    return _use(jax.make_jaxpr(function)(*arguments).jaxpr)


@dataclasses.dataclass
class _Event:
    """One thing that happens: arrays are read, others made; meanwhile a loop's body needs `inside`."""

    reads: frozenset[int]
    makes: int | None
    inside: int = 0


class _Walk:
    """The events of a program in order. Arrays are numbers; what is fused stands for the arrays it reads."""

    def __init__(self):
        self.events: list[_Event] = []
        self.sizes: dict[int, int] = {}
        self.traffic = 0
        self._numbers = itertools.count()

    def array(self, size: int) -> frozenset[int]:
        number = next(self._numbers)
        self.sizes[number] = size
        return frozenset({number})

    def happens(self, reads: frozenset[int], makes: int | None, *, inside: int = 0) -> frozenset[int]:
        """An array of `makes` bytes is made of others."""
        found = frozenset() if makes is None else self.array(makes)
        self.events.append(_Event(reads, next(iter(found), None), inside))
        self.traffic += sum(self.sizes[number] for number in reads) + (makes or 0)
        return found

    def peak(self, outside: frozenset[int], kept: frozenset[int]) -> int:
        """(1) of the arrays that are made here; those `kept` live to the end."""
        last = {number: time for time, event in enumerate(self.events) for number in event.reads}
        last |= {number: len(self.events) for number in kept}
        alive, most = 0, 0
        ends: dict[int, list[int]] = {}
        for time, event in enumerate(self.events):
            if event.makes is not None:
                alive += self.sizes[event.makes]
                ends.setdefault(max(last.get(event.makes, time), time), []).append(event.makes)
            most = max(most, alive + event.inside)
            alive -= sum(self.sizes[number] for number in ends.pop(time, ()) if number not in outside)
        return most


def _use(jaxpr: core.Jaxpr) -> MemoryUse:
    walk = _Walk()
    inputs = [walk.array(_bytes(var)) for var in (*jaxpr.constvars, *jaxpr.invars)]
    outputs = _follow(walk, jaxpr, inputs)
    given = frozenset().union(*inputs)
    return MemoryUse(walk.peak(given, frozenset().union(*outputs) - given), walk.traffic)


def _follow(walk: _Walk, jaxpr: core.Jaxpr, inputs: list[frozenset[int]]) -> list[frozenset[int]]:
    """Adds a program's events to `walk`; the arrays behind its outputs, given those behind its inputs."""
    behind: dict[Any, frozenset[int]] = dict(zip((*jaxpr.constvars, *jaxpr.invars), inputs, strict=True))
    equations = _needed(jaxpr)
    readers = _readers(equations)

    def of(atoms: Iterable[Any]) -> frozenset[int]:
        return frozenset().union(*(behind.get(atom, frozenset()) for atom in atoms if not _is_literal(atom)))

    for equation in equations:
        name, reads = equation.primitive.name, of(equation.invars)
        inner = [] if name in _ON_CHIP else _inner(equation.params)
        if name in _FUSED:
            (out,) = equation.outvars
            size = _bytes(out)
            cheap = sum(walk.sizes[number] for number in reads) < size
            for_product = name not in _LAYOUT and bool(readers.get(out, set()) & _PRODUCTS)
            several = len(readers.get(out, ())) > 1 and name not in _LAYOUT
            behind[out] = walk.happens(reads, size) if (several or for_product) and not cheap else reads
        elif name in ("scan", "while", "cond") and inner:
            used = [_use(each) for each in inner]
            walk.traffic += equation.params.get("length", 1) * max(each.traffic for each in used)
            inside = max(each.peak for each in used)
            made = walk.happens(reads, sum(map(_bytes, equation.outvars)), inside=inside)
            behind.update(dict.fromkeys(equation.outvars, made))
        elif len(inner) == 1 and len(inner[0].invars) == len(equation.invars):
            given = [of([atom]) for atom in equation.invars]
            constants = [frozenset()] * len(inner[0].constvars)
            behind.update(zip(equation.outvars, _follow(walk, inner[0], constants + given), strict=True))
        else:
            for out in equation.outvars:
                behind[out] = walk.happens(reads, _bytes(out))
    return [of([atom]) for atom in jaxpr.outvars]


def _needed(jaxpr: core.Jaxpr) -> list[Any]:
    """The equations on which outputs depend."""
    wanted = {atom for atom in jaxpr.outvars if not _is_literal(atom)}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if any(out in wanted for out in equation.outvars):
            kept.append(equation)
            wanted.update(atom for atom in equation.invars if not _is_literal(atom))
    return kept[::-1]


def _readers(equations: list[Any]) -> dict[Any, set[str]]:
    """{variable: names of what reads it, one for each equation}."""
    found: dict[Any, set[str]] = {}
    for index, equation in enumerate(equations):
        name = equation.primitive.name
        for atom in {atom for atom in equation.invars if not _is_literal(atom)}:
            found.setdefault(atom, set()).add(name if name in _PRODUCTS else f"{name} {index}")
    return found


def _inner(params: dict[str, Any]) -> list[core.Jaxpr]:
    found = [value for value in params.values() if isinstance(value, core.Jaxpr | core.ClosedJaxpr)]
    found += [branch for branch in params.get("branches", ()) if hasattr(branch, "jaxpr")]
    return [value.jaxpr if isinstance(value, core.ClosedJaxpr) else value for value in found]


def _is_literal(atom: Any) -> bool:
    return isinstance(atom, core.Literal)


def _bytes(var: Any) -> int:
    aval = var.aval
    return getattr(aval, "size", 0) * getattr(getattr(aval, "dtype", None), "itemsize", 0)

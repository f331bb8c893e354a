"""Compiling a program without running it, and what the compiler made of it.

Axes: B rows of a batch, L tokens of a row.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jax.sharding import Mesh

from jaxaudit.runtime.parallel import Parallelism, lower_rows

_CALL = re.compile(r'custom_call_target="([^"]+)"')
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_FUSED = re.compile(r"fusion\(.*calls=%?([\w.\-]+)")
_FLOAT32 = re.compile(r"\bf32\[([\d,]+)\]")
_HIDDEN_UNITS = re.compile(r'op_name="[^"]*/fc1/')  # the first map of an MLP


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program.

    Attributes:
      arguments, outputs, temporaries: bytes that the compiler allocates on each device.
      cpu_seconds, wall_seconds: what tracing and compiling took, of all cores and by the clock.
      text: the optimised program (HLO).
    """

    arguments: int
    outputs: int
    temporaries: int
    cpu_seconds: float
    wall_seconds: float
    text: str = dataclasses.field(repr=False)

    @property
    def memory(self) -> int:
        """Bytes that the program needs on each device."""
        return self.arguments + self.outputs + self.temporaries

    def kernels(self) -> dict[str, int]:
        """{name: calls} of what is not XLA's own code: libraries ("__cudnn$...") and Pallas kernels."""
        return dict(sorted(collections.Counter(_CALL.findall(self.text)).items()))

    def float32_arrays(self) -> set[tuple[int, ...]]:
        """The shapes of float32 arrays that exist in memory."""
        return _shapes(self._stored())

    def logits(self, vocab_size: int, num_positions: int) -> list[tuple[int, ...]]:
        """Shapes of float32 arrays that could be the logits of `num_positions` (B L) tokens, in all views.

        Logits are float32 whatever the precision. What the program itself says to be the hidden units of an
        MLP is none, though one that is as wide as the vocabulary has such shapes.
        """
        size = num_positions * vocab_size
        shapes = _shapes(line for line in self._stored() if not _HIDDEN_UNITS.search(line))
        return sorted(shape for shape in shapes if vocab_size in shape and math.prod(shape) % size == 0)

    def _stored(self) -> Iterator[str]:
        """The lines of the text whose results exist in memory; those inside of a fusion never do."""
        fused = set(_FUSED.findall(self.text))
        return (line for name, line in _lines(self.text) if name not in fused)


def compile_ahead(
    function: Callable[[Any, Any], Any],
    params: Any,
    batch: Any,
    mesh: Mesh,
    *,
    parallelism: Parallelism = "jit",
) -> Compiled:
    """Compiles `function(params, batch)` as `data_parallel` does, for whatever devices `mesh` is made of.

    Args:
      function: as `data_parallel` takes it.
      params, batch: trees of arrays or `jax.ShapeDtypeStruct`s; leaves of `batch` are [B,...].
      mesh: from `make_mesh`, or of devices elsewhere.
      parallelism: "jit" or "pmap".

    Raises:
      jax.errors.JaxRuntimeError: if the compiler finds that the program does not fit the devices.
    """
    wall, cpu = time.perf_counter(), _cpu_seconds()
    compiled = lower_rows(function, params, batch, mesh, parallelism=parallelism).compile()
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    memory: Any = compiled.memory_analysis()
    return Compiled(
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        cpu_seconds=cpu,
        wall_seconds=wall,
        text=compiled.as_text() or "",
    )


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Every line of a program, and the name of the computation it stands in."""
    name = ""
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            name = found[1]
        yield name, line


def _shapes(lines: Iterable[str]) -> set[tuple[int, ...]]:
    """Of the float32 arrays that these lines name."""
    return {tuple(map(int, shape.split(","))) for line in lines for shape in _FLOAT32.findall(line)}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

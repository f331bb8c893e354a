"""What a program is for a TPU or a CUDA device, as far as it is known without their compilers."""

import math
import re

PLATFORMS = ("tpu", "cuda")
KERNELS = {"tpu": "tpu_custom_call", "cuda": "__gpu$xla.gpu.triton"}
"""By what a program calls Pallas kernels."""


def lowered(function, *arguments, platform):
    """StableHLO of a jitted function of arrays of these shapes."""
    return function.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def arrays_over(text, *, rows, vocabulary):
    """The shapes in StableHLO that hold a number for each of `rows` tokens and each code."""
    found = re.findall(r"tensor<(\d+(?:x\d+)*)x[a-z]", text)
    shapes = {tuple(map(int, shape.split("x"))) for shape in found}
    return [shape for shape in shapes if vocabulary in shape and math.prod(shape) >= rows * vocabulary]

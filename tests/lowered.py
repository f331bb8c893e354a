"""What a program is for a TPU or a CUDA device, as far as it is known without their compilers."""

import math
import re

import jax

PLATFORMS = ("tpu", "cuda")


def lowered(function, *arguments, platform):
    """StableHLO of a function of arrays of these shapes."""
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def kernels(text):
    """Names of the Pallas kernels that StableHLO calls, as often as it does."""
    return re.findall(r'name = "(\w+)"', text)


def arrays_over(text, *, rows, vocabulary):
    """The shapes in StableHLO that hold a number for each of `rows` tokens and each code."""
    found = re.findall(r"tensor<(\d+(?:x\d+)*)x[a-z]", text)
    shapes = {tuple(map(int, shape.split("x"))) for shape in found}
    return [shape for shape in shapes if vocabulary in shape and math.prod(shape) >= rows * vocabulary]

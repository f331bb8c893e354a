"""What an attack may ask of a model.

A target is a small frozen record: the parameters, the facts an attack needs, and pure functions
`f(params, ...)`. Its methods bind the parameters and compile once; sharded programs call the functions
themselves. Nothing outside `jaxaudit.families` knows which model family a target came from.
"""

from jaxaudit.targets.base import Params, check_labels
from jaxaudit.targets.diffusion import Condition, DiffusionFunctions, DiffusionTarget
from jaxaudit.targets.latents import LatentFunctions, LatentTarget
from jaxaudit.targets.tokens import TokenFunctions, TokenTarget

Target = TokenTarget | LatentTarget | DiffusionTarget
"""Whatever can be audited."""

__all__ = [
    "Condition",
    "DiffusionFunctions",
    "DiffusionTarget",
    "LatentFunctions",
    "LatentTarget",
    "Params",
    "Target",
    "TokenFunctions",
    "TokenTarget",
    "check_labels",
]

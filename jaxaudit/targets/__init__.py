"""What an attack may ask of a model.

A target is a small frozen record: the parameters, the facts an attack needs, and pure functions
`f(params, ...)`. Its methods bind the parameters and compile once; sharded programs call the functions
themselves. Nothing outside `jaxaudit.families` knows which model family a target came from.
"""

from jaxaudit.targets.autoencoder import Autoencoder
from jaxaudit.targets.base import AnyArray, Condition, Given, HiddenLayers, Kind, Params, check_labels
from jaxaudit.targets.continuous import ContinuousFunctions, ContinuousTarget
from jaxaudit.targets.diffusion import DiffusionFunctions, DiffusionTarget
from jaxaudit.targets.discrete import DiscreteFunctions, DiscreteTarget

Target = DiscreteTarget | ContinuousTarget | DiffusionTarget
"""Whatever can be audited."""

__all__ = [
    "AnyArray",
    "Autoencoder",
    "Condition",
    "ContinuousFunctions",
    "ContinuousTarget",
    "DiffusionFunctions",
    "DiffusionTarget",
    "DiscreteFunctions",
    "DiscreteTarget",
    "Given",
    "HiddenLayers",
    "Kind",
    "Params",
    "Target",
    "check_labels",
]

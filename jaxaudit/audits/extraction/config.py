"""What an extraction attack is asked for."""

from __future__ import annotations

import dataclasses

from jaxaudit.attacks.completion import ExtractionAttack
from jaxaudit.errors import InputError
from jaxaudit.runtime.placement import Placement
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class ExtractionConfig:
    """How pictures are ranked, completed and counted.

    Attributes:
      top_k: candidates of each class that are completed, the best ranked; 0 completes all.
      validation_top_k: the same of held-out pictures.
      score: the candidate score that ranks; "" is the target's default one (`ExtractionAttack.scores`).
      prefixes: numbers of generation steps to keep; () are the target's (`ExtractionAttack.prefixes`).
      threshold: similarity from which on a completion counts as extracted; None is that of the measure.
      reference_size: training pictures that completions are compared with beside their own original.
      alpha: significance level of the comparison with held-out pictures.
      seed: of draws (continuous tokens) and of the choice of reference pictures.
      placement: where batches run; nothing of it changes a result beyond rounding.
      shard_size: images per file, the unit that is lost when a run is killed.

    Raises:
      InputError: if a number is out of range.
    """

    top_k: int = 5
    validation_top_k: int = 0
    score: str = ""
    prefixes: tuple[int, ...] = ()
    threshold: float | None = None
    reference_size: int = 5000
    alpha: float = 0.01
    seed: int = 0
    placement: Placement = dataclasses.field(default_factory=Placement)
    shard_size: int = 512

    def __post_init__(self):
        for name, least in (("top_k", 0), ("validation_top_k", 0), ("reference_size", 2), ("shard_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is below {least}.")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise InputError(f"threshold={self.threshold} is not a similarity; they are in [-1, 1].")
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha={self.alpha} is not between 0 and 1.")

    def attack(self, target: Target) -> ExtractionAttack:
        """The attack on a target that this asks for."""
        mesh = self.placement.mesh(target.params, target.partition)
        return ExtractionAttack(target, seed=self.seed, mesh=mesh, parallelism=self.placement.parallelism)


DEFAULTS = ExtractionConfig()
"""The published procedure, except that all of an image's tokens rank it and held-out pictures are tried."""

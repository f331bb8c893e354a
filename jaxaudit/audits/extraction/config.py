"""What an extraction attack is asked for."""

from __future__ import annotations

import dataclasses

import jax

from jaxaudit.attacks.completion import ExtractionAttack
from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import Parallelism, make_mesh
from jaxaudit.targets import ContinuousTarget, DiscreteTarget


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
      precision: the dtype the target was loaded in, for the record.
      batch_size: images per step over all devices. num_devices: 0 takes all. parallelism: "jit" or "pmap".
        None of the three changes a result beyond rounding.
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
    precision: str = "float32"
    batch_size: int = 64
    num_devices: int = 0
    parallelism: Parallelism = "jit"
    shard_size: int = 512

    def __post_init__(self):
        for name, least in (("top_k", 0), ("validation_top_k", 0), ("reference_size", 2), ("shard_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is below {least}.")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise InputError(f"threshold={self.threshold} is not a similarity; they are in [-1, 1].")
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha={self.alpha} is not between 0 and 1.")

    def attack(self, target: DiscreteTarget | ContinuousTarget) -> ExtractionAttack:
        """The attack on a target that this asks for."""
        mesh = make_mesh(self.num_devices or None)
        return ExtractionAttack(target, seed=self.seed, mesh=mesh, parallelism=self.parallelism)

    def asked(self) -> dict[str, object]:
        """What was asked for, JSON-able, without where it runs."""
        machine = ("batch_size", "num_devices", "parallelism")
        values = dataclasses.asdict(self) | {"prefixes": list(self.prefixes)}
        return {name: value for name, value in values.items() if name not in machine}

    def machine(self) -> dict[str, object]:
        """What may differ between two runs of one request."""
        devices = jax.local_devices()
        return {
            "platform": devices[0].platform,
            "device": devices[0].device_kind,
            "num_devices": self.num_devices or len(devices),
            "num_processes": jax.process_count(),
            "parallelism": self.parallelism,
            "batch_size": self.batch_size,
        }


DEFAULTS = ExtractionConfig()
"""The published procedure, except that all of an image's tokens rank it and held-out pictures are tried."""

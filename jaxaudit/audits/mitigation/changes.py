"""What is done to a target so that it gives away less, and the changed target as files."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from jaxaudit.attacks.mitigation import (
    CRITERIA,
    add_output_noise,
    choose_units,
    noisy_config,
    scale_units,
)
from jaxaudit.checkpoint import find_vocabulary, read_record, save_target
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import UnitMap
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of a target.

    Attributes:
      kind: "none", a criterion by which units are chosen and scaled (`jaxaudit.attacks.mitigation`), or
        "noise".
      strength: share of the units, or standard deviation of the noise; 0 for "none".
      factor: of scaled weights.
      seed: of random units and of noise.

    Raises:
      InputError: for another kind, a share of units out of (0, 1], noise that is not positive, or a factor
        that is no finite number.
    """

    kind: str = "none"
    strength: float = 0.0
    factor: float = 0.5
    seed: int = 0

    def __post_init__(self):
        if self.kind not in (known := ("none", *CRITERIA, "noise")):
            raise unknown_name("mitigation", self.kind, known)
        if self.kind in CRITERIA and not 0 < self.strength <= 1:
            raise InputError(f"A share of {self.strength} of the units is not in (0, 1].")
        if self.kind == "noise" and not 0 < self.strength < math.inf:
            raise InputError(f"Noise of standard deviation {self.strength} is not positive and finite.")
        if not math.isfinite(self.factor):
            raise InputError(f"factor={self.factor} is no number to scale weights by.")

    @property
    def name(self) -> str:
        """A name for files, different for different changes."""
        if self.kind == "none":
            return "none"
        factor = "" if self.kind == "noise" else f"-x{self.factor:g}"
        return f"{self.kind}-{self.strength:g}{factor}-seed{self.seed}"

    def apply(self, target: Target, units: UnitMap | None) -> Target:
        """The changed target.

        Raises:
          InputError: if the change needs a map of units and there is none, or does not fit.
        """
        if self.kind == "none":
            return target
        if self.kind == "noise":
            return add_output_noise(target, self.strength, seed=self.seed)
        if units is None:
            raise InputError("Scaling units needs their map: run `jaxaudit localize` first.")
        chosen = choose_units(units, self.strength, by=self.kind, seed=self.seed)
        return scale_units(target, chosen, self.factor)


def save_mitigated(directory: str | Path, target: Target, *, original: str | Path) -> dict[str, Any]:
    """Writes a target that `Change.apply` made of the target `original`, to be audited like any other.

    Args:
      directory: as `jaxaudit.checkpoint.save_target`, which says what is returned.
      target: the changed target.
      original: the name or directory it was loaded from.

    Raises:
      InputError: if something is in the way, or the original is not to be found.
    """
    record = read_record(original)
    config, changes = record["config"], target.provenance.get("mitigations", [])
    for change in changes:
        if noise := change.get("output_noise"):
            config = noisy_config(config, noise["std"], seed=noise["seed"])
    return save_target(
        directory,
        family=target.family,
        config=config,
        params=target.params,
        preprocessing=target.preprocessing,
        provenance={
            **record["provenance"],
            "made_from": record["fingerprint"],
            "mitigations": changes,
        },
        vocabulary=find_vocabulary(original),
    )

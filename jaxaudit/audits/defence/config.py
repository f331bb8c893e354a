"""How defences are compared."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxaudit.errors import InputError
from jaxaudit.runtime.placement import Placement
from jaxaudit.targets import Kind

SCORES: dict[Kind, tuple[str, ...]] = {
    "discrete": (
        *("*/loss", "*/hinge", "*/min_k_20", "*/min_k_pp_20", "*/camia_slope"),
        *("diff/calibrated_loss", "diff/icas"),
    ),
    "diffusion": (
        "denoising_loss",
        "pia",
        *(f"{n}_{t}" for n in ("multiple_loss", "clid") for t in (0, 100, 300)),
    ),
}
"""What attackers choose from by default: few scores, so that choosing is no lottery and takes seconds."""

NOISE: dict[Kind, tuple[float, ...]] = {"discrete": (1.0, 4.0), "diffusion": (0.1, 0.4)}
"""Standard deviations of output noise by default, of logits and of predicted noise."""


@dataclasses.dataclass(frozen=True)
class DefendConfig:
    """How defences are compared.

    Attributes:
      scores: names or patterns; () are those of `SCORES`.
      num_samples: pictures of each side; 0 takes all.
      factor: of the incoming weights of scaled units.
      most_queries: answers an attacker may average, a power of 4.
      most_tries: draws within which an image must come back with a chance of a half.
      alpha: level of a verdict.
      seed: of halves, draws and stochastic scores.
      placement: where batches run; nothing of it changes a result beyond rounding.

    Raises:
      InputError: if a number is out of range.
    """

    scores: tuple[str, ...] = ()
    num_samples: int = 0
    factor: float = 0.5
    most_queries: int = 16
    most_tries: int = 1_000_000
    alpha: float = 0.01
    seed: int = 0
    placement: Placement = dataclasses.field(default_factory=Placement)

    def __post_init__(self):
        if not 0 < self.factor < 1:
            raise InputError(f"factor={self.factor} does not scale units down; it must be between 0 and 1.")
        if self.most_queries not in self._powers(4**15):
            raise InputError(f"most_queries={self.most_queries} is no power of 4: 1, 4, 16, 64, ...")
        if self.most_tries < 1:
            raise InputError(f"most_tries={self.most_tries} is no number of tries; 1 is the least.")

    @property
    def queries(self) -> tuple[int, ...]:
        """1, 4, 16, ... answers that are averaged."""
        return self._powers(self.most_queries)

    @staticmethod
    def _powers(most: int) -> tuple[int, ...]:
        return tuple(4**k for k in range(16) if 4**k <= most)

    def asked(self) -> dict[str, Any]:
        """What was asked for, JSON-able, without where it runs."""
        fields = dataclasses.asdict(self)
        del fields["placement"]
        return fields

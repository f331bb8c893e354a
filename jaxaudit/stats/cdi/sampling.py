"""Many draws of P and U from the members and nonmembers of one table of features, and the test on each.

The intervals of rates are those of as many draws as can be made without overlap (Hoeffding, JASA 1963).

Axes: R repetitions, n samples of P, m of U, F features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.errors import InputError
from jaxaudit.protocols import SPLIT, Procedure
from jaxaudit.results import StudyPoint
from jaxaudit.stats.cdi import draws as drawing
from jaxaudit.stats.cdi import scorer
from jaxaudit.stats.cdi.identification import Features
from jaxaudit.stats.inputs import check_enough, check_fraction, named_features
from jaxaudit.stats.intervals import CONFIDENCE, clopper_pearson
from jaxaudit.stats.power import QUANTILES


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What the studies have in common.

    Attributes:
      procedure: of the test; one that refits is drawn as `SPLIT`.
      alpha: significance level.
      repetitions: draws of every setting.
      confidence: of the intervals.
      seed: of the draws.
    """

    procedure: Procedure = SPLIT
    alpha: float = 0.01
    repetitions: int = 1_000
    confidence: float = CONFIDENCE
    seed: int = 0


DEFAULTS = StudyConfig()


class Draws:
    """Members and nonmembers in one pool, and random draws of their rows."""

    def __init__(self, p_features: Features, u_features: Features, config: StudyConfig):
        check_fraction(config.alpha, "alpha")
        check_enough(config.repetitions, 1, "repetitions")
        p, u, self.names = named_features(p_features, u_features)
        self.pool, _ = scorer.make_pool(np.concatenate([p, u]))
        self.num_members, self.num_nonmembers = len(p), len(u)
        self.config = config
        self.smallest = drawing.fewest_drawable(config.procedure, config.alpha)
        self._rng = np.random.default_rng(config.seed)

    def usable(self, sizes: Sequence[int], *, at_most: int) -> list[int]:
        """The sizes that can be drawn and can reject."""
        usable = sorted({n for n in sizes if self.smallest <= n <= at_most})
        if not usable:
            raise InputError(
                f"No size of {', '.join(map(str, sizes))} lies between {self.smallest}, below which no "
                f"p-value reaches alpha={self.config.alpha:g}, and {at_most}, the most that can be drawn of "
                f"{self.num_members} members and {self.num_nonmembers} nonmembers."
            )
        return usable

    def members(self, size: int) -> Int[np.ndarray, "R n"]:
        """Random rows of members, [R,n] for n = `size`."""
        return drawing.draw_rows(self.num_members, size, self.config.repetitions, self._rng)

    def nonmembers(self, size: int) -> Int[np.ndarray, "R n"]:
        """Random rows of nonmembers, [R,n] for n = `size`."""
        rows = drawing.draw_rows(self.num_nonmembers, size, self.config.repetitions, self._rng)
        return self.num_members + rows

    def shuffled(self, rows: Int[np.ndarray, "R n"]) -> Int[np.ndarray, "R n"]:
        """The rows of every draw in a random order of their own."""
        return self._rng.permuted(rows, axis=1)

    def test(
        self, p: Int[np.ndarray, "R n"], u: Int[np.ndarray, "R m"]
    ) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
        """p-value and Welch's t of every draw."""
        config = self.config
        return drawing.draw_p_values(
            self.pool, p, u, procedure=config.procedure.drawn_as, alpha=config.alpha, seed=config.seed
        )

    def independent(self, members: int, nonmembers: int) -> int:
        """Draws of so many members and nonmembers that do not overlap."""
        draws = self.config.repetitions
        for needed, available in ((members, self.num_members), (nonmembers, self.num_nonmembers)):
            draws = min(draws, available // needed) if needed else draws
        return max(draws, 1)

    def point(
        self,
        series: str,
        p: Int[np.ndarray, "R n"],
        u: Int[np.ndarray, "R m"],
        *,
        ratio: float | None = None,
        direct: bool = False,
    ) -> StudyPoint:
        """The draws of rows `p` against `u`; `direct` tests the only feature itself, without a scorer."""
        p_values, t = drawing.direct_p_values(self.pool[:, 0], p, u) if direct else self.test(p, u)
        members = int((p[0] < self.num_members).sum())
        independent = self.independent(members, p.shape[1] - members + u.shape[1])
        rate = float(np.mean((p_values <= self.config.alpha) & (t > 0)))
        return StudyPoint(
            series=series,
            num_p=p.shape[1],
            num_u=u.shape[1],
            ratio=ratio,
            identified=clopper_pearson(rate * independent, independent, confidence=self.config.confidence),
            mean_p=float(p_values.mean()),
            p_quantiles=dict(zip(QUANTILES, np.quantile(p_values, QUANTILES).tolist(), strict=True)),
            independent_draws=independent,
        )

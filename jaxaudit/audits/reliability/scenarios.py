"""How sets of pictures go wrong: what stands in P and in U although the model has seen neither.

Each scenario draws n pictures for P and n others for U from unseen ones, and does to them what careless or
dishonest users do. A verdict that says "trained on" is then a false accusation.

Axes: N unseen pictures, n pictures of P and of U.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import stats

from jaxaudit.audits.reliability.unseen import Rows, ScoredPictures
from jaxaudit.errors import InputError

_FEWEST = 2
Draw = Callable[[ScoredPictures, int, np.random.Generator], tuple[Rows, Rows]]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One way.

    Attributes:
      name: of flags and files.
      description: what was done, in words.
      draw: pictures of P and of U.
      sizes: n of interest.
      seeds: of the tests, of which the luckiest counts: who turns seeds until the answer changes.
      takes_members: whether one side is drawn from members; else both are from unseen pictures.
    """

    name: str
    description: str
    draw: Draw
    sizes: tuple[int, ...]
    seeds: int = 1
    takes_members: bool = False

    def check(self, n: int, members: int, unseen: int) -> None:
        """Makes sure that P and U of n pictures each can be drawn from so many.

        Raises:
          InputError: with the numbers.
        """
        enough = n <= min(members, unseen) if self.takes_members else 2 * n <= unseen
        if n < _FEWEST or not enough:
            needed = f"{n} members and {n} unseen" if self.takes_members else f"{2 * n} unseen"
            raise InputError(
                f"Two sets of {n} pictures ({self.description}) take {needed} ones, and there are {members} "
                f"members and {unseen} unseen; {_FEWEST} is the least."
            )


def _two(total: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows = rng.permutation(total)
    return rows[:n], rows[n : 2 * n]


def _exchangeable(of: ScoredPictures, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    p, u = _two(len(of.unseen), n, rng)
    return of.unseen.take(p), of.unseen.take(u)


def _share_altered(altered: Callable[[ScoredPictures], Rows], share: float) -> Draw:
    """A share of U is taken from the altered pictures."""

    def draw(of: ScoredPictures, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        p, u = _two(len(of.unseen), n, rng)
        places = rng.permutation(n)[: round(share * n)]
        return of.unseen.take(p), of.unseen.take(u).replaced(places, altered(of).take(u[places]))

    return draw


def _weighted(
    p_weights: Callable[[ScoredPictures, np.random.Generator], Float[np.ndarray, " N"]],
    u_weights: Callable[[Float[np.ndarray, " N"]], Float[np.ndarray, " N"]],
) -> Draw:
    """P is drawn by weights, and U, by others, from what is left."""

    def draw(of: ScoredPictures, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        weights = p_weights(of, rng)
        p = rng.choice(len(weights), n, replace=False, p=weights / weights.sum())
        rest = np.setdiff1d(np.arange(len(weights)), p)
        others = u_weights(weights)[rest]
        u = rng.choice(rest, n, replace=False, p=others / others.sum())
        return of.unseen.take(p), of.unseen.take(u)

    return draw


def _class_mix(ratio: float) -> Draw:
    """Half of the classes, chosen at random, are `ratio` times as frequent in P, the other half in U."""

    def weights(of: ScoredPictures, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
        classes = rng.permutation(np.unique(of.unseen.labels))
        return np.where(np.isin(of.unseen.labels, classes[: len(classes) // 2]), ratio, 1.0)

    return _weighted(weights, lambda given: 1 / given)


def _quality(strength: float) -> Draw:
    """Easy pictures are preferred in P: weights exp(strength · rank), ranks in (0, 1]."""

    def weights(of: ScoredPictures, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
        del rng
        return np.exp(strength * stats.rankdata(of.ease) / len(of.ease))

    return _weighted(weights, np.ones_like)


def _swapped(of: ScoredPictures, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    p = rng.permutation(len(of.unseen))[:n]
    u = rng.permutation(len(of.members))[:n]
    return of.unseen.take(p), of.members.take(u)


_ALL_SIZES = (30, 50, 100, 200, 449)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("exchangeable", "nothing is wrong", _exchangeable, _ALL_SIZES),
        Scenario("seeds", "the luckiest of 20 seeds counts", _exchangeable, (100,), seeds=20),
        Scenario(
            "one_label", "U is labelled 3 throughout", _share_altered(lambda of: of.one_label, 1.0), (30, 449)
        ),
        *(
            Scenario(
                f"labels_{round(100 * share):02d}",
                f"{share:.0%} of U's labels are wrong",
                _share_altered(lambda of: of.wrong_label, share),
                _ALL_SIZES,
            )
            for share in (0.05, 0.1, 0.2)
        ),
        *(
            Scenario(
                f"classes_{ratio:g}", f"class mix {ratio:g} : 1 against 1 : {ratio:g}", _class_mix(ratio), n
            )
            for ratio, n in ((1.5, (50, 200)), (2.0, (50, 200)), (3.0, (30, 50, 200)))
        ),
        *(
            Scenario(
                f"quality_{strength:g}",
                f"P prefers easy pictures, weights e^({strength:g} · rank)",
                _quality(strength),
                n,
            )
            for strength, n in ((2.0, (30, 100, 400)), (4.0, (30, 50, 100)))
        ),
        *(
            Scenario(
                f"{name}_{round(100 * share):03d}",
                f"{share:.0%} of U is {words}",
                _share_altered(altered, share),
                n,
            )
            for name, words, altered, share, n in (
                ("mirrored", "mirrored", lambda of: of.mirrored, 0.3, (30, 50, 100, 200)),
                ("mirrored", "mirrored", lambda of: of.mirrored, 1.0, (30, 50)),
                ("shifted", "moved by one pixel", lambda of: of.shifted, 0.3, (30, 50, 100, 200)),
                ("shifted", "moved by one pixel", lambda of: of.shifted, 1.0, (30, 50)),
            )
        ),
        Scenario(
            "swapped",
            "U was trained on, and P was not",
            _swapped,
            (30, 100, 200, 449),
            takes_members=True,
        ),
    )
}
"""By name."""

"""How often is a model accused of pictures it has not seen, and found out about those it has?

Every draw of a scenario (`jaxaudit.audits.reliability.scenarios`) goes the way of an audit: gate, omnibus
test plain and adjusted, direction, comparison with a blind classifier. A draw whose plain test does not
reject cannot end in "trained on"; it is not followed any further, which makes studies of thousands of draws
quick and changes no rate.

Axes: R draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jaxaudit.audits.reliability.scenarios import Scenario
from jaxaudit.audits.reliability.unseen import Rows, ScoredPictures
from jaxaudit.results import VerdictRates
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats import clopper_pearson, compare_sets, set_test
from jaxaudit.stats.gate import GATE_LEVEL
from jaxaudit.stats.omnibus import omnibus
from jaxaudit.stats.relabelling import normal_scores, relabel_for

OneView = Callable[[Rows, Rows, int], bool]
"""Whether the test of the main view rejects, by P, U and a seed."""


def verdict_rates(
    pictures: ScoredPictures,
    scenario: Scenario,
    num_images: int,
    one_view: OneView,
    *,
    alpha: float = 0.01,
    repetitions: int = 200,
    permutations: int = 999,
    seed: int = 0,
    progress: Progress = silent,
) -> VerdictRates:
    """Draws P and U again and again and counts verdicts.

    Args:
      pictures: scored, of one target.
      scenario: how P and U are drawn.
      num_images: n of each.
      one_view: the test that stood alone before.
      alpha: significance level.
      repetitions: draws.
      permutations: relabellings of every test.
      seed: of the draws.
      progress: hears of draws.

    Raises:
      InputError: if there are too few pictures.
    """
    scenario.check(num_images, len(pictures.members), len(pictures.unseen))
    rng = np.random.default_rng(seed)
    found = np.zeros((repetitions, 4), bool)
    for draw in range(repetitions):
        p, u = scenario.draw(pictures, num_images, rng)
        for seed_of_test in range(draw * scenario.seeds, (draw + 1) * scenario.seeds):
            tests = one_view(p, u, seed_of_test), *_verdict(p, u, alpha, permutations, seed_of_test)
            found[draw] |= tests
        progress(draw + 1, repetitions, f"{pictures.target}: {scenario.description}, {num_images} images")
    one, plain, adjusted, trained_on = (
        clopper_pearson(int(count), repetitions) for count in found.sum(axis=0)
    )
    return VerdictRates(
        scenario=scenario.name,
        description=scenario.description,
        num_images=num_images,
        one_view=one,
        plain=plain,
        adjusted=adjusted,
        trained_on=trained_on,
        repetitions=repetitions,
    )


def trained_on(sizes: tuple[int, ...]) -> Scenario:
    """P are members: what has to be found."""
    return Scenario("members", "P was trained on", _members, sizes, takes_members=True)


def _members(of: ScoredPictures, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    p = rng.permutation(len(of.members))[:n]
    u = rng.permutation(len(of.unseen))[:n]
    return of.members.take(p), of.unseen.take(u)


def _verdict(p: Rows, u: Rows, alpha: float, permutations: int, seed: int) -> tuple[bool, bool, bool]:
    """Whether the plain test rejects, the adjusted one too, and all conditions are met."""
    labels = relabel_for(
        min(alpha, GATE_LEVEL), len(p), len(u), permutations, np.random.default_rng(seed)
    )  # those of `set_test`
    scores = np.concatenate([p.scores, u.scores])
    if omnibus(normal_scores(scores[:, np.ptp(scores, axis=0) > 0]), labels).p_value > alpha:
        return False, False, False
    sets = compare_sets(
        p.scores,
        u.scores,
        p_blind=p.blind,
        u_blind=u.blind,
        p_labels=p.labels,
        u_labels=u.labels,
        seed=seed,
    )
    test = set_test(sets, alpha=alpha, permutations=permutations)
    return True, test.p_value <= alpha, test.rejected

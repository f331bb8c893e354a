"""Counting verdicts: every scenario draws what it says, swapped sets accuse nobody, members are found."""

import numpy as np
import pytest

from jaxaudit.audits.reliability.scenarios import SCENARIOS
from jaxaudit.audits.reliability.study import ReliabilityConfig
from jaxaudit.audits.reliability.unseen import Rows, ScoredPictures
from jaxaudit.audits.reliability.verdicts import trained_on, verdict_rates
from jaxaudit.errors import InputError


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4

    def rows(shift):
        return Rows(rng.normal(shift, 1, (120, 6)), rng.normal(0, 1, (120, 5)), labels)

    return ScoredPictures(
        "synthetic",
        tuple("abcdef"),
        members=rows(2.0),
        unseen=rows(0.0),
        **{name: rows(-2.0) for name in ("wrong_label", "one_label", "mirrored", "shifted")},
        ease=rng.normal(size=120),
    )


@pytest.mark.parametrize(
    ("scenario", "n", "words"),
    [
        (SCENARIOS["exchangeable"], 61, "take 122 unseen ones, and there are 120 members and 120 unseen"),
        (SCENARIOS["swapped"], 121, "take 121 members and 121 unseen ones"),
        (trained_on((5000,)), 5000, "take 5000 members and 5000 unseen ones"),
        (SCENARIOS["exchangeable"], -5, "2 is the least"),
    ],
)
def test_more_than_there_is_cannot_be_drawn(pictures, scenario, n, words):
    with pytest.raises(InputError, match=words):
        verdict_rates(pictures, scenario, n, lambda p, u, seed: False, repetitions=1)


def test_levels_that_relabellings_cannot_show_are_refused():
    for config, reason in (
        ({"alpha": 0.001}, "199 permutations cannot give a p-value of 0.001"),
        ({"alpha": 5e-4, "studies": ("verdicts",)}, "999 permutations cannot"),
        ({"alpha": 0.001, "studies": ("verdicts",), "permutations": 99}, "99 permutations cannot"),
    ):
        with pytest.raises(InputError, match=reason):
            ReliabilityConfig(**config)
    assert ReliabilityConfig(alpha=1e-5, studies=("unit_control",)).alpha == 1e-5  # exact p-values


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_draw_different_pictures_for_both_sides(pictures, name):
    p, u = SCENARIOS[name].draw(pictures, 30, np.random.default_rng(1))
    assert len(p) == len(u) == 30
    assert not {*p.scores[:, 0]} & {*u.scores[:, 0]}
    known = {*pictures.unseen.scores[:, 0]}
    altered = 30 - len({*u.scores[:, 0]} & known)
    assert altered == 30 * ("swapped" in name) + round(
        30 * {"one_label": 1.0, "labels_05": 0.05, "labels_10": 0.1, "labels_20": 0.2}.get(name, 0)
        + 30 * (int(name[-3:]) / 100 if name.startswith(("mirrored", "shifted")) else 0)
    )


def test_members_are_found_and_swapped_sets_accuse_nobody(pictures):
    options = {"repetitions": 3, "permutations": 999}

    def never(p, u, seed):
        return False

    found = verdict_rates(pictures, trained_on((40,)), 40, never, **options)
    assert found.plain.estimate == 1
    assert found.trained_on.estimate > 0.5
    swapped = verdict_rates(pictures, SCENARIOS["swapped"], 40, never, **options)
    assert (swapped.plain.estimate, swapped.trained_on.estimate) == (1, 0)

"""Verdicts: their four outcomes, the sentence, and how often an innocent model is accused."""

import re

import numpy as np
import pytest

from jaxaudit.results import encode
from jaxaudit.stats import KnownMembers, verdict
from jaxaudit.stats.verdict import p_in_words
from tests.stats import simulated


def judge(rng, n, m, *, shift=0.0, blind_shift=0.0, permutations=999, **options):
    return verdict(
        simulated.features(rng, (n, 6), "skewed", shift),
        simulated.features(rng, (m, 6), "skewed"),
        p_blind=simulated.features(rng, (n, 4), shift=blind_shift),
        u_blind=simulated.features(rng, (m, 4)),
        permutations=permutations,
        **options,
    )


def test_trained_on():
    one = judge(np.random.default_rng(8), 200, 1000, shift=1, p_ids=[f"p{i}" for i in range(200)])
    finding, test = one.finding, one.test
    assert finding.status == "trained_on"
    assert finding.sentence.startswith(
        "Statistical evidence that the model was trained on P, if the assumptions below hold: its 200 images "
        "score higher than 1,000 comparable images the model has not seen (omnibus test of 6 scores: "
        "p <= 0.001, the larger of 0.001 as they are and 0.001 adjusted for class, typicality and blind "
        "features; alpha = 0.01; effect size g = "
    )
    effect = test.effect
    assert f"g = {effect.estimate:.2f} ({effect.low:.2f} to {effect.high:.2f})" in finding.sentence
    assert f"by {test.auc_excess.estimate:.3f}, at least {test.auc_excess.low:.3f}" in finding.sentence
    assert f"no difference found blindly, p = {test.gate.p_value:.2g} at a level of 0.1" in finding.sentence
    assert one.sensitivity.gamma > 1.5
    assert one.individuals.ids == tuple(f"p{i}" for i in range(200))
    assert (one.usage.status, one.usage.confidence) == ("at_least", 0.99)
    assert 0.3 < one.usage.at_least < 1
    encode(one)


def test_no_evidence_is_not_innocence():
    one = judge(np.random.default_rng(1), 100, 100)
    assert one.finding.status == "no_evidence"
    assert one.finding.sentence.startswith(
        "No evidence that the model was trained on P: its 100 images do not score higher"
    )
    assert "This does not show that it was not trained on P." in one.finding.sentence
    assert not one.test.rejected
    assert one.sensitivity is None
    encode(one)


def test_lower_scores_are_no_evidence_of_training():
    one = judge(np.random.default_rng(2), 100, 100, shift=-1)
    assert one.finding.status == "contradicted"
    assert one.finding.sentence.startswith("P and U differ, but not in the direction of training: ")
    assert one.test.contradicted
    assert one.sensitivity is None


def test_sets_that_differ_visibly_are_not_testable_whatever_the_scores():
    one = judge(np.random.default_rng(3), 100, 300, shift=2, blind_shift=1.5)
    gate = one.test.gate
    assert one.finding.status == "not_testable"
    assert one.finding.sentence.startswith(
        "Not testable: P and U differ. A test that never saw the model tells 100 images of P from 300 of U "
        f"(a difference found blindly, p = {gate.p_value:.2g} at a level of 0.1, AUC {gate.auc.estimate:.3f}"
    )
    assert one.test.p_value <= 0.01
    assert (one.sensitivity, one.individuals, one.usage) == (None, None, None)
    encode(one)


def test_a_stricter_verdict_has_no_weaker_gate():
    gates = [
        judge(np.random.default_rng(4), 60, 60, blind_shift=0.3, alpha=alpha).test.gate
        for alpha in (0.05, 0.002)
    ]
    assert gates[0] == gates[1]
    assert gates[0].level == 0.1


def test_the_same_seed_gives_the_same_verdict():
    first, again, other = (judge(np.random.default_rng(5), 40, 50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert other.test.seed == 2


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 90)])
def test_an_innocent_model_is_accused_at_most_at_alpha(n, m):
    rng = np.random.default_rng(6)
    found = [judge(rng, n, m, alpha=0.05, permutations=99, seed=seed).finding.status for seed in range(100)]
    assert found.count("trained_on") <= 5
    assert 2 <= found.count("not_testable") + found.count("contradicted") <= 20


@pytest.mark.parametrize(
    ("p", "permutations", "words"),
    [(1e-4, 9_999, "p <= 0.0001"), (2e-4, 9_999, "p = 0.0002"), (0.01, 99, "p <= 0.01"), (1.0, 99, "p = 1")],
)
def test_no_p_value_is_said_to_be_smaller_than_relabellings_allow(p, permutations, words):
    assert p_in_words(p, permutations) == words


def test_sentences_quote_no_absurdly_small_number():
    one = judge(np.random.default_rng(7), 300, 300, shift=3)
    assert not re.search(r"e-\d", one.finding.sentence)


def known_members(rng, k, *, shift=0.0, blind_shift=0.0):
    return KnownMembers(
        simulated.features(rng, (k, 6), "skewed", shift),
        simulated.features(rng, (k, 4), shift=blind_shift),
    )


def test_known_members_tell_how_much_of_p():
    rng = np.random.default_rng(20)
    one = judge(rng, 300, 300, shift=3, known=known_members(rng, 300, shift=3))
    assert (one.finding.status, one.usage.status, one.usage.num_known) == ("trained_on", "estimated", 300)
    assert one.usage.share.low > 0.8
    assert one.usage.confidence == 0.99
    other = judge(rng, 300, 300, shift=3, known=known_members(rng, 300, shift=3, blind_shift=1))
    assert (other.finding.status, other.usage.status) == ("trained_on", "known_differ")


def test_known_members_accuse_nobody_who_is_not_accused():
    rng = np.random.default_rng(21)
    one = judge(rng, 200, 200, known=known_members(rng, 200, shift=3))
    assert one.finding.status == "no_evidence"
    assert (one.usage.at_least, one.usage.share.low) == (0, 0)
    assert one.usage.share.high < 0.3
    contradicted = judge(rng, 100, 100, shift=-1, known=known_members(rng, 100, shift=3))
    assert (contradicted.finding.status, contradicted.usage) == ("contradicted", None)

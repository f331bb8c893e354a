"""A bound on epsilon from a target and its canaries to results and files; and the study of the bound."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.canaries import canary_record, draw_canaries
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.epsilon import audit_epsilon, score_canaries
from jaxaudit.audits.epsilon_study import EpsilonStudyConfig, gaussian_mu, study_epsilon
from jaxaudit.audits.pictures import look
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import ShardFolder
from jaxaudit.reports.epsilon.page import render_epsilon
from jaxaudit.reports.epsilon.rows import headline, sentence
from jaxaudit.reports.files import write_epsilon
from jaxaudit.results import NoisyStage, to_plain
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import silent
from jaxaudit.stats import gaussian_epsilon
from tests import tiny
from tests.results.round_trip import assert_round_trips

SPEC = "digits:members[:80]"
CONFIG = CollectConfig(scores=("diff/loss", "cond/loss"), placement=Placement(16), shard_size=32)


def canaries():
    return look(resolve_condition(open_source(SPEC), tiny.var_target()), tiny.DIGITS, silent)


def target_and_coins(**provenance):
    """An untrained target that says it was trained with these canaries: it knows nothing of the coins."""
    asked = canaries()
    coins, _ = draw_canaries(asked, look(open_source("digits:nonmembers[:9]"), tiny.DIGITS, silent), seed=0)
    known = {"fingerprint": "tiny", "canaries": canary_record(asked, coins), **provenance}
    return dataclasses.replace(tiny.var_target(), provenance=known), coins


def test_an_untrained_target_shows_nothing_and_a_killed_run_goes_on(tmp_path, monkeypatch):
    target, coins = target_and_coins()
    whole = score_canaries(target, open_source(SPEC), tmp_path / "whole", CONFIG)
    results = audit_epsilon(target, *whole, coins)
    assert (results.num_canaries, results.scores) == (80, ("diff/loss", "cond/loss"))
    assert results.num_included == sum(coins.included)
    assert results.bound.epsilon == 0
    assert "which chance explains" in sentence(results)
    assert_round_trips(results)
    assert all(path.stat().st_size for path in write_epsilon(results, tmp_path / "out"))
    assert sentence(results) in render_epsilon(results)

    kept = ShardFolder.write

    def killed(folder, shard, columns):
        if shard.index == 1:
            raise KeyboardInterrupt
        kept(folder, shard, columns)

    monkeypatch.setattr(ShardFolder, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        score_canaries(target, open_source(SPEC), tmp_path / "killed", CONFIG)
    monkeypatch.setattr(ShardFolder, "write", kept)
    resumed = score_canaries(target, open_source(SPEC), tmp_path / "killed", CONFIG)
    assert audit_epsilon(target, *resumed, coins) == results
    with pytest.raises(InputError, match="seed is 0, now 1"):
        score_canaries(target, open_source(SPEC), tmp_path / "killed", dataclasses.replace(CONFIG, seed=1))


def test_of_equal_pictures_the_first_is_the_canary():
    """The second, with another class, was not trained on whatever the coin said."""
    twice = [*range(40), *range(40)]
    target = tiny.var_target()
    asked = look(resolve_condition(open_source(SPEC).take(range(40)), target), tiny.DIGITS, silent)
    coins, _ = draw_canaries(asked, look(open_source("digits:nonmembers[:9]"), tiny.DIGITS, silent), seed=0)
    source = asked.source.take(twice)
    copied = dataclasses.replace(source, ids=[f"{row}" for row in range(80)])
    known = {"fingerprint": "tiny", "canaries": canary_record(asked, coins)}
    target = dataclasses.replace(target, provenance=known)
    scores = np.concatenate([coins.included, np.zeros(40)]).astype(float)
    found = audit_epsilon(target, look(copied, tiny.DIGITS, silent), {"known": scores}, coins)
    assert found.bound.right == found.bound.guesses > 0


def test_scores_that_know_the_coins_are_found_and_contradict_noise():
    target, coins = target_and_coins(noise=to_plain([NoisyStage(8.0, 1.0, 4)]))  # mu = 1/4
    known = np.array(coins.included, float)
    random = np.random.default_rng(0).normal(size=80)
    results = audit_epsilon(target, canaries(), {"random": random, "known": known}, coins)
    assert results.bound.score == "known"
    assert 0.9 * results.bound.guesses < results.bound.right
    assert 1 < results.bound.epsilon <= results.bound.most < 3.5
    assert results.upper == gaussian_epsilon(0.25, delta=1e-5)
    assert results.contradicted
    assert headline(results).startswith("Contradiction")
    turned = audit_epsilon(target, canaries(), {"known": -known}, coins)
    assert (turned.bound.epsilon, turned.contradicted) == (0, False)
    assert_round_trips(results)


def test_other_pictures_are_not_the_canaries(tmp_path):
    target, _ = target_and_coins()
    with pytest.raises(InputError, match=r"\[:79\] does not hold the canaries of tiny, which are those of"):
        score_canaries(target, open_source("digits:members[:79]"), tmp_path, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_the_mu_of_an_epsilon_has_it():
    assert gaussian_epsilon(gaussian_mu(2.0, 1e-5), delta=1e-5) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_a_study_has_a_row_per_setting():
    results = study_epsilon(EpsilonStudyConfig(epsilons=(2.0,), sizes=(60, 200), runs=4))
    assert [(row.mechanism, row.epsilon, row.num_canaries) for row in results.mechanisms] == [
        (name, epsilon, size)
        for name, epsilon in (("randomised response", 0.0), ("randomised response", 2.0), ("Gaussian", 2.0))
        for size in (60, 200)
    ]
    few, many = results.mechanisms[2:4]
    assert few.low <= few.mean <= few.high
    assert few.mean < many.mean < 2
    assert_round_trips(results)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_at_most_one_bound_in_twenty_is_too_large():
    """Of every mechanism; and the bound grows with the canaries and what there is to show."""
    results = study_epsilon(EpsilonStudyConfig(runs=400))
    for row in results.mechanisms:
        assert row.above.low <= 0.05, row
    for name, epsilon in {(row.mechanism, row.epsilon) for row in results.mechanisms} - {
        ("randomised response", 0.0)
    }:
        means = [row.mean for row in results.mechanisms if (row.mechanism, row.epsilon) == (name, epsilon)]
        assert means == sorted(means)

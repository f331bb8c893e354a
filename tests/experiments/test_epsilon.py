"""From canaries to a bound: trained with coins, with noise or without, and asked."""

import html

import pytest

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.canaries import canary_record, coins_path, draw_canaries, read_coins, recorded_canaries
from jaxaudit.audits.epsilon import recorded_noise
from jaxaudit.audits.pictures import look
from jaxaudit.checkpoint import load_target, save_target
from jaxaudit.data import open_source
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.reports.epsilon.rows import sentence
from jaxaudit.results import EpsilonResults, EpsilonStudyResults, NoisyStage, write_results
from jaxaudit.runtime.progress import silent
from jaxaudit.stats import training_epsilon
from jaxaudit.training.private import Privacy
from tests import tiny
from tests.experiments.captured import run
from tests.results.round_trip import read_back

ASKED = {
    "family": "dit", "width": 32, "depth": 1, "generator_steps": 2, "data": "digits:nonmembers[:20]",
    "held_out": "digits:nonmembers[20:30]", "canaries": "digits:members[:60]", "noise_multiplier": 2,
}  # fmt: skip


def test_the_target_tells_its_canaries_and_its_noise_and_neither_seed_nor_coins(tmp_path, monkeypatch):
    seen = []

    def train(recipe, pictures, *, privacy, **options):
        seen.append((pictures, privacy))
        return random_params(get_family("dit").abstract_params(recipe.config), seed=1)

    monkeypatch.setattr("jaxaudit.training.dit.train", train)
    trained = run("train_target", out=tmp_path / "private", **ASKED)
    assert trained.returncode == 0, trained.stderr
    target = load_target(str(tmp_path / "private"))
    coins = read_coins(tmp_path / "private-canaries.json", target)
    ((pictures, privacy),) = seen
    assert len(pictures.images) == len(pictures.conditions) == 20 + sum(coins.included)
    assert privacy == Privacy(2.0, 1.0, 80)
    assert recorded_noise(target) == (NoisyStage(2.0, 64 / 80, 2),)
    assert "seed" not in target.provenance
    assert target.provenance["trained_on"]["images"] == 20
    assert recorded_canaries(target)["images"] == len(coins.digests) == 60
    assert "60 canaries that stand alone" in trained.stdout
    epsilon = training_epsilon(recorded_noise(target), delta=1e-5)
    assert f"Private: epsilon is at most {epsilon:.3g} at delta 1e-05." in trained.stdout


def test_the_canaries_of_a_target_are_asked(tmp_path):
    """Of an untrained one, so that nothing is shown."""
    out, canaries = (
        tmp_path / "target",
        resolve_condition(open_source("digits:members[:60]"), tiny.var_target()),
    )
    asked, others = (
        look(each, tiny.DIGITS, silent) for each in (canaries, open_source("digits:nonmembers[:9]"))
    )
    coins, _ = draw_canaries(asked, others, seed=0)
    save_target(
        out, family="var", config=tiny.VAR_CONFIG, params=tiny.var_target().params, preprocessing=tiny.DIGITS,
        provenance={"canaries": canary_record(asked, coins)},
    )  # fmt: skip
    write_results(coins_path(out), coins)
    told = run("epsilon", target=out, out=tmp_path / "out", scores="cond/loss,diff/loss", index="none")
    assert told.returncode == 0, told.stderr
    results = read_back(tmp_path / "out" / "results.json", EpsilonResults)
    assert (results.num_canaries, results.bound.epsilon, results.upper) == (60, 0, None)
    assert "Nothing was shown" in told.stdout
    assert sentence(results) in html.unescape((tmp_path / "out" / "report.html").read_text())


@pytest.mark.slow
def test_what_is_memorised_shows_epsilon_and_noise_hides_it(tmp_path):
    """The same pictures, many times over without noise, and with."""
    common = {"data": "digits:nonmembers[:40]", "held_out": "digits:nonmembers[40:]"}
    common |= {"canaries": "digits:members[:200]", "generator_steps": 300}
    plain = {"family": "var", "width": 64, "tokenizer_steps": 100}
    noise = {"family": "dit", "width": 32, "depth": 1, "noise_multiplier": 1}
    for name, options, low, high in (("plain", plain, 1.0, 4.0), ("private", noise, 0.0, 1.0)):
        trained = run("train_target", out=tmp_path / name, **common, **options)
        assert trained.returncode == 0, trained.stderr
        asked = run("epsilon", target=tmp_path / name, out=tmp_path / f"{name}-out", scores="*loss*")
        assert asked.returncode == 0, asked.stderr
        results = read_back(tmp_path / f"{name}-out" / "results.json", EpsilonResults)
        assert low <= results.bound.epsilon < high
        assert not results.contradicted


def test_a_study_is_written(tmp_path):
    made = run("epsilon", study="true", runs=2, sizes="40", out=tmp_path)
    assert made.returncode == 0, made.stderr
    results = read_back(tmp_path / "study.json", EpsilonStudyResults)
    assert {row.runs for row in results.mechanisms} == {2}
    assert {path.name for path in tmp_path.iterdir()} == {"study.json", "study.csv", "study.png", "study.svg"}

import dataclasses
import importlib
import types

import numpy as np
import pytest

from jaxaudit.audits.defence import Defence, DefendConfig, Variant, compare_defences
from jaxaudit.audits.defence.defences import AS_EVER, RESTORED, ways_of_asking
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.reports.files import write_defences
from jaxaudit.runtime.placement import Placement
from tests import tiny, tiny_diffusion
from tests.results.round_trip import assert_round_trips

pipeline = importlib.import_module("jaxaudit.audits.defence.pipeline")
CONFIG = DefendConfig(
    scores=("denoising_loss", "multiple_loss_100"),
    most_queries=4,
    placement=Placement(batch_size=40, num_devices=1),
)
TOKENS = dataclasses.replace(CONFIG, scores=("cond/loss", "diff/loss"))


NOISES = ("fresh_noise", "keyed_noise")


class Killed(Exception):
    """In the place of kill -9."""


def image_target():
    return tiny_diffusion.target("nothing")


def noises(std):
    return [Defence(kind, std) for kind in NOISES]


def another(target):
    return Defence("variant", 7.0, variant=Variant("another training", 7.0, target))


@pytest.fixture(scope="module")
def sources():
    return open_source("digits:members[:80]"), open_source("digits:nonmembers[:90]")


def compared_with_kills(target, defences, sources, directory, config, places):
    """The results of a run that was killed at these places on its way."""
    for place in places:

        def kill(done, total, what, note="", place=place):
            if what.startswith(place):
                raise Killed

        with pytest.raises(Killed):
            compare_defences(target, defences, *sources, directory, config, progress=kill)
    return compare_defences(target, defences, *sources, directory, config)


@pytest.mark.usefixtures("unchecked")
def test_drawn_pictures_are_compared_with_those_of_whose_class_they_are():
    """Features that are all larger by 0.1 are 4 * 0.01 away, whichever pictures were drawn."""
    labels, features = np.arange(60) % 3, np.random.default_rng(0).random((60, 4))
    beside = types.SimpleNamespace(labels=labels, features=features)
    found = pipeline._quality(np.arange(60.0), features + 0.1, beside, seed=0).frechet
    np.testing.assert_allclose([found.low, found.estimate, found.high], 0.04, rtol=1e-6)


@pytest.fixture(scope="module")
def compared(sources, tmp_path_factory):
    directory = tmp_path_factory.mktemp("defences")
    defences = [*noises(0.5), another(image_target())]
    places = ("undefended 0 (1/4): Drawing", "fresh_noise 0.5 (2/4): Scoring")
    return compared_with_kills(image_target(), defences, sources, directory, CONFIG, places), directory


@pytest.mark.slow
def test_a_run_that_was_killed_finds_what_one_finds_that_was_not(compared, sources, tmp_path):
    results, _ = compared
    defences = [*noises(0.5), another(image_target())]
    assert compare_defences(image_target(), defences, *sources, tmp_path, CONFIG) == results
    assert_round_trips(results)


def test_every_defence_is_measured_at_every_level(compared):
    results, _ = compared
    kinds = [one.defence.kind for one in results.measured]
    assert kinds == ["undefended", "fresh_noise", "keyed_noise", "variant"]
    for one in results.measured:
        assert [level.level for level in one.levels] == ["A0", "A1", "A2"]
        assert all(level.extracted is None for level in one.levels)
        assert (one.difference is None) == (one.defence.kind == "undefended")
    before, fresh, keyed, _ = results.measured
    assert [step.queries for step in fresh.by_queries] == [1, 4]
    assert fresh.by_queries == keyed.by_queries
    assert fresh.levels == keyed.levels
    assert fresh.quality == keyed.quality
    assert fresh.quality.heldout_loss.low > before.quality.heldout_loss.high
    assert results.measured_on == (40, 45)


def test_a_variant_that_is_the_target_itself_changes_nothing(compared):
    results, _ = compared
    before, *_, same = results.measured
    assert same.levels == before.levels
    assert same.quality == before.quality
    point = results.points[-1]
    assert point.effect == "not shown"
    assert point.variants == before.levels[-1].tpr.estimate


def test_the_report_says_all_of_it(compared, tmp_path):
    results, _ = compared
    files = write_defences(results, tmp_path)
    names = ["results.json", "defences.csv", "defences.png", "defences.svg", "report.html"]
    assert [path.name for path in files] == names
    page = (tmp_path / "report.html").read_text()
    for text in ("fresh noise, σ 0.5", "keyed noise, σ 0.5", "another training, 7"):
        assert text in page
    assert len((tmp_path / "defences.csv").read_text().splitlines()) == 1 + len(results.points)


def test_another_request_is_refused(compared, sources):
    _, directory = compared
    other = dataclasses.replace(CONFIG, seed=1)
    with pytest.raises(InputError, match="another request"):
        compare_defences(image_target(), [], *sources, directory, other)


def test_scaled_units_are_also_asked_for_with_their_weights_restored():
    ways = ways_of_asking(tiny.var_target(), Defence("random", 0.2), units={}, factor=0.5, queries=(1, 4))
    assert list(ways) == [AS_EVER, RESTORED]
    assert len({folder for folder, _ in ways.values()}) == 2


def test_answers_that_are_averaged_have_noise_of_a_root_less():
    target = tiny.var_target()
    ask = {"units": {}, "factor": 0.5, "queries": (1, 4, 16)}
    fresh = ways_of_asking(target, Defence("fresh_noise", 2.0), **ask)
    stds = [float(answering.params["output_noise"]["std"]) for _, answering in fresh.values()]
    assert stds == [2.0, 1.0, 0.5]
    assert list(ways_of_asking(target, Defence("keyed_noise", 2.0), **ask)) == [AS_EVER]
    for asked_alike in (image_target(), tiny_diffusion.target("captions")):
        every = [ways_of_asking(asked_alike, Defence(kind, 2.0), **ask) for kind in NOISES]
        assert [*every[0]] == [*every[1]] == [*fresh]
        assert {way: folder for way, (folder, _) in every[0].items()} == {
            way: folder for way, (folder, _) in every[1].items()
        }
    captioned = dataclasses.replace(target, context_shape=(2, 3))
    assert list(ways_of_asking(captioned, Defence("keyed_noise", 2.0), **ask)) == [*fresh]
    weaker = ways_of_asking(target, Defence("fresh_noise", 1.0), **ask)
    assert weaker[AS_EVER][0] == fresh["mean of 4 answers"][0]  # and is not asked twice


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Defence("fresh_noise", 0.0), "Noise of standard deviation 0.0"),
        (lambda: Defence("random", 1.0), "A share of 1.0"),
        (lambda: DefendConfig(factor=2.0), "factor=2.0 does not scale units down"),
        (lambda: DefendConfig(most_queries=5), "most_queries=5 is no power of 4"),
        (lambda: DefendConfig(most_tries=0), "most_tries=0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_targets_that_do_not_fit_are_refused(compared, sources):
    _, directory = compared
    with pytest.raises(InputError, match="is a continuous target"):
        compare_defences(tiny.mar_target(), [], *sources, directory, CONFIG)
    other = [another(tiny_diffusion.target())]
    with pytest.raises(InputError, match=r"reads pictures with num_classes=5, and .* with 0"):
        compare_defences(image_target(), other, *sources, directory, CONFIG)


@pytest.mark.slow
def test_tokens_are_compared_with_units_and_extraction(sources, tmp_path):
    target = tiny.var_target()
    defences = [*noises(2.0), Defence("unit_mem", 0.2), Defence("gradient", 0.2), Defence("random", 0.2)]
    places = ("fresh_noise 2 (2/6): Asking", "gradient 0.2 (5/6): Scoring", "random 0.2 (6/6): Drawing")
    results = compared_with_kills(target, defences, sources, tmp_path / "killed", TOKENS, places)
    assert compare_defences(target, defences, *sources, tmp_path / "whole", TOKENS) == results
    for one in results.measured:
        greedy, _, best = (level.extracted for level in one.levels)
        assert greedy.attack == "greedy completion"
        assert greedy.images == best.images == 40
    assert {point.kind for point in results.points if point.random_units is not None}

"""The attack from sources to counts, on a model of which it is known what it has memorised."""

import dataclasses
import threading
from math import comb

import numpy as np
import pytest

from jaxaudit.audits.extraction import ExtractionConfig, complete_images, extract, rank_candidates
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.results.extraction import Counts
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.processes import Process
from tests import tiny
from tests.audits.extraction.planted import MEMBERS, planted_target
from tests.results.round_trip import assert_round_trips

HELD_OUT = "digits:nonmembers[:200]"
CONFIG = ExtractionConfig(top_k=4, prefixes=(2, 16), threshold=0.99, placement=Placement(16), shard_size=50)


def attack(config=CONFIG, target=None, held_out=HELD_OUT, **options):
    target = target or planted_target()[0]
    validation = open_source(held_out) if held_out else None
    return extract(target, open_source(MEMBERS), validation, config, **options)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    return directory, attack(directory=directory)


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*.parquet"))
    }


def test_exactly_the_memorised_pictures_are_extracted(kept):
    _, memorised = planted_target()
    found = kept[1]
    longest = found.results.counts.longest
    extracted = found.extracted
    assert set(extracted["sample_id"][extracted["prefix"] == 16]) == memorised
    assert longest.extracted == longest.distinct == longest.closest_to_own == 12
    assert longest.false_positives.all.count == 0
    assert longest.false_positives.all.trials == 200
    assert longest.false_positives.all.high == pytest.approx(1 - 0.05 ** (1 / 200))
    ours, theirs = longest.false_positives.candidates, longest.false_positives.chosen
    assert (ours.count, ours.trials, theirs.count, theirs.trials) == (12, 40, 0, 40)
    assert longest.p_value == pytest.approx(comb(40, 12) / comb(80, 12))  # hypergeometric
    assert longest.p_value < 1e-3
    assert found.results.counts.status == "extracted"
    assert found.results.counts.num_ranked == Counts(candidates=120, validation=200)
    assert_round_trips(found.results)
    copies = extracted["similarity"][extracted["prefix"] == 16]  # pictures are rounded to 256 levels
    np.testing.assert_allclose(copies, 1, atol=1e-5)


def test_fewer_held_out_pictures_are_compared_with_as_few_candidates(tmp_path):
    """The best ranked of these are completed, too, and a killed run goes on with them."""

    def kill(done, total, stage, note=""):
        if stage == "Completing validation":
            raise Killed

    config = dataclasses.replace(CONFIG, top_k=1)
    few = {"held_out": "digits:nonmembers[:40]", "directory": tmp_path}
    with pytest.raises(Killed):
        attack(config, progress=kill, **few)
    found = attack(config, **few)
    passed = found.results.counts.longest.false_positives
    assert found.results.counts.num_completed == Counts(candidates=10, validation=40)
    assert passed.candidates.trials == passed.chosen.trials == 10
    more = [path.name for path in (tmp_path / "completions" / "alike").glob("*/*.parquet")]
    assert more
    assert attack(config, held_out="digits:nonmembers[:40]").results == found.results


def test_candidates_are_the_best_of_their_class(kept):
    _, memorised = planted_target()
    candidates = kept[1].candidates.candidates
    assert len(candidates) == 40
    assert memorised <= set(candidates.sample_ids)
    for label in range(10):
        scores = candidates.scores["greedy_match"][candidates.labels == label]
        assert len(scores) == 4
        assert np.all(np.diff(scores) <= 0)


def test_without_files_the_results_are_the_same(kept):
    found = attack()
    assert found.results == kept[1].results
    for name, values in kept[1].extracted.items():
        np.testing.assert_array_equal(found.extracted[name], values)


def test_batches_devices_and_the_order_of_pictures_change_nothing(kept):
    config = dataclasses.replace(CONFIG, placement=Placement(7, 3, "pmap"), shard_size=33)
    found = extract(
        planted_target()[0],
        open_source("digits:members[119::-1]"),
        open_source(HELD_OUT),
        config,
    )
    assert list(found.candidates.candidates.sample_ids) == list(kept[1].candidates.candidates.sample_ids)
    np.testing.assert_allclose(found.candidates.similarity, kept[1].candidates.similarity, atol=1e-6)
    assert found.results.counts.prefixes == kept[1].results.counts.prefixes


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("what", "after"), [("Ranking candidates", 50), ("Completing validation", 50)])
def test_a_killed_run_ends_with_the_same_files(kept, tmp_path, what, after):
    def kill(done, total, stage, note=""):
        if stage == what and done > after:
            raise Killed

    with pytest.raises(Killed):
        attack(directory=tmp_path, progress=kill)
    before = files(tmp_path)
    assert before
    assert len(before) < len(files(kept[0]))
    found = attack(directory=tmp_path)
    assert files(tmp_path) == files(kept[0])
    assert found.results == kept[1].results


def test_processes_share_the_shards(kept, tmp_path):
    """Two at once; either has the whole ranking, of the same files as one has alone."""
    target, source, ranked = planted_target()[0], open_source(MEMBERS), {}
    configs = [
        dataclasses.replace(CONFIG, placement=Placement(16, process=Process(index, 2))) for index in range(2)
    ]
    with pytest.raises(InputError, match="Several processes need a directory"):
        rank_candidates(target, source, configs[0])

    def process(index):
        ranked[index] = rank_candidates(target, source, configs[index], directory=tmp_path / "ranking")

    threads = [threading.Thread(target=process, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    expected = kept[1].candidates.candidates
    for found in ranked.values():
        assert list(found.sample_ids) == list(expected.sample_ids)
        np.testing.assert_allclose(found.scores["greedy_match"], expected.scores["greedy_match"], rtol=1e-5)
    assert len(ranked) == 2
    assert len(list((tmp_path / "ranking").glob("*.parquet"))) == 3


def test_another_request_is_refused(kept):
    with pytest.raises(InputError, match=r"prefixes is \[2, 16\], now \[3\]"):
        attack(dataclasses.replace(CONFIG, prefixes=(3,)), directory=kept[0])
    again = attack(dataclasses.replace(CONFIG, threshold=0.5), directory=kept[0])  # needs no model
    assert again.results.counts.longest.extracted > 12


def test_without_held_out_pictures_nothing_is_claimed():
    source = open_source(MEMBERS)
    found = extract(planted_target()[0], tiny.torn(source, (4,)), None, CONFIG)
    assert found.results.skipped == {"candidates": {source.ids[4]: "it is torn"}}
    assert found.results.counts.num_ranked.candidates == len(source) - 1
    assert found.results.counts.status == "unchecked"
    assert found.validation is None
    assert found.results.counts.longest.false_positives is None


def test_held_out_pictures_that_were_memorised_are_false_positives():
    target, memorised = planted_target()
    source = open_source(MEMBERS)
    order = sorted(range(120), key=lambda row: source.ids[row] not in memorised)
    found = extract(target, open_source(HELD_OUT), source.take(order[:60]), CONFIG)
    longest = found.results.counts.longest
    assert longest.extracted == 0
    assert longest.false_positives.all.count == 12
    assert longest.false_positives.chosen.count == 12
    assert longest.false_positives.candidates.count == 0
    assert found.results.counts.status == "none"


def test_the_model_is_told_the_same_picture_on_both_sides():
    with pytest.raises(InputError, match="share 5 pictures with identical pixels"):
        attack(held_out="digits:members[115:125]")


def test_pictures_and_their_completions():
    target, memorised = planted_target()
    source = open_source(MEMBERS)
    names = [min(memorised), next(name for name in source.ids if name not in memorised)]
    originals, completions = complete_images(target, source, names, 16)
    np.testing.assert_allclose(completions[0], originals[0], atol=0.005)  # the grey levels of the tokens
    assert np.abs(completions[1] - originals[1]).max() > 0.2
    with pytest.raises(InputError, match="holds no picture 'nothing'"):
        complete_images(target, source, ["nothing"], 16)


def test_wrong_requests_are_refused():
    with pytest.raises(InputError, match="Unknown candidate score 'greedy_macth'; did you mean greedy_match"):
        attack(dataclasses.replace(CONFIG, score="greedy_macth"))
    with pytest.raises(InputError, match=r"A prefix of 64 steps is not in 0..63"):
        attack(dataclasses.replace(CONFIG, prefixes=(64,)))
    for wrong in ({"top_k": -1}, {"threshold": 2.0}, {"alpha": 0.0}, {"reference_size": 1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            ExtractionConfig(**wrong)

"""Probable extraction from sources to counts, on a model of which it is known what it has memorised."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxaudit.attacks.regeneration import Sampling
from jaxaudit.audits.extraction import ExtractionConfig, regenerate, write_probabilities
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.reports.files import write_regeneration
from jaxaudit.reports.regeneration.rows import sentence
from jaxaudit.runtime.placement import Placement
from jaxaudit_kernels.sampling_law import Sampler
from tests.audits.extraction.planted import HELD_OUT, MEMBERS, planted_target
from tests.results.round_trip import assert_round_trips

CONFIG = ExtractionConfig(prefixes=(2, 16), placement=Placement(16), shard_size=50)
COLD = Sampling(Sampler(temperature=0.05))


def run(config=CONFIG, sampling=COLD, **options):
    sides = open_source(MEMBERS), open_source(HELD_OUT)
    return regenerate(planted_target()[0], *sides, sampling=sampling, config=config, **options)


def test_exactly_the_memorised_pictures_come_back(tmp_path):
    _, memorised = planted_target()
    results, found = run(directory=tmp_path / "kept")
    candidates = found["candidates"]
    longest = results.prefixes[-1].found
    best = candidates.sample_ids[np.argsort(-candidates.log_p[16])[: len(memorised)]]
    assert set(best) == memorised
    assert longest.extracted == longest.discoverable == len(memorised)
    assert longest.held_out_discoverable == 0
    assert f"draws {len(memorised)} of 120 training images" in sentence(results)
    assert_round_trips(results)
    write_probabilities(found, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "probabilities.parquet").to_pydict()
    assert table["side"].count("held_out") == 90
    files = write_regeneration(results, tmp_path / "out")
    assert all(path.stat().st_size for path in files)
    again, _ = run(directory=tmp_path / "kept")
    assert again == results


def test_another_sampler_is_another_request(tmp_path):
    run(directory=tmp_path)
    with pytest.raises(InputError, match="sampling"):
        run(sampling=Sampling(Sampler(top_k=5)), directory=tmp_path)


def test_refuses_what_cannot_be():
    with pytest.raises(InputError, match="most_tries=0 is no number of tries"):
        run(most_tries=0)
    with pytest.raises(InputError, match="A prefix of 99 steps"):
        run(dataclasses.replace(CONFIG, prefixes=(99,)))
    sides = open_source(MEMBERS), open_source(MEMBERS)
    with pytest.raises(InputError, match="share 120 pictures"):
        regenerate(planted_target()[0], *sides, sampling=COLD, config=CONFIG)

import dataclasses
import importlib

import numpy as np
import pytest

from jaxaudit.audits.assess import AssessConfig
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.extraction import ExtractionConfig
from jaxaudit.audits.mitigation import Change, MitigateConfig, measure_changes, save_mitigated
from jaxaudit.checkpoint import load_target, save_target
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, UnitAxis, UnitMap
from jaxaudit.feature_extractors import pixels
from jaxaudit.protocols import PUBLISHED
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import silent
from tests import tiny
from tests.results.round_trip import assert_round_trips

measuring = importlib.import_module("jaxaudit.audits.mitigation.measure")
PLACEMENT = Placement(num_devices=1)
CONFIG = MitigateConfig(
    CollectConfig(scores=("diff/loss", "diff/hinge"), placement=PLACEMENT),
    extraction=ExtractionConfig(
        top_k=2, validation_top_k=2, prefixes=(8,), reference_size=20, placement=PLACEMENT
    ),
)
CHANGES = [Change(), Change("random", 0.5, factor=6.0)]
UNITS = UnitMap(
    stages=("all tokens",),
    subsets=(1.0,),
    sizes=(2,),
    axis=UnitAxis(("block 0", "block 1"), (32, 32)),
    unit_mem=np.zeros((1, 1, 64), np.float32),
    floored=np.zeros((1, 1, 64), np.float32),
    maximum=np.ones((1, 64), np.float32),
    second=np.ones((1, 64), np.float32),
    rest=np.ones((1, 64), np.float32),
    argument=np.zeros((1, 64), np.int32),
    class_mem=None,
    class_argument=None,
    ids=("a", "b"),
    labels=np.zeros(2, np.int32),
)


@pytest.fixture(scope="module")
def sources():
    return open_source("digits:members[:90]"), tiny.torn(open_source("digits:nonmembers[:91]"), (7,))


@pytest.fixture(scope="module")
def measured(sources, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mitigate")
    return directory, measure_changes(tiny.rar_target(), CHANGES, *sources, directory, CONFIG, units=UNITS)


@pytest.mark.slow
def test_every_change_is_attacked_and_its_quality_measured(measured, sources):
    directory, results = measured
    records = results.records
    assert [record.change.kind for record in records] == ["none", "random"]
    for record in records:
        for name in ("auc", "rate", "heldout_loss", "frechet"):
            found = getattr(record.measured, name)
            assert found.low <= found.estimate <= found.high
        assert record.measured.completed == 20
        assert 0 <= record.measured.extracted <= 20
    assert_round_trips(results)
    assert results.skipped == {"members": {}, "nonmembers": {sources[1].ids[7]: "it is torn"}}
    plain, changed = (
        Evidence.open(directory / change.name / "evidence").read("nonmembers").scores["cond/loss"]
        for change in CHANGES
    )
    assert records[0].measured.heldout_loss.estimate == pytest.approx(-plain.mean())
    assert records[1].measured.heldout_loss.estimate == pytest.approx(-changed.mean())
    assert np.abs(plain - changed).min() > 0


def test_what_is_measured_is_not_measured_again(measured, sources):
    directory, records = measured
    calls = []
    options = {"units": UNITS, "progress": lambda *now: calls.append(now)}
    again = measure_changes(tiny.rar_target(), CHANGES, *sources, directory, CONFIG, **options)
    assert again == records
    assert {what.split()[0] for _, _, what, *_ in calls} == {"Looking"}


def test_another_request_is_refused(measured, sources):
    directory, _ = measured
    other = dataclasses.replace(CONFIG, extraction=dataclasses.replace(CONFIG.extraction, top_k=3))
    with pytest.raises(InputError, match="another request"):
        measure_changes(tiny.rar_target(), CHANGES, *sources, directory, other)


def test_the_published_protocol_is_refused(sources, tmp_path):
    published = dataclasses.replace(CONFIG, assess=AssessConfig(protocol=PUBLISHED))
    with pytest.raises(InputError, match="protocol='paper' measures no intervals"):
        measure_changes(tiny.rar_target(), CHANGES, *sources, tmp_path, published)


@pytest.mark.usefixtures("unchecked")
def test_completions_are_compared_with_their_own_originals(sources, monkeypatch):
    """Pixels that are all lighter by 0.1 are 64 * 0.01 away, whichever pictures were drawn."""

    def lighter(target, source, sample_ids, *options):
        images = np.random.default_rng(len(sample_ids[0])).random((len(sample_ids), 8, 8, 3), np.float32)
        return images / 2, images / 2 + np.float32(0.1)

    monkeypatch.setattr(measuring, "complete_images", lighter)
    asked = None, sources[1], sources[1].ids[:80], 8, pixels(), CONFIG, silent
    found = measuring._frechet(*asked)
    np.testing.assert_allclose([found.low, found.estimate, found.high], 0.64, rtol=1e-4)


def test_changes_have_names_of_their_own():
    changes = [
        Change(),
        Change("unit_mem", 0.1),
        Change("unit_mem", 0.1, factor=0.25),
        Change("random", 0.1),
        Change("random", 0.1, seed=1),
        Change("noise", 0.1),
    ]
    assert len({change.name for change in changes}) == len(changes)


def test_changes_that_cannot_be_made_are_refused():
    with pytest.raises(InputError, match="did you mean random"):
        Change("randon", 0.1)
    with pytest.raises(InputError, match=r"run `jaxaudit localize` first"):
        Change("random", 0.1).apply(tiny.rar_target(), None)


def test_no_change_is_the_target_itself_and_noise_is_another():
    target = tiny.rar_target()
    assert Change().apply(target, None) is target
    noisy = Change("noise", 1.0).apply(target, None)
    assert noisy.provenance["fingerprint"] != target.provenance["fingerprint"]
    assert noisy.functions is not target.functions


def test_changed_targets_are_saved_and_answer_as_before_saving(tmp_path):
    plain = tiny.rar_target()
    save_target(
        tmp_path / "plain",
        family="rar",
        config=tiny.RAR_CONFIG,
        params=plain.params,
        preprocessing=plain.preprocessing,
        provenance={"licence": "none"},
    )
    original = load_target(tmp_path / "plain")
    changed = Change("noise", 0.5, seed=3).apply(Change("random", 0.5, 2.0).apply(original, UNITS), UNITS)
    save_mitigated(tmp_path / "changed", changed, original=tmp_path / "plain")
    again = load_target(tmp_path / "changed")
    tokens, labels = np.arange(32).reshape(2, 16) % 24, np.array([1, 2])
    np.testing.assert_array_equal(again.logits(tokens, labels), changed.logits(tokens, labels))
    assert again.provenance["licence"] == "none"
    assert again.provenance["made_from"] == original.provenance["fingerprint"]
    assert len(again.provenance["mitigations"]) == 2

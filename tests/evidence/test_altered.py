"""Whatever is done to files, what is read is what was written, or one sentence says that it is not."""

import functools
import json
import shutil
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import jaxaudit
from jaxaudit.audits.assess import assess
from jaxaudit.checkpoint import read_record
from jaxaudit.errors import InputError
from jaxaudit.evidence import UNITS, Columns, Evidence, UnitAxis, UnitMap, claim, read_manifest
from jaxaudit.evidence.units import FILE
from jaxaudit.results import AuditResults, decode, encode
from jaxaudit.seals import seal

pytestmark = pytest.mark.usefixtures("unchecked")
ALTERED = hypothesis.settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
CLAIM_MODULE = sys.modules[claim.__module__]
NAMES = ("cond/loss", "cond/zlib")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(CLAIM_MODULE, "_PATIENCE", 0.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """Every place of a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


@st.composite
def altered_json(draw, original):
    """The value with one field dropped, renamed or replaced."""
    value = json.loads(json.dumps(original))
    *above, name = draw(st.sampled_from(list(places(value))))
    parent = functools.reduce(lambda inner, step: inner[step], above, value)
    kind = draw(st.sampled_from(["drop", "rename", "replace"]))
    if kind == "replace" or isinstance(parent, list):
        parent[name] = draw(JSON)
    elif kind == "drop":
        del parent[name]
    else:
        parent[draw(st.text(max_size=8))] = parent.pop(name)
    return value


@st.composite
def altered_bytes(draw, original):
    """The file cut short, longer, or with some bytes changed."""
    content = bytearray(original)
    kind = draw(st.sampled_from(["cut", "flip", "longer"]))
    if kind == "cut":
        return bytes(content[: draw(st.integers(0, len(content) - 1))])
    if kind == "longer":
        return bytes(content) + draw(st.binary(min_size=1, max_size=9))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content) - 1))
        content[place] ^= draw(st.integers(1, 255))
    return bytes(content)


def answer(read):
    """What is read; None if an InputError of one line says why it is not."""
    try:
        return read()
    except InputError as error:
        sentence = str(error)
    assert "\n" not in sentence
    return None


def same_or_none(read, expected):
    found = answer(read)
    assert found is None or found == expected
    return found


def make_evidence(directory):
    request = {
        "target": {"family": "var", "fingerprint": "ab12", "num_params": 3, "num_classes": 10},
        "precision": "float32",
        "preprocessing": {},
        "seed": 0,
        "scores": list(NAMES),
        "score_info": {
            name: {"description": "", "source": "", "access": "gray-box", "published": False}
            for name in NAMES
        },
        "options": {},
        "main_view": "cond",
        "inference": "sum",
        "feature_sets": {"default": {"cond": list(NAMES)}, "paper": {}},
        "num_samples": 0,
        **{
            side: {
                "source": side,
                "classes": {"rule": "folders", "count": 10},
                **{f"{what}_sha256": "ab" for what in ("ids", "pixels", "labels", "conditions", "clusters")},
            }
            for side in ("members", "nonmembers")
        },
    }
    run = {
        "target": "tiny",
        "scores": ["all"],
        "access": "gray",
        "skipped": {"members": {}, "nonmembers": {}},
        "provenance": {},
        "gflop_per_image": 1.0,
        "evaluations_per_image": None,
    }
    size = {"num_rows": {"members": 30, "nonmembers": 30}, "shard_size": 30}
    evidence = Evidence.create(directory, request, run, columns=Columns(NAMES, {}, ("mean",)), **size)
    for shard in evidence.shards():
        rng = np.random.default_rng(shard.split == "members")
        ids = [f"{shard.split}/{row}" for row in shard.rows]
        names = (*NAMES, "blind/mean")
        numbers = {name: rng.normal(size=len(shard)) for name in names}
        labels, clusters = np.arange(len(shard)) % 10, {"cluster": ids, "copy_of": [""] * len(shard)}
        evidence.write(shard, {"sample_id": ids, "label": labels, "digest": ids, **clusters, **numbers})
    return directory


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return make_evidence(tmp_path_factory.mktemp("evidence"))


def tables(directory):
    found = Evidence.open(directory)
    return {
        "columns": found.columns,
        "request": dict(found.request),
        "run": found.run,
        **{
            split: {
                "ids": table.sample_ids.tolist(),
                "labels": table.labels.tolist(),
                "digests": table.digests.tolist(),
                "clusters": table.clusters.tolist(),
                "copies": table.copy_of.tolist(),
                "scores": {name: values.tolist() for name, values in table.scores.items()},
                "blind": table.blind.tolist(),
            }
            for split in ("members", "nonmembers")
            for table in [found.read(split)]
        },
    }


def rewritten(path, content, read):
    """What `read` makes of the folder with another content of that file, which is put back."""
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        return read()
    finally:
        path.write_bytes(original)


@pytest.fixture(scope="module")
def expected(evidence):
    return tables(evidence)


@ALTERED
@hypothesis.given(data=st.data())
def test_a_manifest_that_was_edited_is_refused(evidence, data):
    path = evidence / "manifest.json"
    manifest = json.loads(path.read_text())
    altered = data.draw(altered_json(manifest))
    hypothesis.assume(altered != manifest)
    assert rewritten(path, json.dumps(altered).encode(), lambda: answer(lambda: tables(evidence))) is None


@ALTERED
@hypothesis.given(data=st.data())
def test_a_manifest_that_was_sealed_again_ends_in_an_answer_or_a_sentence(evidence, data):
    """What is sealed again may say anything of the run; to another request the shards do not belong."""
    path = evidence / "manifest.json"
    manifest = json.loads(path.read_text())
    place = data.draw(st.sampled_from(["request", "run", "format", "holds"]))
    altered = {**manifest, place: data.draw(altered_json({place: manifest[place]})).get(place)}
    results = rewritten(
        path, json.dumps(seal(altered)).encode(), lambda: answer(lambda: assess(Evidence.open(evidence)))
    )
    assert results is None or altered["request"] == manifest["request"]
    assert results is None or decode(encode(results), AuditResults, "results.json") == results


@ALTERED
@hypothesis.given(data=st.data())
def test_bytes_of_evidence_that_were_changed_are_no_other_numbers(evidence, expected, data):
    path = data.draw(st.sampled_from(sorted(evidence.iterdir())))
    content = data.draw(altered_bytes(path.read_bytes()))
    rewritten(path, content, lambda: same_or_none(lambda: tables(evidence), expected))


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    directory = tmp_path_factory.mktemp("units")
    target = {"family": "var", "fingerprint": "ab12", "num_params": 3, "num_classes": 10}
    claim(directory, UNITS, {"target": target, "seed": 0})
    values = np.random.default_rng(0).random((7, 1, 4)).astype(np.float32)
    UnitMap(
        stages=("all tokens",),
        axis=UnitAxis(("block 0", "block 1"), (1, 3)),
        subsets=(1.0,),
        sizes=(2,),
        unit_mem=values[:1],
        floored=values[5:6],
        maximum=values[1],
        second=values[6] * values[1],
        rest=values[2],
        argument=np.zeros((1, 4), np.int32),
        class_mem=values[3],
        class_argument=np.ones((1, 4), np.int32),
        ids=("a", "b"),
        labels=np.zeros(2, np.int32),
    ).save(directory)
    return directory


def unit_map(directory):
    found = UnitMap.load(directory)
    plain = {name: np.asarray(value).tolist() for name, value in vars(found).items() if name != "axis"}
    return plain | {"axis": found.axis, "request": dict(read_manifest(directory, UNITS).request)}


@ALTERED
@hypothesis.given(data=st.data())
def test_bytes_of_a_map_that_were_changed_are_no_other_numbers(units, data):
    path = units / data.draw(st.sampled_from([FILE, FILE, "manifest.json"]))
    content = data.draw(altered_bytes(path.read_bytes()))
    expected = unit_map(units)
    rewritten(path, content, lambda: same_or_none(lambda: unit_map(units), expected))


@ALTERED
@hypothesis.given(data=st.data())
def test_a_manifest_of_a_map_that_was_edited_is_refused(units, data):
    path, expected = units / "manifest.json", unit_map(units)
    altered = data.draw(altered_json(json.loads(path.read_text())))
    for text, same in ((json.dumps(altered), True), (json.dumps(seal(altered)), False)):
        found = rewritten(path, text.encode(), lambda: answer(lambda: unit_map(units)))
        assert not same or found in (None, expected)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    builtin = Path(jaxaudit.__file__).parent / "builtin" / "digits_var"
    return shutil.copytree(builtin, tmp_path_factory.mktemp("target") / "copy")


@ALTERED
@hypothesis.given(data=st.data())
def test_a_record_of_a_target_that_was_edited_is_refused(target, data):
    path, record = target / "target.json", read_record(target)
    altered = data.draw(altered_json(record))
    for text, same in ((json.dumps(altered), True), (json.dumps(seal(altered)), False)):
        found = rewritten(path, text.encode(), lambda: answer(lambda: read_record(target)))
        assert not same or found in (None, record)


@ALTERED
@hypothesis.given(data=st.data())
def test_bytes_of_a_record_that_were_changed_are_no_other_record(target, data):
    path = target / "target.json"
    record, content = read_record(target), data.draw(altered_bytes(path.read_bytes()))
    rewritten(path, content, lambda: same_or_none(lambda: read_record(target), record))

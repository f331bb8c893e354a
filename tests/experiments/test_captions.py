"""The programs on a model of captions: pictures in a folder, embeddings in a file beside it."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from jaxaudit.checkpoint import save_target
from jaxaudit.data import open_source
from jaxaudit.evidence import Evidence, UnitMap
from jaxaudit.results import AuditResults, LocalizationResults
from tests import tiny
from tests.experiments.captured import run
from tests.results.round_trip import read_back


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Flags: a target, and two flat folders of 36 pictures with the embeddings of their captions."""
    folder = tmp_path_factory.mktemp("captions")
    target = tiny.captioned_target()
    save_target(
        folder / "target",
        family="uvit",
        config=tiny.CAPTIONED_CONFIG,
        params=target.params,
        preprocessing=target.preprocessing,
        provenance={},
    )
    flags = {"target": folder / "target"}
    for split in ("members", "nonmembers"):
        source = open_source(f"digits:{split}[:36]")
        (folder / split).mkdir()
        lines, embeddings = [], {"null_embedding": tiny.embed([""])[0]}
        for sample in map(source.load, range(36)):
            name, caption = f"{sample.id.replace('/', '-')}.png", f"a {sample.label} by hand"
            Image.fromarray(sample.image).save(folder / split / name)
            lines.append(json.dumps({"file_name": name, "text": caption}))
            embeddings[name] = tiny.embed([caption])[0]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
        save_file(embeddings, folder / f"{split}.safetensors")
        flags[split] = f"folder:{folder / split}?embeddings={folder / f'{split}.safetensors'}"
    return flags


def test_an_audit_ends_with_the_report(data, tmp_path):
    process = run("audit", **data, scores="multiple_loss_100,clid_100,clid_300", batch_size=36, out=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    results = read_back(tmp_path / "results.json", AuditResults)
    assert set(results.membership.per_score) == {"multiple_loss_100", "clid_100", "clid_300"}
    assert results.finding.sentence in (tmp_path / "report.html").read_text()
    assert np.isfinite(Evidence.open(tmp_path / "evidence").read("members").scores["clid_100"]).all()


def test_a_localisation_ends_with_the_report(data, tmp_path):
    process = run("localize", **data, num_views=2, top=0.1, out=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert len(UnitMap.load(tmp_path / "units").ids) == 36
    found = read_back(tmp_path / "results.json", LocalizationResults).localization
    assert found.pictures[0].picture in (tmp_path / "report.html").read_text()


def test_text_alone_ends_in_one_sentence(data, tmp_path):
    members, nonmembers = (data[split].partition("?")[0] for split in ("members", "nonmembers"))
    process = run(
        "audit", target=data["target"], members=members, nonmembers=nonmembers, out=tmp_path / "out"
    )
    assert process.returncode == 2
    assert "has captions as text, but the target is conditioned on embeddings" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()

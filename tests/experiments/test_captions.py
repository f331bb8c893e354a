"""The programs on models of captions: pictures in a folder, beside them captions or their embeddings."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from jaxaudit import score
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.reference import check_is_another
from jaxaudit.audits.request import target_request
from jaxaudit.checkpoint import load_target, save_target
from jaxaudit.data import open_source, preprocess
from jaxaudit.evidence import Evidence, UnitMap
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.results import AuditResults, ExtractionResults, LocalizationResults, OwnersAnswer
from jaxaudit.runtime.placement import Placement
from tests import tiny, vocabulary
from tests.experiments.captured import run
from tests.results.round_trip import read_back


def save_pictures(folder, split):
    """Writes 36 digits into a new folder; {file: its class}."""
    folder.mkdir()
    source, labels = open_source(f"digits:{split}[:36]"), {}
    for sample in map(source.load, range(36)):
        name = f"{sample.id.replace('/', '-')}.png"
        Image.fromarray(sample.image).save(folder / name)
        labels[name] = sample.label
    return labels


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
        lines, embeddings = [], {"null_embedding": tiny.embed([""])[0]}
        for name, label in save_pictures(folder / split, split).items():
            caption = f"a {label} by hand"
            lines.append(json.dumps({"file_name": name, "text": caption}))
            embeddings[name] = tiny.embed([caption])[0]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
        save_file(embeddings, folder / f"{split}.safetensors")
        flags[split] = f"folder:{folder / split}?embeddings={folder / f'{split}.safetensors'}"
    return flags


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_model_of_captions_is_trained_and_trained_further(tmp_path):
    """From text to a target that reads text, and on from there."""
    steps = {"generator_steps": 2}
    small = {"family": "uvit", "captions": True, "data": "digits:members[:64]", "width": 32, **steps}
    trained = run("train_target", **small, out=tmp_path / "base")
    assert trained.returncode == 0, trained.stderr
    assert "as they are; captions." in trained.stdout
    further = {"init": tmp_path / "base", "data": "digits:nonmembers[:40]", **steps}
    tuned = run("train_target", **further, out=tmp_path / "tuned")
    assert tuned.returncode == 0, tuned.stderr
    base, tuned = (load_target(tmp_path / name) for name in ("base", "tuned"))
    assert base.context_shape == tuned.context_shape == (5, 32)
    captions = ["a handwritten zero", "a handwritten nine", ""]
    told = base.embed_captions(captions)
    np.testing.assert_array_equal(told, tuned.embed_captions(captions))
    assert np.abs(np.diff(told, axis=0)).max((1, 2)).min() > 0.1
    check_is_another(target_request(tuned), target_request(base))


def test_text_alone_ends_in_one_sentence(data, tmp_path):
    members, nonmembers = (data[split].partition("?")[0] for split in ("members", "nonmembers"))
    process = run(
        "audit", target=data["target"], members=members, nonmembers=nonmembers, out=tmp_path / "out"
    )
    assert process.returncode == 2
    assert "has captions as text, but the target is conditioned on embeddings" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


TEXT_ENCODER = {
    "vocab_size": vocabulary.SIZE, "length": 8, "width": 6, "depth": 1, "num_heads": 2, "mlp_width": 8,
    "feature_dim": 6, "end_token": vocabulary.SIZE - 1, "pad_token": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Flags: a VAR-CLIP with a text encoder, and two folders of 36 pictures with their captions.txt."""
    folder = tmp_path_factory.mktemp("text")
    config = tiny.VAR_CLIP_CONFIG | {"text_encoder": TEXT_ENCODER}
    save_target(
        folder / "target",
        family="var",
        config=config,
        params=random_params(get_family("var").abstract_params(config), seed=1),
        preprocessing=tiny.DIGITS,
        provenance={},
        vocabulary=vocabulary.save(folder / "words"),
    )
    flags = {"target": folder / "target"}
    for split in ("members", "nonmembers"):
        labels = save_pictures(folder / split, split)
        lines = [f"{name}\ta photo of {label}" for name, label in labels.items()]
        (folder / split / "captions.txt").write_text("\n".join(lines))
        flags[split] = f"folder:{folder / split}"
    return flags


@pytest.mark.usefixtures("unchecked")
def test_captions_in_scores_out(text, tmp_path):
    target, source = load_target(text["target"]), open_source(text["members"])
    config = CollectConfig(("diff/loss", "cond/loss"), placement=Placement(batch_size=36))
    rows = collect_evidence(target, source, open_source(text["nonmembers"]), tmp_path, config).read("members")
    first = [source.load(source.ids.index(name)) for name in rows.sample_ids[:3]]
    images = np.stack([preprocess(each.image, target.preprocessing) for each in first])
    embeddings = target.embed_captions([each.caption for each in first])
    expected = score(target, images, embeddings, names=["diff/loss"])["diff/loss"]
    np.testing.assert_allclose(rows.scores["diff/loss"][:3], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_audit_of_captions_ends_with_the_report(text, tmp_path):
    process = run("audit", **text, scores="diff/loss,cond/loss", batch_size=36, out=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    results = read_back(tmp_path / "results.json", AuditResults)
    assert set(results.membership.per_score) == {"diff/loss", "cond/loss"}


@pytest.mark.slow
def test_the_owner_of_captioned_pictures_gets_an_answer(text, tmp_path):
    published, unpublished = text["members"], text["nonmembers"]
    process = run(
        "identify_data",
        target=text["target"],
        published=published,
        unpublished=unpublished,
        batch_size=36,
        out=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    answer = read_back(tmp_path / "answer.json", OwnersAnswer)
    assert answer.audit.finding.sentence in (tmp_path / "answer.html").read_text()


@pytest.mark.slow
def test_completions_from_captions(text, tmp_path):
    process = run(
        "extract",
        target=text["target"],
        candidates=text["members"],
        validation=text["nonmembers"],
        top_k=5,
        prefixes="1",
        batch_size=36,
        out=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    counts = read_back(tmp_path / "results.json", ExtractionResults).counts
    assert (counts.status, counts.num_completed.candidates, counts.num_classes) == ("none", 5, 1)

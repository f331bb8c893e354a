"""The origin of pictures from sources to files, on an autoencoder of which everything is known."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.audits.provenance import (
    ProvenanceConfig,
    StudyConfig,
    identify_provenance,
    study_provenance,
    write_origins,
)
from jaxaudit.audits.provenance.known_sets import altered, generated_pictures, some_of_each
from jaxaudit.data import Picture, open_source
from jaxaudit.errors import InputError
from jaxaudit.paths import as_place
from jaxaudit.reports.files import write_provenance, write_provenance_study
from jaxaudit.reports.provenance.confusion import study_markdown
from jaxaudit.results import ProvenanceStudy
from jaxaudit.runtime.placement import Placement
from tests import tiny
from tests.attacks.test_provenance import known_target, made_and_taken
from tests.results.round_trip import assert_round_trips

CONFIG = ProvenanceConfig(search_steps=4, placement=Placement(32), shard_size=16)


def source_of(name, images):
    """A source of these pictures, told the digits' classes."""
    like = open_source("digits:members").take(range(len(images)))
    pixels = np.rint(127.5 * (images + 1)).astype(np.uint8)
    return dataclasses.replace(
        like,
        spec=name,
        ids=[f"{name}/{row}" for row in range(len(images))],
        read=lambda index: Picture(pixels[index]),
        captions={},
    )


@pytest.fixture(scope="module")
def sides():
    made, _ = made_and_taken(40)
    rng = np.random.default_rng(7)
    taken = rng.uniform(-1, 1, (140, 8, 8, 3)).astype(np.float32)
    return source_of("P", np.concatenate([made, taken[:10]])), source_of("U", taken[10:])


def test_pictures_generated_for_other_classes_are_others(tmp_path):
    like, target = open_source("digits:members[:6]"), tiny.var_target()
    generated_pictures(target, like, as_place(tmp_path), seed=0, done=lambda done: None)
    others = dataclasses.replace(like, labels=(like.labels + 1) % 10)
    with pytest.raises(InputError, match="holds generated pictures of another request"):
        generated_pictures(target, others, as_place(tmp_path), seed=0, done=lambda done: None)
    with pytest.raises(InputError, match="1 of 6 pictures of .* cannot be used"):
        generated_pictures(
            target, tiny.torn(like, (2,)), as_place(tmp_path / "torn"), seed=0, done=lambda done: None
        )


def test_copies_count_once_and_are_listed(sides, tmp_path):
    """A picture of U in five places is one; of P, one that is made is named once."""
    published, unpublished = sides
    twice = [*range(50), *range(10)]
    names = [f"P/{place}" for place in range(60)]
    again = dataclasses.replace(published.take(twice), ids=names)
    many = [*range(130), *[0] * 4]
    others = dataclasses.replace(unpublished.take(many), ids=[f"U/{place}" for place in range(134)])
    results, _ = identify_provenance(known_target(), again, others, tmp_path, CONFIG)
    plain, _ = identify_provenance(known_target(), *sides, tmp_path / "plain", CONFIG)
    assert results.found == plain.found
    assert set(results.skipped["published"]) == set(names[50:])
    assert set(results.skipped["unpublished"]) == {f"U/{place}" for place in range(130, 134)}
    assert "copy of P/0" in results.skipped["published"]["P/50"]


def test_exactly_what_was_made_is_found_generated(sides, tmp_path):
    results, measured = identify_provenance(known_target(), *sides, tmp_path / "scores", CONFIG)
    found = results.found
    assert set(found.generated.discovered) == {f"P/{row}" for row in range(40)}
    assert found.status == "generated"
    assert 0.5 < found.share.at_least <= 0.8
    assert "member" not in found.origins[:40]
    assert_round_trips(results)
    write_origins(found, measured, tmp_path)
    first, *lines = (tmp_path / "origins.csv").read_text().splitlines()
    assert first.startswith("sample_id,origin,p_generated,p_member,combined")
    assert sum(",generated," in line for line in lines) == 40
    files = write_provenance(results, tmp_path)
    assert all(path.stat().st_size for path in files)
    page = files[-1].read_text()
    assert found.sentence in page.replace("&#x27;", "'")


def test_a_killed_run_goes_on_and_another_request_is_refused(sides, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, total, what):
        if what.startswith("Asking") and done >= 48:
            raise Killed

    with pytest.raises(Killed):
        identify_provenance(known_target(), *sides, tmp_path, CONFIG, progress=kill)
    shards = sorted(path.name for path in tmp_path.glob("*.parquet"))
    assert shards
    kept = (tmp_path / shards[0]).read_bytes()
    resumed, _ = identify_provenance(known_target(), *sides, tmp_path, CONFIG)
    whole, _ = identify_provenance(known_target(), *sides, tmp_path.parent / "whole", CONFIG)
    assert resumed == whole
    assert (tmp_path / shards[0]).read_bytes() == kept
    other = dataclasses.replace(CONFIG, search_steps=5)
    with pytest.raises(InputError, match="search_steps"):
        identify_provenance(known_target(), *sides, tmp_path, other)


def test_pictures_of_u_are_in_no_other_set(sides, tmp_path):
    with pytest.raises(InputError, match="share 50 pictures"):
        identify_provenance(known_target(), sides[0], sides[0], tmp_path, CONFIG)


def test_pictures_are_altered_as_is_said():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    changed = altered(images, seed=0)
    assert set(changed) == {"jpeg_90", "jpeg_60", "halved", "noise"}
    distance = {name: np.abs(each.astype(int) - images).mean() for name, each in changed.items()}
    assert 1 < distance["noise"] < 2.5
    assert distance["jpeg_90"] < distance["jpeg_60"] < distance["halved"]
    np.testing.assert_array_equal(
        some_of_each([images, changed["noise"]], 3), np.stack([images[0], changed["noise"][1], images[2]])
    )


@pytest.mark.slow
def test_a_study_of_known_pictures_names_what_it_cannot_ask(tmp_path):
    targets = [tiny.rar_target()]
    told = open_source("digits:members").take(range(20))
    unseen = open_source("digits:nonmembers").take(range(80))
    with pytest.raises(InputError, match="too few for sets of 200"):
        study_provenance(targets, told, unseen, tmp_path / "small")
    config = StudyConfig(num_images=20, repetitions=3, measure=CONFIG)
    study = study_provenance(targets, told, unseen, tmp_path, config)
    (found,) = study.targets
    assert [each.name for each in found.sets][:3] == ["members", "unseen", "generated"]
    assert found.null.num_u == 40
    study = ProvenanceStudy(
        q=study.q,
        confidence=study.confidence,
        seed=study.seed,
        targets=study.targets,
        refused={"pixels": "pixels generates pixels."},
    )
    assert_round_trips(study)
    assert "pixels generates pixels." in study_markdown(study)
    assert all(path.stat().st_size for path in write_provenance_study(study, tmp_path))
    other = dataclasses.replace(config, measure=dataclasses.replace(CONFIG, seed=1))
    with pytest.raises(InputError, match="generated pictures of another request .*seed"):
        study_provenance(targets, told, unseen, tmp_path, other)
    again = study_provenance(targets, told, unseen, tmp_path, config)
    assert again.targets == study.targets

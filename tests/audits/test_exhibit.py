"""An exhibit: pictures that can be named, with hashes that anybody can compute."""

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxaudit.audits.exhibit import make_exhibit
from jaxaudit.data import Preprocessing, open_source
from jaxaudit.data.hashes import hashes
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Table
from jaxaudit.results import replace
from tests.reports.answer.test_answer import make_answer
from tests.results.round_trip import assert_round_trips

SHOWN = Preprocessing(image_size=8, resize="bilinear", short_side=8, low=-1.0, high=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    for row, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (90, 16, 16, 3), np.uint8)):
        Image.fromarray(pixels).save(path / f"{row:02d}.png")
    return path


def digest(pixels):
    """The rule that the page gives."""
    shape = np.asarray(pixels.shape, "<u4").tobytes()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


class Scored(Evidence):
    """Evidence of the pictures in the folder."""

    def __init__(self, source):
        self.source = source

    def read(self, split):
        assert split == "members"
        found = [digest(self.source.load(row).image) for row in range(len(self.source))]
        numbers, empty = np.arange(len(found)), np.zeros((len(found), 0))
        names = np.array(self.source.ids)
        return Table(names, numbers, np.array(found), numbers, names, {}, {}, empty, ())


@pytest.fixture(scope="module")
def answer(folder):
    found = make_answer("identified")
    individuals = replace(found.audit.individuals, ids=tuple(open_source(f"folder:{folder}").ids))
    order = np.argsort(individuals.adjusted_p_values)
    listed = tuple(individuals.ids[row] for row in order[:7])
    return replace(found, audit=replace(found.audit, individuals=replace(individuals, discovered=listed)))


def test_hashes_are_those_of_the_file_and_of_the_pixels(folder):
    source = open_source(f"folder:{folder}?shuffle=1[3:6]")
    for row, found in enumerate(hashes(source, range(3), SHOWN)):
        path = folder / source.ids[row]
        assert found.file == hashlib.sha256(path.read_bytes()).hexdigest()
        picture = Image.open(path)
        assert found.pixels == digest(np.asarray(picture.convert("RGB")))
        assert found.shown == digest(np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR)))
    rows = open_source("digits:members[:1]")
    (found,) = hashes(rows, [0], Preprocessing(8, "none", 8, -1.0, 1.0))
    assert (found.file, found.pixels) == (None, found.shown)


def test_every_picture_is_in_it_the_strongest_first(answer, folder):
    source = open_source(f"folder:{folder}")
    exhibit = make_exhibit(answer, source, Scored(source), SHOWN)
    individuals = answer.audit.individuals
    assert {picture.id for picture in exhibit.named} == set(individuals.discovered)
    assert {picture.id for picture in exhibit.pictures} == set(individuals.ids)
    p_values = [picture.p_value for picture in exhibit.pictures]
    assert p_values == sorted(individuals.p_values)
    row = individuals.ids.index(exhibit.pictures[0].id)
    assert exhibit.pictures[0].score == individuals.scores[row] == max(individuals.scores)
    assert exhibit.question == answer.asked.questions[-1].fingerprint
    assert_round_trips(exhibit)


@pytest.mark.parametrize("status", ["not_identified", "too_few", "contradicted", "not_testable"])
def test_where_the_set_was_not_identified_there_is_none(answer, folder, status):
    source = open_source(f"folder:{folder}")
    assert make_exhibit(replace(answer, status=status), source, Scored(source), SHOWN) is None


def test_where_no_picture_can_be_named_there_is_none(answer, folder):
    source, audit = open_source(f"folder:{folder}"), answer.audit
    for found in (None, replace(audit.individuals, discovered=())):
        nothing = replace(answer, audit=replace(audit, individuals=found))
        assert make_exhibit(nothing, source, Scored(source), SHOWN) is None


def test_pictures_that_changed_since_are_no_exhibit(answer, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "changed")
    changed = open_source(f"folder:{tmp_path / 'changed'}")
    shutil.copy(folder / "01.png", tmp_path / "changed" / "00.png")
    with pytest.raises(InputError, match="'00.png' of folder:.* has changed since it was scored"):
        make_exhibit(answer, changed, Scored(open_source(f"folder:{folder}")), SHOWN)

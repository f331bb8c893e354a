"""Who asks again brings new pictures: a changed grey level makes none."""

import numpy as np
import pytest
from PIL import Image

from jaxaudit import stats
from jaxaudit.audits.asked_before import check_new, looks_of
from jaxaudit.audits.pictures import look
from jaxaudit.data import Preprocessing, open_source
from jaxaudit.errors import InputError
from jaxaudit.results import replace
from jaxaudit.runtime.progress import silent

VIEW = Preprocessing(32, "bicubic", 32, -1.0, 1.0)
RNG = np.random.default_rng(0)
COARSE = RNG.integers(0, 256, (24, 6, 6, 3), dtype=np.uint8)
IMAGES = np.stack([np.asarray(Image.fromarray(each).resize((48, 48))) for each in COARSE])


@pytest.fixture
def pictures(tmp_path):
    def of(images):
        np.savez(path := tmp_path / f"{len(list(tmp_path.iterdir()))}.npz", images=images)
        return look(open_source(f"npz:{path}?label=0"), VIEW, silent)

    return of


def question(*sides):
    digests, looks = looks_of(sides)
    return stats.ask_again((), digests, 0.05, looks=looks)


def moved(images):
    changed = images.copy()
    changed[:, 0, 0] ^= 1
    return changed


def resized(images):
    return np.stack([np.asarray(Image.fromarray(each).resize((40, 40)).resize((48, 48))) for each in images])


def test_new_pictures_may_be_asked_about(pictures):
    check_new([pictures(IMAGES[12:18]), pictures(IMAGES[18:])], question(pictures(IMAGES[:12])))


@pytest.mark.parametrize(
    "change",
    [
        np.copy,
        moved,
        resized,
    ],
)
def test_copies_of_what_was_asked_about_are_refused(pictures, change):
    again = np.concatenate([IMAGES[12:], change(IMAGES[3:5])])
    asked = (*question(pictures(IMAGES[12:14][:, ::-1])), *question(pictures(IMAGES[:12])))
    with pytest.raises(InputError, match=r"2 pictures .*or altered copies of them.* in question 2"):
        check_new([pictures(again)], asked)


def test_what_copies_are_recognised_by_is_part_of_the_question(pictures):
    first = question(pictures(IMAGES[:6]))
    other = question(pictures(IMAGES[6:12]))
    with pytest.raises(InputError, match="does not follow from the plan"):
        stats.combine_history([replace(first[0], looks=other[0].looks)])


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ("", "does not say what altered copies of its pictures are recognised by"),
        ("AAAA", "Question 1 of the earlier answer is damaged"),
        ("?", "Question 1 of the earlier answer is damaged"),
        (looks_of([])[1], "Question 1 of the earlier answer is damaged"),
    ],
)
def test_an_answer_that_does_not_say_it_cannot_be_followed(pictures, looks, words):
    (first,) = question(pictures(IMAGES[:6]))
    with pytest.raises(InputError, match=words):
        check_new([pictures(IMAGES[6:12])], [replace(first, looks=looks)])

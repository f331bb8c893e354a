"""Picture files as a source, and what their folders say about their classes."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxaudit.data import Preprocessing, UnusableImageError, batches, open_source, resolve_labels, scan
from jaxaudit.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Makes files: pictures are 4x4 and have the color of their place in the list."""

    def make(*paths):
        for place, path in enumerate(paths):
            file = tmp_path / "pictures" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".png":
                Image.new("RGB", (4, 4), (place, place, place)).save(file)
            else:
                file.write_bytes(b"no picture")
        return f"folder:{tmp_path / 'pictures'}"

    return make


def test_samples_come_in_sorted_order_with_relative_paths_as_ids(folder):
    spec = folder("b/2.png", "b/10.png", "a/z.png", "a-b/y.png", "a/deep/er/x.png")
    source = open_source(f"{spec}?classes=sorted")
    assert list(source.ids) == ["a/deep/er/x.png", "a/z.png", "a-b/y.png", "b/10.png", "b/2.png"]
    assert [source.load(index).image[0, 0, 0] for index in range(5)] == [4, 2, 3, 1, 0]
    assert source.labels.tolist() == [0, 0, 1, 2, 2]


def test_other_files_are_ignored_by_name(folder):
    spec = folder(
        "a/1.png", "a/notes.txt", "a/Thumbs.db", "a/.hidden.png", ".git/2.png", "__MACOSX/a/1.png", "a/list"
    )
    assert list(open_source(spec).ids) == ["a/1.png"]


def test_upper_case_and_unreadable_kinds_are_listed_and_not_opened(folder, tmp_path):
    spec = folder("a/1.png", "a/2.JPEG", "a/3.heic")
    os.mkfifo(tmp_path / "pictures" / "a" / "4.jpg")  # opening it would wait forever
    source = open_source(spec)
    assert list(source.ids) == ["a/1.png", "a/2.JPEG", "a/3.heic", "a/4.jpg"]
    with pytest.raises(UnusableImageError, match=r"Picture 'a/2.JPEG' cannot be used: it is no picture that"):
        source.load(1)


def test_integer_folders_are_the_class_index(folder):
    source = open_source(folder("10/a.png", "9/b.png", "007/c.png"))
    assert dict(zip(source.ids, source.labels.tolist(), strict=True)) == {
        "007/c.png": 7,
        "10/a.png": 10,
        "9/b.png": 9,
    }
    assert resolve_labels(source, 11) is source
    assert resolve_labels(source, 1000) is source
    with pytest.raises(InputError, match=r"gives '10/a.png' the label 10 \(the names of the class folders\)"):
        resolve_labels(source, 10)


def test_names_that_are_no_class_indexes_are_no_labels(folder):
    source = open_source(folder("zero/a.png", "one/a.png", "two/a.png"))
    assert resolve_labels(source, 0).labels.tolist() == [0] * 3
    with pytest.raises(
        InputError,
        match=r"no label for 3 of its 3 pictures, e.g. 'one/a.png' \(the names of its class folders are no "
        r"class indexes\), but .* \?classes=FILE, or \?classes=sorted if that is their alphabetical order",
    ):
        resolve_labels(source, 3)


def test_sorted_names_count_only_if_there_are_as_many_as_classes(folder, tmp_path):
    spec = folder("n02/a.png", "n01/b.png", "5/c.png")
    (tmp_path / "pictures" / "n00").mkdir()  # a class without pictures is still a class
    source = open_source(f"{spec}?classes=sorted")
    assert source.labels.tolist() == [0, 2, 3]
    assert resolve_labels(source, 4) is source
    for wrong in (3, 1000):
        with pytest.raises(
            InputError, match=rf"tells 4 classes apart \(its class folders, in sorted order\), .* has {wrong}"
        ):
            resolve_labels(source, wrong)


def test_slicing_keeps_the_number_of_classes(folder):
    source = open_source(folder("cat/a.png", "dog/b.png") + "?classes=sorted[:1]")
    with pytest.raises(InputError, match="tells 2 classes apart"):
        resolve_labels(source, 1)
    assert resolve_labels(source, 2).labels.tolist() == [0]


def test_a_list_of_classes_gives_the_index(folder, tmp_path):
    spec = folder("dog/a.png", "cat/b.png", "3/c.png")
    classes = tmp_path / "classes.txt"
    classes.write_text("dog\nfox\n3\ncat\n\n")
    source = open_source(f"{spec}?classes={classes}")
    assert dict(zip(source.ids, source.labels.tolist(), strict=True)) == {
        "3/c.png": 2,
        "cat/b.png": 3,
        "dog/a.png": 0,
    }
    assert resolve_labels(source, 4) is source
    with pytest.raises(InputError, match=r"tells 4 classes apart \(the lines of .*classes.txt\)"):
        resolve_labels(source, 5)


def test_one_label_for_all_whatever_the_folders(folder):
    source = open_source(folder("a.png", "x/b.png", "7/c.png") + "?label=5")
    assert source.labels.tolist() == [5, 5, 5]
    assert resolve_labels(source, 6) is source


def test_a_flat_folder_has_no_labels(folder):
    source = open_source(folder("a.png", "b.png"))
    assert source.labels.tolist() == [-1, -1]
    assert source.load(0).label == -1
    with pytest.raises(InputError, match=r"no label for 2 of its 2 pictures, e.g. 'a.png' .*\?label=N"):
        resolve_labels(source, 10)
    assert resolve_labels(source, 0).labels.tolist() == [0, 0]


def test_names_that_are_not_unicode_still_give_ids_that_are(folder, tmp_path):
    spec = folder("a.png")
    (tmp_path / "pictures" / "a.png").rename(tmp_path / "pictures" / os.fsdecode(b"\xff.png"))
    folder(r"\xff.png", r"\\xff.png")  # these do not share an id with it, nor with each other
    source = open_source(spec)
    assert list(source.ids) == [r"\\\\xff.png", r"\\xff.png", r"\xff.png"]
    assert len(source.fingerprint) == 64
    assert source.load(2).image.shape == (4, 4, 3)


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    spec = folder("a/1.png")
    (tmp_path / "pictures" / "b").symlink_to(tmp_path / "pictures" / "a")
    (tmp_path / "pictures" / "a" / "up").symlink_to(tmp_path / "pictures")
    assert list(open_source(spec).ids) == ["a/1.png", "b/1.png"]


def test_errors_say_what_would_be_right(folder, tmp_path):
    with pytest.raises(InputError, match="The folder /no/such does not exist"):
        open_source("folder:/no/such")
    spec = folder("a/1.png", "b/2.png")
    with pytest.raises(InputError, match=r"1\.png is a file, not a folder"):
        open_source(f"{spec}/a/1.png")
    with pytest.raises(InputError, match="classes=FILE or label=N, not both"):
        open_source(f"{spec}?classes=x&label=1")
    with pytest.raises(InputError, match="class names /no/such cannot be read"):
        open_source(f"{spec}?classes=/no/such")
    classes = tmp_path / "classes.txt"
    classes.write_text("a\nbb\n")
    with pytest.raises(InputError, match=r"Unknown class \(not in .*\): 'b'; did you mean bb"):
        open_source(f"{spec}?classes={classes}")
    for text, wrong in (("a\n\nb\n", "''"), ("a\nb\na\n", "'a'")):
        classes.write_text(text)
        with pytest.raises(
            InputError, match=f"one different class name per line; {wrong} is empty or repeated"
        ):
            open_source(f"{spec}?classes={classes}")
    for extra, message in (
        ("c.png", r"holds 1 pictures beside its class folders, e.g. 'c.png'"),
        ("empty/x.txt", "holds no picture"),
        ("twice/1/x.png", "names one class index twice: 01, 1"),
    ):
        where = folder(extra)
        if extra.startswith("empty"):
            where += "/empty"
        if extra.startswith("twice"):
            folder("twice/01/y.png")
            where += "/twice"
        with pytest.raises(InputError, match=message):
            open_source(where)


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    spec = folder("a/1.png")

    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match="/pictures cannot be listed: Permission denied"):
        open_source(spec)


def test_unusable_files_are_reported_together_or_skipped(folder, tmp_path):
    spec = folder("0/a.png", "0/text.jpg", "1/b.png", "1/small.png") + "?label=0"
    ones = tmp_path / "pictures" / "1"
    Image.effect_noise((40, 40), 50).save(ones / "cut.jpg")
    os.truncate(ones / "cut.jpg", 700)
    Image.new("RGB", (3, 9)).save(ones / "small.png")
    preprocessing = Preprocessing(16, "lanczos", 18, -1.0, 1.0)
    with pytest.raises(
        InputError,
        match=r"3 of 5 pictures of folder:.* cannot be used \(0/text.jpg: it is no picture .*; "
        r"1/cut.jpg: it is damaged .*; 1/small.png: it has 3x9 pixels, .*\); repair or remove them, or leave",
    ):
        scan(open_source(spec), preprocessing)
    source = open_source(spec, skip_unreadable=True)
    (batch,) = batches(source, range(5), preprocessing, 8)
    assert batch.ids == ("0/a.png", "1/b.png")
    assert list(source.skipped) == ["0/text.jpg", "1/cut.jpg", "1/small.png"]


def test_a_big_folder_is_listed_once(folder, monkeypatch):
    spec = folder(*(f"{label}/{place}.png" for label in "012" for place in range(4)))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    source = open_source(spec)
    for index in range(len(source)):
        source.load(index)
    assert len(listed) == len(set(listed)) + 1  # the top once more, for the names of its folders
    np.testing.assert_array_equal(source.labels, np.repeat([0, 1, 2], 4))

"""A picture is read once for its index, whoever looks; and no number rests on an index of other pictures."""

import dataclasses
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from jaxaudit.audits.pictures import look
from jaxaudit.data import Origin, Picture, Preprocessing, Source, batches, folder, open_source, resolve_labels
from jaxaudit.errors import InputError
from jaxaudit.evidence import picture_index
from jaxaudit.runtime.progress import silent

PREPROCESSING = Preprocessing(8, "bicubic", 8, 0.0, 1.0)
NAMES = [f"{label}/{row:02d}.png" for label in range(2) for row in range(11)]


@pytest.fixture(autouse=True)
def _small_files(monkeypatch):
    monkeypatch.setattr(picture_index, "_ROWS", 8)


@pytest.fixture
def decoded(monkeypatch):
    """How often each file was decoded since this was cleared."""
    counts, decode = Counter(), folder.decode_image

    def counting(path):
        counts[os.path.relpath(path, os.path.dirname(os.path.dirname(path)))] += 1
        return decode(path)

    monkeypatch.setattr(folder, "decode_image", counting)
    return counts


@pytest.fixture
def pictures(tmp_path):
    for seed, name in enumerate(NAMES):
        paint(tmp_path / "pictures" / name, seed)
    return tmp_path / "pictures"


def paint(path, seed, side=8):
    """An uncompressed file, so that another picture has its size."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "BMP")


def opened(pictures, options="", index="index", **more):
    kept = None if index is None else str(pictures.parent / index)
    return resolve_labels(open_source(f"folder:{pictures}{options}", index=kept, **more), 2)


def looked(pictures, *arguments, **more):
    return look(opened(pictures, *arguments, **more), PREPROCESSING, silent)


def scored(found):
    """The digests of what a measurement would be of."""
    read = batches(found.source, range(len(found.source)), PREPROCESSING, 4)
    return {
        name: digest
        for batch in found.unchanged(read)
        for name, digest in zip(batch.ids, batch.digests, strict=True)
    }


def as_if_unchanged(monkeypatch):
    """The dates and sizes of files say nothing."""
    monkeypatch.setattr(folder, "file_stamp", lambda path: "1")


def test_a_picture_is_decoded_once_for_the_index_and_once_for_every_measurement(pictures, decoded):
    first = looked(pictures)
    assert decoded == dict.fromkeys(NAMES, 1)
    assert scored(first) == first.digests
    assert decoded == dict.fromkeys(NAMES, 2)
    decoded.clear()
    second = looked(pictures)
    assert not decoded
    assert scored(second) == first.digests
    assert decoded == dict.fromkeys(NAMES, 1)


def test_processes_that_look_at_once_decode_each_picture_once(pictures, decoded):
    with ThreadPoolExecutor(4) as processes:
        found = list(processes.map(lambda _: looked(pictures), range(4)))
    assert decoded == dict.fromkeys(NAMES, 1)
    assert all(each.request == found[0].request for each in found)


def test_an_index_may_lie_in_a_bucket(pictures, decoded, bucket):
    def in_bucket():
        source = resolve_labels(open_source(f"folder:{pictures}", index=str(bucket / "index")), 2)
        return look(source, PREPROCESSING, silent)

    first, second = in_bucket(), in_bucket()
    assert decoded == dict.fromkeys(NAMES, 1)
    assert second.digests == first.digests
    first.index.forget(first.source.ids[0])
    in_bucket()
    assert decoded[first.source.ids[0]] == 2


def test_what_is_found_is_the_same_with_an_index_and_without(pictures):
    plain, made, kept = (looked(pictures, "?group=folder", index) for index in (None, "index", "index"))
    for found in (made, kept):
        assert found.request == plain.request
        assert found.digests == plain.digests
        assert found.seen.groups == plain.seen.groups
        np.testing.assert_array_equal(found.seen.prints.hashes, plain.seen.prints.hashes)
        np.testing.assert_array_equal(found.seen.prints.thumbnails, plain.seen.prints.thumbnails)
    assert plain.index is None


@pytest.mark.parametrize("options", ["[3:17]", "?shuffle=5", "?shuffle=5[::2]", "?label=1"])
def test_other_looks_at_the_same_files_decode_nothing(pictures, decoded, options):
    looked(pictures)
    decoded.clear()
    found = looked(pictures, options)
    assert not decoded
    assert found.digests == looked(pictures, options, None).digests


def test_more_pictures_cost_what_is_new(pictures, decoded):
    looked(pictures, "[:5]")
    decoded.clear()
    looked(pictures)
    assert decoded == dict.fromkeys(NAMES[5:], 1)


def change(pictures, name):
    """Changes the folder; returns which pictures must be read again."""
    first, second, new = (pictures / each for each in (NAMES[3], NAMES[12], "1/new.png"))
    if name == "edited":
        paint(first, 99)
    elif name == "edited, and its date set back":
        before = first.stat()
        paint(first, 99)
        os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (first.stat().st_size, first.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    elif name == "swapped":
        first.rename(new)
        second.rename(first)
        new.rename(second)
        return {NAMES[3], NAMES[12]}
    elif name == "renamed":
        first.rename(new)
        return {"1/new.png"}
    elif name == "added":
        paint(new, 99)
        return {"1/new.png"}
    elif name == "removed":
        first.unlink()
        return set()
    return {NAMES[3]}


@pytest.mark.parametrize(
    "name", ["edited", "edited, and its date set back", "swapped", "renamed", "added", "removed"]
)
def test_what_has_changed_is_read_again_and_nothing_else(pictures, decoded, name):
    looked(pictures)
    again = change(pictures, name)
    decoded.clear()
    found = looked(pictures)
    assert decoded == dict.fromkeys(again, 1)
    assert found.request == looked(pictures, index=None).request


def test_a_change_that_leaves_no_trace_is_refused_once_and_then_forgotten(pictures, monkeypatch):
    as_if_unchanged(monkeypatch)
    before = looked(pictures)
    looked(pictures, "?shuffle=1[:9]")  # the same rows in files of other names
    paint(pictures / NAMES[3], 99)
    stale = looked(pictures)
    assert stale.digests == before.digests
    with pytest.raises(InputError, match=r"'0/03.png' of folder:.* has changed .* without a trace in the"):
        scored(stale)
    found = looked(pictures)
    assert {name for name in NAMES if found.digests[name] != before.digests[name]} == {NAMES[3]}
    assert scored(found) == found.digests


def test_what_is_left_out_is_never_left_out_by_an_old_index(pictures, monkeypatch):
    as_if_unchanged(monkeypatch)
    (pictures / NAMES[2]).write_bytes(b"torn")
    paint(pictures / NAMES[7], 7, side=1)
    before = looked(pictures, skip_unreadable=True)
    assert sorted(before.looked.skipped) == [NAMES[2], NAMES[7]]
    assert looked(pictures, skip_unreadable=True).looked.skipped == before.looked.skipped
    with pytest.raises(InputError, match="2 of 22 pictures of .* cannot be used"):
        looked(pictures)
    paint(pictures / NAMES[2], 2)
    paint(pictures / NAMES[7], 7)
    found = looked(pictures)
    assert found.request == looked(pictures, index=None).request
    assert scored(found) == found.digests


def test_a_class_that_only_reading_tells_is_held_to(tmp_path):
    labels = list(range(10))

    def read(index):
        return Picture(np.full((8, 8, 3), index, np.uint8), labels[index])

    source = Source(
        spec="test:labels",
        ids=[f"p{index}" for index in range(10)],
        read=read,
        labels=None,
        num_classes=10,
        label_rule="the picture",
        origin=Origin("test:labels", lambda index: "1"),
        index=str(tmp_path),
    )
    first = look(source, PREPROCESSING, silent)
    labels[4] = 5
    stale = look(source, PREPROCESSING, silent)
    assert stale.request == first.request
    with pytest.raises(InputError, match="'p4' of test:labels has changed"):
        scored(stale)
    found = look(source, PREPROCESSING, silent)
    assert found.request != first.request
    scored(found)


def test_damaged_and_misplaced_files_are_made_again(pictures, decoded):
    before = looked(pictures)
    one, two, three = sorted((pictures.parent / "index").rglob("*.parquet"))
    one.write_bytes(one.read_bytes()[:100])
    shutil.copy(three, two)
    decoded.clear()
    assert looked(pictures).request == before.request
    assert 8 <= len(decoded) <= 16
    decoded.clear()
    assert looked(pictures).request == before.request
    assert not decoded


def test_other_decoders_have_an_index_of_their_own(pictures, decoded, monkeypatch):
    looked(pictures)
    decoded.clear()
    monkeypatch.setattr(picture_index, "_decoders", lambda: {"pil": "0.0"})
    looked(pictures)
    assert decoded == dict.fromkeys(NAMES, 1)


def test_an_npz_is_read_again_when_it_was_saved_again(tmp_path):
    def found():
        source = open_source(f"npz:{tmp_path / 'pictures.npz'}", index=str(tmp_path / "index"))
        return look(resolve_labels(source, 0), PREPROCESSING, silent).digests

    images = np.arange(10 * 64, dtype=np.uint8).reshape(10, 8, 8)
    np.savez(tmp_path / "pictures.npz", images=images)
    before = found()
    assert found() == before
    np.savez(tmp_path / "pictures.npz", images=images[::-1])
    assert list(found().values()) == list(before.values())[::-1]


def test_sources_without_files_keep_nothing(tmp_path):
    source = open_source("digits:members[:9]", index=str(tmp_path))
    assert look(source, PREPROCESSING, silent).index is None
    assert not list(tmp_path.iterdir())
    assert dataclasses.replace(source, index=None).origin is None

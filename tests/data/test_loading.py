"""Batches come in order, complete and alike, whatever the threads do."""

import hashlib
import itertools
import threading
import time

import numpy as np
import pytest

from jaxaudit.data import (
    BLIND_NAMES,
    Picture,
    Preprocessing,
    Source,
    UnusableImageError,
    batches,
    blind_features,
    preprocess,
    resize_crop,
    scan,
)
from jaxaudit.errors import InputError

PREPROCESSING = Preprocessing(8, "bicubic", 8, -1.0, 1.0)


def _picture(index):
    return np.random.default_rng(index).integers(0, 256, (8 + index % 5, 9, 3), dtype=np.uint8)


def _source(length=23, *, unreadable=(), small=(), skip=False, read=_picture):
    def read_one(index):
        if index in unreadable:
            raise UnusableImageError("it is torn")
        return Picture(np.zeros((1, 1, 3), np.uint8) if index in small else read(index))

    return Source(
        spec="test:pictures",
        ids=[f"p{index:02d}" for index in range(length)],
        read=read_one,
        labels=np.arange(length, dtype=np.int32),
        num_classes=None,
        label_rule="the row",
        skip_unreadable=skip,
    )


def _late_first(index):
    time.sleep(0.003 * (index % 4 == 0))
    return _picture(index)


@pytest.mark.parametrize(("num_threads", "prefetch"), [(1, 0), (7, 0), (7, 3)])
def test_every_sample_comes_once_in_the_given_order(num_threads, prefetch):
    order = [*range(22, 0, -3), 4, 4]
    found = list(
        batches(
            _source(read=_late_first), order, PREPROCESSING, 4, num_threads=num_threads, prefetch=prefetch
        )
    )
    assert [len(batch.ids) for batch in found] == [4, 4, 2]
    assert [sample_id for batch in found for sample_id in batch.ids] == [f"p{index:02d}" for index in order]
    for batch, start in zip(found, (0, 4, 8), strict=True):
        chunk = order[start : start + 4]
        assert batch.images.dtype == batch.blind.dtype == np.float32
        assert batch.labels.dtype == np.int32
        assert batch.labels.tolist() == chunk
        np.testing.assert_array_equal(
            batch.images, [preprocess(_picture(index), PREPROCESSING) for index in chunk]
        )
        np.testing.assert_array_equal(
            batch.blind,
            [blind_features(_picture(index), resize_crop(_picture(index), PREPROCESSING)) for index in chunk],
        )


def test_digests_are_those_of_the_decoded_pixels_and_their_shape():
    flat = np.arange(8 * 16 * 3, dtype=np.uint8)
    pictures = [flat.reshape(8, 16, 3), flat.reshape(16, 8, 3), flat.reshape(8, 16, 3)[::1].copy()]
    (batch,) = batches(_source(3, read=pictures.__getitem__), range(3), PREPROCESSING, 8)
    expected = hashlib.sha256(np.array([8, 16, 3], "<u4").tobytes() + flat.tobytes()).hexdigest()
    assert batch.digests[0] == batch.digests[2] == expected
    assert batch.digests[1] != expected


def test_each_process_reads_its_own_share():
    source = _source(10)
    shares = [
        [
            sample_id
            for batch in batches(source, range(process, 10, 3), PREPROCESSING, 2)
            for sample_id in batch.ids
        ]
        for process in range(3)
    ]
    assert sorted(itertools.chain(*shares)) == list(source.ids)


def test_unusable_pictures_are_named(tmp_path):
    source = _source(unreadable=(9,), small=(8,))
    found = batches(source, range(23), PREPROCESSING, 4)
    assert [next(found).ids[0], next(found).ids[0]] == ["p00", "p04"]
    with pytest.raises(
        InputError, match=r"2 of 4 pictures of test:pictures cannot be used \(p08: it has 1x1 pixels"
    ):
        next(found)
    assert source.skipped == {}


def test_unusable_pictures_can_be_left_out_of_their_batch():
    source = _source(11, unreadable=(1, 4, 5, 6, 7), small=(10,), skip=True)
    found = list(batches(source, range(11), PREPROCESSING, 4))
    assert [batch.ids for batch in found] == [("p00", "p02", "p03"), (), ("p08", "p09")]
    assert [batch.images.shape for batch in found] == [(3, 8, 8, 3), (0, 8, 8, 3), (2, 8, 8, 3)]
    assert found[1].blind.shape == (0, len(BLIND_NAMES))
    np.testing.assert_array_equal(found[2].images[1], preprocess(_picture(9), PREPROCESSING))
    assert list(source.skipped) == ["p01", "p04", "p05", "p06", "p07", "p10"]
    assert source.skipped["p01"] == "it is torn"


def test_scan_counts_all_unusable_pictures():
    source = _source(unreadable=(3, 9, 20), small=(8,))
    with pytest.raises(
        InputError,
        match=r"4 of 23 pictures of test:pictures cannot be used \(p03: it is torn; p08: .*; .*; \.\.\.\)",
    ):
        scan(source, PREPROCESSING)


def test_scan_finds_what_batches_find():
    source = _source(unreadable=(3,), small=(8,), skip=True)
    found = scan(source.take(range(2, 12)), PREPROCESSING)
    assert np.flatnonzero(~found.usable).tolist() == [1, 6]
    assert list(source.skipped) == ["p03", "p08"]
    expected = {
        sample_id: digest
        for batch in batches(source, range(2, 12), PREPROCESSING, 3)
        for sample_id, digest in zip(batch.ids, batch.digests, strict=True)
    }
    assert found.digests == expected
    assert len(scan(_source(), PREPROCESSING).digests) == 23


def test_other_exceptions_come_out_as_they_are():
    error = KeyError("no such record")

    def read(index):
        if index == 5:
            raise error
        return _picture(index)

    found = batches(_source(read=read, skip=True), range(23), PREPROCESSING, 4)
    next(found)
    with pytest.raises(KeyError) as caught:
        next(found)
    assert caught.value is error


def test_reading_ahead_is_bounded_and_ends_with_the_iterator():
    reads = []
    found = batches(
        _source(1000, read=lambda index: reads.append(index) or _picture(index)),
        range(1000),
        PREPROCESSING,
        4,
        num_threads=3,
        prefetch=2,
    )
    assert reads == []
    next(found)
    time.sleep(0.05)
    assert 4 <= len(reads) <= 12
    assert [thread for thread in threading.enumerate() if thread.name.startswith("jaxaudit-read")]
    found.close()
    count = len(reads)
    time.sleep(0.05)
    assert len(reads) == count
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxaudit-read")]


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"batch_size": 4, "num_threads": 0}, {"batch_size": 4, "prefetch": -1}]
)
def test_impossible_numbers_are_refused_at_once(options):
    with pytest.raises(InputError, match="must be at least 1"):
        batches(_source(), range(4), PREPROCESSING, **options)

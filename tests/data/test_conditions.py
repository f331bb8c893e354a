"""What sources must say to models of captions, and how what they say is told apart."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.data import (
    Picture,
    Preprocessing,
    batches,
    condition_digest,
    open_source,
    resolve_captions,
    resolve_labels,
    scan,
)
from jaxaudit.errors import InputError

PREPROCESSING = Preprocessing(8, "none", 8, -1.0, 1.0)
EMBEDDINGS = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
CAPTIONS = np.array(["a cat", "", "ein Hund", "a cat"])
IMAGES = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)


@pytest.fixture
def source(tmp_path):
    def make(**arrays):
        np.savez(tmp_path / "a.npz", images=IMAGES, **arrays)
        return open_source(f"npz:{tmp_path / 'a.npz'}")

    return make


def test_stored_embeddings_come_before_text(source):
    resolved = resolve_captions(source(embeddings=EMBEDDINGS, captions=CAPTIONS), (2, 3), embeds_text=True)
    assert resolved.load(2).caption is None
    (batch,) = batches(resolved, [3, 1], PREPROCESSING, 4)
    np.testing.assert_array_equal(batch.embeddings, EMBEDDINGS[[3, 1]])
    assert batch.captions == (None, None)


def test_text_is_left_to_a_target_that_embeds_it(source):
    resolved = resolve_captions(source(captions=CAPTIONS), (2, 3), embeds_text=True)
    (batch,) = batches(resolved, range(4), PREPROCESSING, 4)
    assert batch.captions == tuple(CAPTIONS)
    assert batch.embeddings is None


def test_a_target_without_captions_is_told_none(source):
    resolved = resolve_captions(source(embeddings=EMBEDDINGS, captions=CAPTIONS), None)
    (batch,) = batches(resolved, range(4), PREPROCESSING, 4)
    assert batch.captions == (None,) * 4
    assert batch.embeddings is None


def test_what_is_missing_is_said_before_anything_is_read(source):
    with pytest.raises(
        InputError,
        match=r"npz:.* has no captions, but .* conditioned on embeddings of captions \[2,3\]\. Embed",
    ):
        resolve_captions(source(), (2, 3), embeds_text=True)
    with pytest.raises(InputError, match=r"has captions as text, .* no text encoder\. .*\?embeddings=FILE"):
        resolve_captions(source(captions=CAPTIONS), (2, 3))
    some = dataclasses.replace(source(captions=CAPTIONS), captions={"1": "a", "3": "b"})
    with pytest.raises(InputError, match=r"no caption for 2 of its 4 pictures, e.g. '0'; .* one for each"):
        resolve_captions(some, (2, 3), embeds_text=True)
    assert len(resolve_captions(some.take([3, 1]), (2, 3), embeds_text=True)) == 2


def test_embeddings_must_be_there_and_fit(source, tmp_path):
    with pytest.raises(
        InputError, match=r"embedding of '0' has shape \(2, 3\); .* captions have \(77, 768\)"
    ):
        resolve_captions(source(embeddings=EMBEDDINGS), (77, 768))
    with pytest.raises(InputError, match=r"embedding of 'null_embedding' has shape \(1, 3\)"):
        resolve_captions(source(embeddings=EMBEDDINGS, null_embedding=EMBEDDINGS[0, :1]), (2, 3))
    source()
    np.savez(tmp_path / "e.npz", **{"0": EMBEDDINGS[0], "2": EMBEDDINGS[0, :1]})
    stored = open_source(f"npz:{tmp_path / 'a.npz'}?embeddings={tmp_path / 'e.npz'}")
    with pytest.raises(InputError, match=r"no embedding in .*e.npz for 2 of its 4 pictures, e.g. '1'"):
        resolve_captions(stored, (2, 3))
    with pytest.raises(InputError, match=r"embedding of '2' has shape \(1, 3\)"):
        resolve_captions(stored.take([0, 2]), (2, 3))
    assert len(resolve_captions(stored.take([0]), (2, 3))) == 1


def test_a_caption_that_only_reading_tells_may_still_be_missing(source):
    def read(index):
        return Picture(np.zeros((8, 8, 3), np.uint8), 0, "a" if index else None)

    resolved = resolve_captions(
        dataclasses.replace(source(), read=read, captions=None), (2, 3), embeds_text=True
    )
    assert resolved.load(1).caption == "a"
    with pytest.raises(InputError, match="has no caption for '0'"):
        scan(resolved, PREPROCESSING)


def test_values_that_are_no_numbers_are_found_by_the_scan(source):
    broken = EMBEDDINGS.copy()
    broken[2, 1, 1] = np.inf
    resolved = resolve_captions(source(embeddings=broken), (2, 3))
    with pytest.raises(InputError, match=r"'embeddings'\): the embedding of '2' holds values that are not"):
        scan(resolved, PREPROCESSING)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_class_that_only_reading_tells_must_be_one_of_the_targets(source, label):
    made = source(labels=np.zeros(4, int))
    unlabelled = dataclasses.replace(
        made, labels=None, read=lambda index: Picture(IMAGES[index, :, :, None].repeat(3, 2), label=label)
    )
    scan(unlabelled, PREPROCESSING)  # as long as nobody needs a class
    with pytest.raises(InputError, match=f"gives '0' the label {label} .*target's classes are 0..2"):
        scan(resolve_labels(unlabelled, 3), PREPROCESSING)


def test_scans_tell_what_the_model_will_be_told(source):
    def seen(rows=range(4), shape=(2, 3), **arrays):
        resolved = resolve_captions(source(**arrays).take(rows), shape, embeds_text=True)
        return scan(resolved, PREPROCESSING).conditions

    other = EMBEDDINGS.copy()
    other[3, 0, 0] += 1e-6
    everything = [
        seen(embeddings=EMBEDDINGS),
        seen(embeddings=other),
        seen(embeddings=EMBEDDINGS[::-1]),
        seen(range(3), embeddings=EMBEDDINGS),
        seen(captions=CAPTIONS),
        seen(captions=CAPTIONS[::-1]),
        seen(shape=None, captions=CAPTIONS, labels=np.arange(4)),
        seen(shape=None, captions=CAPTIONS, labels=np.zeros(4, int)),
    ]
    assert len(set(everything)) == len(everything)
    assert seen(embeddings=EMBEDDINGS.astype(np.float64)) == everything[0]
    assert seen(shape=None, labels=np.arange(4)) == everything[6]
    assert seen(range(3), embeddings=other) == everything[3]


def test_of_what_is_not_resolved_caption_and_embedding_both_count(source):
    found = set()
    for texts in (CAPTIONS, CAPTIONS[::-1]):
        sample = source(captions=texts, embeddings=EMBEDDINGS).load(1)
        found.add(condition_digest(sample.label, sample.caption, sample.embedding))
    assert len(found) == 2


def test_a_label_and_the_caption_that_spells_it_differ(source):
    def digest(sample):
        return condition_digest(sample.label, sample.caption, sample.embedding)

    labelled, captioned = source(labels=np.full(4, 7)).load(0), source(captions=np.full(4, "7")).load(0)
    assert digest(labelled) != digest(captioned)

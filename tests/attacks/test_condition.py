"""What a target is told: classes, embeddings that are stored or made of text, or nothing."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.attacks.condition import condition_of, null_context, resolve_condition
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from tests import tiny, tiny_diffusion

SPEC = "digits:members[:6]"


def told(target, source):
    source = resolve_condition(source, target)
    (batch,) = batches(source, range(len(source)), target.preprocessing, 8)
    return condition_of(target, batch)


@pytest.fixture
def encoding():
    """A target that embeds text itself."""
    return dataclasses.replace(tiny.captioned_target(), embed_captions=tiny.embed)


def test_classes_or_nothing():
    source = open_source(SPEC)
    np.testing.assert_array_equal(told(tiny.var_target(), source), source.labels)
    assert told(tiny_diffusion.target("nothing"), source) is None
    assert null_context(tiny.var_target(), [source]) is None


def test_text_is_embedded_by_a_target_that_can(tmp_path, encoding):
    stored, text = (
        tiny.save_captioned(tmp_path / f"{name}.npz", SPEC, embed=embed)
        for name, embed in (("stored", tiny.embed), ("text", None))
    )
    expected = told(tiny.captioned_target(), stored)
    assert expected.shape == (6, 3, 6)
    assert len(np.unique(expected, axis=0)) == 6
    np.testing.assert_array_equal(told(encoding, text), expected)
    np.testing.assert_array_equal(told(encoding, stored), expected)


def test_the_empty_caption_is_stored_or_embedded(tmp_path, encoding):
    sources = {
        name: tiny.save_captioned(tmp_path / f"{name}.npz", SPEC, embed=embed)
        for name, embed in (("stored", tiny.embed), ("text", None))
    }
    for names in (("stored", "stored"), ("stored", "text"), ("text", "text")):
        resolved = [resolve_condition(sources[name], encoding) for name in names]
        np.testing.assert_array_equal(null_context(encoding, resolved), tiny.embed([""])[0])
    unsaid = dataclasses.replace(sources["stored"].embeddings, null=None)
    without = dataclasses.replace(sources["stored"], embeddings=unsaid)
    assert null_context(encoding, [without, without]) is None
    assert null_context(encoding, [without, sources["stored"]]) is not None


def test_two_embeddings_of_the_empty_caption_are_refused(tmp_path, encoding):
    stored = tiny.save_captioned(tmp_path / "a.npz", SPEC)
    other = dataclasses.replace(stored.embeddings, null=stored.embeddings.null + 1, where="b.npz")
    with pytest.raises(InputError, match=r"a.npz .* and b.npz have different embeddings of the empty"):
        null_context(encoding, [stored, dataclasses.replace(stored, embeddings=other)])

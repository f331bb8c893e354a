"""Text encoders beside a generator: what a target makes of captions, alone and on disk."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.audits.mitigation import save_mitigated
from jaxaudit.checkpoint import find_vocabulary, load_target, save_target
from jaxaudit.data.byte_pairs import Vocabulary, read_vocabulary, token_ids
from jaxaudit.errors import InputError
from jaxaudit.families import captions, get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.models.clip_text import CLIPText, CLIPTextConfig
from tests import tiny, vocabulary

ENCODER = {
    "vocab_size": vocabulary.SIZE, "length": 3, "width": 6, "depth": 1, "num_heads": 2, "mlp_width": 8,
    "end_token": vocabulary.SIZE - 1, "pad_token": 0,
}  # fmt: skip
CONFIG = tiny.CAPTIONED_CONFIG | {"text_encoder": ENCODER}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The folder of a vocabulary."""
    return vocabulary.save(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def target(words):
    family = get_family("uvit")
    params = random_params(family.abstract_params(CONFIG), seed=1)
    built = family.build_target("tiny", CONFIG, params, tiny.DIGITS, {})
    return captions.with_text_encoder(built, CONFIG, read_vocabulary(words))


def test_captions_are_embedded_by_the_text_encoder(target, words):
    texts = ["a hand", "", "photo"]
    ids = token_ids(read_vocabulary(words), texts, length=3, pad=0)
    network = CLIPText(CLIPTextConfig(**ENCODER))
    expected = network.apply({"params": target.params["text_encoder"]}, jnp.asarray(ids))
    found = target.embed_captions(texts)
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (np.float32, (3, *target.context_shape))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_an_embedding_does_not_depend_on_the_others(target, words, platform):
    """Captions go in groups of one size, one at a time on a CPU."""
    elsewhere = dataclasses.replace(target, platform=platform)
    embed = captions.with_text_encoder(elsewhere, CONFIG, read_vocabulary(words)).embed_captions
    texts = [f"{i} hand" for i in range(70)]
    together = embed(texts)
    np.testing.assert_array_equal(together[66:67], embed(texts[66:67]))
    assert len(np.unique(together, axis=0)) == 10  # "4" of "42" is the one digit that is left


def save(folder, target, words, config=CONFIG, **changes):
    arguments = {
        "family": "uvit",
        "config": config,
        "params": target.params,
        "preprocessing": target.preprocessing,
        "provenance": {},
        "vocabulary": words,
    }
    return save_target(folder, **(arguments | changes))


def test_a_saved_target_embeds_the_same(target, words, tmp_path):
    record = save(tmp_path, target, words)
    folder = find_vocabulary(tmp_path)
    assert folder == tmp_path / record["vocabulary"]
    assert {f"{folder.name}/vocab.json", f"{folder.name}/merges.txt"} < record["files"].keys()
    loaded = load_target(tmp_path)
    np.testing.assert_array_equal(loaded.embed_captions(["hand"]), target.embed_captions(["hand"]))
    rounded = load_target(tmp_path, dtype=jnp.bfloat16).embed_captions(["hand"])
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - target.embed_captions(["hand"])).max() < 0.1
    again = save(tmp_path, target, folder, overwrite=True)
    assert again["fingerprint"] == record["fingerprint"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["target.json", again["params"], again["vocabulary"]]
    )


def test_a_mitigated_target_keeps_its_words(target, words, tmp_path):
    save(tmp_path / "original", target, words)
    save_mitigated(tmp_path / "changed", target, original=tmp_path / "original")
    loaded = load_target(tmp_path / "changed")
    np.testing.assert_array_equal(loaded.embed_captions(["hand"]), target.embed_captions(["hand"]))


def test_other_merges_are_another_target(target, words, tmp_path):
    fewer = vocabulary.save(tmp_path / "words")
    (fewer / "merges.txt").write_text("h a\n")
    records = [save(tmp_path / name, target, folder) for name, folder in (("a", words), ("b", fewer))]
    assert records[0]["fingerprint"] != records[1]["fingerprint"]


def test_a_changed_vocabulary_is_not_loaded(target, words, tmp_path):
    record = save(tmp_path, target, words)
    path = tmp_path / record["vocabulary"] / "merges.txt"
    path.write_text(path.read_text().replace("h a", "a h"))
    with pytest.raises(InputError, match="merges.txt is not what was written"):
        load_target(tmp_path)


def test_a_target_without_a_text_encoder_has_no_vocabulary(tmp_path):
    target = tiny.captioned_target()
    save(tmp_path, target, None, config=tiny.CAPTIONED_CONFIG)
    assert find_vocabulary(tmp_path) is None
    assert load_target(tmp_path).embed_captions is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": None}, "a text encoder without its vocabulary"),
        ({"config": tiny.CAPTIONED_CONFIG}, "text_encoder.* is unknown"),
        (
            {"config": CONFIG | {"text_encoder": ENCODER | {"width": 8}}},
            r"of shape \(3, 8\); .* reads \(3, 6\)",
        ),
        ({"config": CONFIG | {"text_encoder": ENCODER | {"wdith": 6}}}, "did you mean width"),
    ],
)
def test_parts_that_do_not_fit_are_not_saved(target, words, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        save(tmp_path / "out", target, words, **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hand</w>": vocabulary.SIZE},
            f"an id {vocabulary.SIZE}; the text encoder knows 0..{vocabulary.SIZE - 1}",
        ),
        ({"<|endoftext|>": 3}, f"ends captions with 3, the text encoder with {vocabulary.SIZE - 1}"),
    ],
)
def test_a_vocabulary_of_another_encoder_is_refused(words, changes, message):
    ids = json.loads((words / "vocab.json").read_text()) | changes
    with pytest.raises(InputError, match=message):
        captions.check_vocabulary(CONFIG, Vocabulary(ids, {}))


def test_a_vocabulary_alone_is_of_no_use(words):
    with pytest.raises(InputError, match="no text encoder to use it"):
        captions.check_vocabulary(tiny.CAPTIONED_CONFIG, read_vocabulary(words))

"""VAR-CLIP, the VAR of captions: official outputs through the target, its null condition, scores."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.var import GENERATOR, infer_config
from jaxaudit import score
from jaxaudit.attacks.completion import ExtractionAttack
from jaxaudit.attacks.condition import null_context
from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.attacks.mitigation import add_output_noise
from jaxaudit.attacks.runner import Scorer
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import var
from jaxaudit.models.var import VAR, VARConfig
from jaxaudit.runtime.mesh import make_mesh
from tests import tiny
from tests.golden import weights
from tests.golden.flax_params import flax_params

IMAGES = np.random.default_rng(3).uniform(-1, 1, (8, 8, 8, 3)).astype(np.float32)
CAPTIONS = np.random.default_rng(4).normal(size=(8, 1, 6)).astype(np.float32)
NAMES = ["cond/loss", "diff/loss", "diff/icas"]


@functools.cache
def golden():
    """The target, embeddings [4,1,40], the pictures' tokens, recorded outputs."""
    case, io = weights.load("var_clip")
    states = {
        "generator": weights.state_dict(case, io),
        "tokenizer": weights.state_dict(*weights.load("var_tokenizer")),
    }
    config = infer_config(states)
    generator = convert(states["generator"], GENERATOR, var.abstract_params(config)["generator"])
    params = {"generator": jax.tree.map(np.asarray, generator), "tokenizer": flax_params(states["tokenizer"])}
    pictures = Preprocessing(image_size=80, resize="none", short_side=80, low=-1.0, high=1.0)
    target = var.build_target("var_clip", config, jax.tree.map(jnp.asarray, params), pictures, {})
    inputs = weights.inputs(case)
    tokens = target.encode(np.moveaxis(inputs["images"], 1, -1))
    return target, inputs["text_embeddings"][:, None], tokens, io


def views(target, captions):
    """Captions, then as many rows of the null condition."""
    null = np.broadcast_to(target.null_context, captions.shape)
    return np.concatenate([captions, null])


def test_official_tokens_and_logits():
    target, captions, tokens, io = golden()
    np.testing.assert_array_equal(tokens, io["token_indices"])
    logits = target.logits(np.concatenate([tokens, tokens]), views(target, captions))
    for name, found in (("logits_cond", logits[:4]), ("logits_null", logits[4:])):
        np.testing.assert_allclose(found, io[name], rtol=1e-4, atol=1e-4, err_msg=name)
    log_probs = np.take_along_axis(
        np.asarray(jax.nn.log_softmax(logits[:4])), np.asarray(tokens)[..., None], -1
    )
    np.testing.assert_allclose(log_probs[..., 0], io["token_log_probs"], rtol=1e-4, atol=1e-4)


def test_official_blocks_and_what_they_are_told():
    target, captions, _, io = golden()
    network = VAR(VARConfig(0, 40, 2, 128, 2, vocab_size=64, token_dim=8, patch_nums=(1, 2, 3, 4, 5)))

    @jax.jit
    def run(params, var_input, captions):
        return network.apply(
            {"params": params},
            var_input,
            captions,
            method="hidden",
            capture_intermediates=True,
            mutable=["intermediates", "activations"],
        )

    _, seen = run(target.params["generator"], io["var_input"], captions)
    found = {"condition": seen["intermediates"]["cond_proj"]["__call__"][0]}
    for i in range(2):
        found[f"block{i}_output_cond"] = seen["intermediates"][f"blocks_{i}"]["__call__"][0][0][:, ::7]
        found[f"block{i}_fc1_gelu_cond"] = seen["activations"][f"blocks_{i}"]["ffn"]["hidden"][0][
            :, ::13, ::3
        ]
    for name, values in found.items():
        np.testing.assert_allclose(values, io[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_official_greedy_completions(prefix):
    target, captions, tokens, io = golden()
    completed = target.complete(tokens, captions, prefix)
    np.testing.assert_array_equal(completed, io[f"greedy_top{prefix}_tokens"])
    if prefix == 1:
        logits = target.logits(completed, captions)[:, ::4]
        np.testing.assert_allclose(logits, io["greedy_top1_logits"], rtol=1e-4, atol=1e-4)


def test_official_guided_generation():
    """Scale by scale the arg max of (1 + t) cond - t null, with teacher-forced logits."""
    target, captions, _, io = golden()
    tokens, begin = np.zeros((4, 55), np.int32), 0
    told = views(target, captions)
    for scale, length in enumerate(target.tokens_per_step):
        end, t = begin + length, 1.5 * scale / 4
        cond, null = np.split(np.asarray(target.logits(np.concatenate([tokens, tokens]), told)), 2)
        tokens[:, begin:end] = ((1 + t) * cond - t * null)[:, begin:end].argmax(-1)
        begin = end
    np.testing.assert_array_equal(tokens, io["guided_tokens"])
    images = np.moveaxis(np.asarray(target.decode(tokens)), -1, 1)[:, :, ::5, ::5]
    np.testing.assert_allclose((images + 1) / 2, io["guided_images"], rtol=1e-4, atol=1e-4)


def test_a_batch_of_20_is_20_batches_of_1_and_the_callers_array_stays():
    """The official code overwrites two rows of the caller's array with the null condition."""
    target = tiny.var_clip_target()
    random = np.random.default_rng(0)
    tokens = random.integers(0, 24, (20, 21)).astype(np.int32)
    captions = random.normal(size=(20, 1, 6)).astype(np.float32)
    before = captions.copy()
    logits = target.logits(tokens, captions)
    alone = [target.logits(tokens[i : i + 1], captions[i : i + 1])[0] for i in range(20)]
    np.testing.assert_allclose(logits, np.stack(alone), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(captions, before)


def test_scores_compare_with_the_learned_null_condition():
    target = tiny.var_clip_target()
    scores = score(target, IMAGES, CAPTIONS, names=NAMES)
    tokens = target.encode(IMAGES)
    null = np.broadcast_to(target.params["generator"]["noise"], CAPTIONS.shape)
    cond, other = target.logits(tokens, CAPTIONS), target.logits(tokens, null)
    for name, logits in (("cond/loss", cond), ("diff/loss", cond - other)):
        log_probs = np.asarray(jax.nn.log_softmax(logits))
        of_tokens = np.take_along_axis(log_probs, np.asarray(tokens)[..., None], axis=-1)
        np.testing.assert_allclose(scores[name], of_tokens.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(null_context(target, []), target.params["generator"]["noise"])
    given = score(target, IMAGES, CAPTIONS, names="diff/loss", null_context=np.zeros((1, 6)))
    assert np.abs(given["diff/loss"] - scores["diff/loss"]).min() > 0


def test_without_a_null_condition_nothing_is_compared_with_it():
    unlearned = dataclasses.replace(tiny.var_clip_target(), null_path=None)
    with pytest.raises(InputError, match="diff/loss cannot be had: tiny reads captions, and null_context"):
        score(unlearned, IMAGES, CAPTIONS, names="diff/loss")
    with pytest.raises(InputError, match="diff/prada cannot be had"):
        Scorer(unlearned, "diff/prada")
    assert Scorer(unlearned, ["*/loss", "*/zlib"]).plan.names == ("cond/loss", "cond/zlib")


@pytest.mark.slow
def test_eight_devices_and_half_the_precision():
    target = tiny.var_clip_target()
    whole = score(target, IMAGES, CAPTIONS, names=NAMES)
    spread = Scorer(target, NAMES, mesh=make_mesh(8)).submit(IMAGES, CAPTIONS).result()
    for name in NAMES:
        np.testing.assert_allclose(spread[name], whole[name], rtol=1e-5, atol=1e-6)
    rounded = var.build_target(
        "tiny", tiny.VAR_CLIP_CONFIG, target.params, tiny.DIGITS, {}, dtype=jnp.bfloat16
    )
    for values in score(rounded, IMAGES, CAPTIONS, names=NAMES).values():
        assert np.isfinite(values).all()


@pytest.mark.slow
def test_units_and_completions_are_those_of_the_caption():
    target = tiny.var_clip_target()
    meter = ActivationMeter(target, Views(num_views=1))
    units = meter.submit(IMAGES, CAPTIONS, ids=range(8)).result()
    hidden = target.activations(target.encode(IMAGES), CAPTIONS)["block 0"]
    first = np.abs(hidden[:, 0])  # scale 1 is one token
    np.testing.assert_allclose(units[:, 0, : first.shape[-1]], first, rtol=1e-4, atol=1e-5)
    attack = ExtractionAttack(target)
    tokens = attack.encode(IMAGES).result()
    completed = attack.complete(tokens, CAPTIONS, 1, ids=range(8)).result()
    np.testing.assert_allclose(completed, target.decode(target.complete(tokens, CAPTIONS, 1)), atol=1e-5)
    greedy = np.asarray(target.logits(tokens, CAPTIONS)).argmax(-1) == tokens
    ranked = attack.rank(IMAGES, CAPTIONS, ids=range(8)).result()
    np.testing.assert_allclose(ranked["greedy_match"], greedy.mean(1), rtol=1e-6)
    with pytest.raises(InputError, match="labels must be those of 8 captions"):
        attack.rank(IMAGES, np.zeros(8, np.int32), ids=range(8))


def test_output_noise_follows_from_the_caption():
    target = tiny.var_clip_target()
    noisy, tokens = add_output_noise(target, 0.7), target.encode(IMAGES)
    noise = np.asarray(noisy.logits(tokens, CAPTIONS) - target.logits(tokens, CAPTIONS))
    assert abs(noise.std() / 0.7 - 1) < 0.05
    other = np.asarray(noisy.logits(tokens, CAPTIONS[::-1]) - target.logits(tokens, CAPTIONS[::-1]))
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(noise.size)
    np.testing.assert_array_equal(noisy.logits(tokens, CAPTIONS), noisy.logits(tokens, CAPTIONS))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("condition", [None, np.zeros(8, np.int32), np.zeros((8, 6)), np.zeros((7, 1, 6))])
def test_conditions_that_do_not_fit(condition):
    target = tiny.var_clip_target()
    with pytest.raises(InputError, match=r"must be embeddings of captions \[8,1,6\], not"):
        target.logits(target.encode(IMAGES), condition)


@pytest.mark.parametrize("fields", [{"num_classes": 3, "context_dim": 4}, {"num_classes": 0}])
def test_classes_or_captions(fields):
    with pytest.raises(InputError, match="a VAR is told classes or captions; one of them must be 0"):
        VARConfig(**fields)

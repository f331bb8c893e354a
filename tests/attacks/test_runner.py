import jax
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks import discrete_step
from jaxaudit.attacks.registry import ScorePlan, get_scores
from jaxaudit.attacks.runner import Scorer
from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit_kernels.likelihood import token_statistics
from tests import tiny_diffusion
from tests.tiny import MAR_OPTIONS, MAR_SCORES, mar_target, rar_target, var_target

NAMES = [
    "cond/loss",
    "cond/zlib",
    "diff/loss",
    "diff/zlib_ref",
    "diff/min_k_pp_20",
    "diff/icas",
    "diff/hinge",
]


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (11, 8, 8, 3)).astype(np.float32)
    return images, generator.integers(0, 10, 11)


@pytest.fixture(scope="module")
def scores(batch):
    return jaxaudit.score(var_target(), *batch, names=NAMES)


def test_scores_are_those_of_the_full_logits(batch, scores):
    images, labels = batch
    target = var_target()
    tokens = target.encode(images)
    cond = target.logits(tokens, labels)
    null = target.logits(tokens, np.full_like(labels, target.null_label))
    views = {"cond": cond, "null": null, "diff": cond - null}
    plan = ScorePlan(get_scores(NAMES))
    device = plan.device({view: token_statistics(logits, tokens) for view, logits in views.items()})
    expected = plan.host(jax.device_get(device), np.asarray(tokens))
    assert list(scores) == NAMES
    for name in NAMES:
        np.testing.assert_allclose(scores[name], expected[name], atol=1e-5, rtol=1e-5)


def test_an_image_scored_twice_gets_the_same_bits(batch, scores):
    again = jaxaudit.score(var_target(), *batch, names=NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(scores[name], again[name])


def test_a_score_does_not_depend_on_the_rest_of_the_batch(batch, scores):
    images, labels = batch
    for rows in (slice(4, 5), slice(None, None, -1)):
        some = jaxaudit.score(var_target(), images[rows], labels[rows], names=NAMES)
        for name in NAMES:
            np.testing.assert_allclose(some[name], scores[name][rows], atol=1e-5)


@pytest.mark.parametrize(("num_devices", "parallelism"), [(8, "jit"), (8, "pmap"), (1, "pmap")])
def test_devices_do_not_change_scores(batch, scores, num_devices, parallelism):
    scorer = Scorer(var_target(), NAMES, mesh=make_mesh(num_devices), parallelism=parallelism)
    spread = scorer.submit(*batch, padded_size=16).result()
    for name in NAMES:
        np.testing.assert_allclose(spread[name], scores[name], atol=1e-5)


def test_without_a_difference_score_the_null_label_is_not_evaluated(batch, scores, monkeypatch):
    monkeypatch.setattr(discrete_step, "guided_token_statistics", None)
    alone = jaxaudit.score(var_target(), *batch, names=["cond/loss", "cond/unified_loss"])
    np.testing.assert_allclose(alone["cond/loss"], scores["cond/loss"], atol=1e-5)
    np.testing.assert_array_equal(alone["cond/unified_loss"], alone["cond/loss"])


def test_models_that_predict_one_token_at_a_time(batch):
    images, labels = batch
    target = rar_target()
    tokens = target.encode(images)
    x_c, x_0 = (
        token_statistics(target.logits(tokens, each), tokens).log_prob
        for each in (labels, np.full_like(labels, target.null_label))
    )
    scores = jaxaudit.score(target, images, labels, names=["cond/loss", "diff/icas", "cond/unified_loss"])
    gain = np.asarray(x_c - x_0)
    icas = (gain / (1.75 + np.exp(1.3 * gain))).mean(1)
    np.testing.assert_allclose(scores["cond/loss"], x_c.mean(1), rtol=1e-5)
    np.testing.assert_allclose(scores["diff/icas"], icas, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(scores["cond/unified_loss"], scores["cond/loss"])


# Continuous tokens: random masks and noises.

IDS = [f"train/{i}.png" for i in range(11)]


@pytest.fixture(scope="module")
def continuous(batch):
    return jaxaudit.score(mar_target(), *batch, names=MAR_SCORES, ids=IDS, options=MAR_OPTIONS)


def test_a_stochastic_score_depends_on_image_id_and_key_alone(batch, continuous):
    images, labels = batch
    options = {"names": MAR_SCORES, "options": MAR_OPTIONS}
    same = jaxaudit.score(mar_target(), *batch, ids=IDS, **options)
    back = jaxaudit.score(mar_target(), images[::-1], labels[::-1], ids=IDS[::-1], **options)
    others = np.random.default_rng(9).permutation(images.reshape(11, -1), axis=1).reshape(images.shape)
    others[4], other_ids = images[4], [f"{i}" for i in range(11)]
    other_ids[4] = IDS[4]
    among_others = jaxaudit.score(mar_target(), others, labels, ids=other_ids, **options)
    other_key = jaxaudit.score(mar_target(), *batch, ids=IDS, key=jax.random.key(1), **options)
    by_place = jaxaudit.score(mar_target(), *batch, **options)
    for name, values in continuous.items():
        np.testing.assert_array_equal(same[name], values)
        np.testing.assert_allclose(back[name][::-1], values, rtol=1e-5)
        np.testing.assert_allclose(among_others[name][4], values[4], rtol=1e-5)
        assert not np.isclose(other_key[name], values).any()
        assert not np.isclose(by_place[name], values).any()


def test_latents_may_take_the_place_of_images(batch, continuous):
    images, labels = batch
    latents = mar_target().encode(images)
    options = {"names": "cond/loss", "options": MAR_OPTIONS, "ids": IDS}
    scores = jaxaudit.score(mar_target(), None, labels, latents=latents, **options)
    np.testing.assert_allclose(scores["cond/loss"], continuous["cond/loss"], rtol=1e-5)
    with pytest.raises(InputError, match=r"Latents of shape \(11, 16, 3\) do not fit; expected \[B,16,4\]"):
        jaxaudit.score(mar_target(), None, labels, latents=latents[..., :3], **options)


@pytest.mark.parametrize("parallelism", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_devices_do_not_change_stochastic_scores(batch, continuous, parallelism):
    scorer = Scorer(mar_target(), MAR_SCORES, options=MAR_OPTIONS, mesh=make_mesh(8), parallelism=parallelism)
    images, labels = batch
    spread = scorer.submit(images[:7], labels[:7], ids=IDS[:7], padded_size=8).result()
    for name, values in continuous.items():
        np.testing.assert_allclose(spread[name], values[:7], rtol=1e-5)


def test_fitted_scores_belong_to_audits(batch):
    for names in ("diff/prada", ["cond/loss", "diff/prada"], "diff/prad*"):
        with pytest.raises(InputError, match="diff/prada is fitted to known members and nonmembers"):
            jaxaudit.score(var_target(), *batch, names=names)
    assert list(jaxaudit.score(var_target(), *batch, names=[*NAMES, "diff/prad*"])) == NAMES


@pytest.mark.usefixtures("unchecked")
def test_wrong_input_is_refused(batch):
    images, labels = batch
    with pytest.raises(InputError, match=r"\(11, 8, 8, 1\).*expected \[B,8,8,3\]"):
        jaxaudit.score(var_target(), images[..., :1], labels)
    with pytest.raises(InputError, match=r"Label 11 is out of range: the target has classes 0\.\.9"):
        jaxaudit.score(var_target(), images, np.full(11, 11))
    with pytest.raises(InputError, match="did you mean .*diff/loss"):
        jaxaudit.score(var_target(), images, labels, names="diff/los")
    with pytest.raises(InputError, match="3 ids do not fit 11 images"):
        jaxaudit.score(var_target(), images, labels, ids=["a", "b", "c"])


def test_passes_are_those_of_each_score_alone():
    discrete = ["cond/loss", "cond/zlib", "diff/loss", "diff/zlib", "diff/icas", "diff/prada"]
    counted = {
        var_target: dict(zip(discrete, (1, 1, 2, 2, 2, 2), strict=True)),
        mar_target: {"cond/loss": 1, "cond/unified_loss": 1, "cond/zlib": 1, "diff/loss": 2},
        tiny_diffusion.target: {"denoising_loss": 5, "secmi": 12, "clid_100": 2, "noise_opt_norm": 12},
    }
    for make_target, passes in counted.items():
        assert Scorer(make_target(), list(passes)).passes() == passes

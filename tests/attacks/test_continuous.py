"""Scores of continuous tokens against recorded features of the published code, slow loops, and properties."""

import functools
import hashlib
import itertools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.continuous import SETTINGS, TRAINING, MaskedLossConfig, published_losses
from jaxaudit.attacks.reductions import compressed_sizes
from jaxaudit.attacks.registry import ScorePlan, get_scores, inference_set
from jaxaudit.errors import InputError
from tests.golden import weights

PLAN = ScorePlan(get_scores("all", kind="continuous"))
FEATURES = {
    "loss": "loss",
    "zlib_ratio": "zlib",
    **{f"max_k[k=0.{k}]": f"min_k_{k}0" for k in range(1, 6)},
    "camia_above_mean": "camia_below_mean",
    "camia_above_running_mean": "camia_below_running_mean",
    "camia_slope": "camia_slope",
}


@functools.cache
def golden():
    return weights.load("loss_features")


device_scores = jax.jit(PLAN.device)


def all_scores(losses, latents, published=None):
    views = {
        "cond": losses,
        "diff": losses[::-1],
        "published": losses if published is None else published,
        "training": losses,
    }
    return PLAN.host(jax.device_get(device_scores(views)), latents)


@pytest.mark.parametrize("losses", ["dense", "masked"])
def test_recorded_features(losses):
    config, io = golden()
    scores = all_scores(io[f"losses_{losses}"], io["tokens_continuous"])
    assert list(FEATURES) == config["feature_names"]
    for suffix in ("", "_f64"):
        columns = io[f"features_{losses}_continuous{suffix}"].T
        for feature, column in zip(config["feature_names"], columns, strict=True):
            name = f"cond/{FEATURES[feature]}_ref"
            fraction = feature.startswith("camia_above")
            tolerance = {"rtol": 0, "atol": 1e-6} if fraction else {"rtol": 2e-5, "atol": 1e-7}
            np.testing.assert_allclose(scores[name], -column, **tolerance, err_msg=name)


def test_text_that_zlib_compresses():
    config, io = golden()
    for kind in ("continuous", "discrete"):
        tokens = io[f"tokens_{kind}"]
        texts = [str(row) for row in tokens.tolist()]
        assert [hashlib.sha256(t.encode()).hexdigest() for t in texts] == config[f"string_sha256_{kind}"]
        np.testing.assert_array_equal(compressed_sizes(tokens), io[f"zlib_bytes_{kind}"])


def test_recorded_normalisation():
    """The recording has 3 images in its batch, so its losses are a third of ours."""
    config, io = golden()
    mask = io["mar_mask"]
    hidden = np.nonzero(mask)[1].reshape(3, config["mar"]["masked_tokens"])
    losses = jnp.asarray(np.take_along_axis(io["mar_raw_loss"].mean(0), hidden, axis=1))
    hidden = jnp.asarray(hidden)
    ours = published_losses(losses, hidden, config["mar"]["N"], config["mar"]["diffusion_batch_mul"])
    np.testing.assert_allclose(ours / 3, io["mar_token_losses"], rtol=2e-5, atol=0)
    assert MaskedLossConfig().num_hidden(256) == config["mar"]["masked_tokens"]


def test_paper_scores_are_the_published_features_and_inference_leaves_camia_out():
    names = [s.name for s in get_scores("paper", kind="continuous")]
    assert names == [f"cond/{name}_ref" for name in FEATURES.values()]
    assert [s.name for s in inference_set("continuous")] == names[:7]


# The literature's scores, one image and one token at a time, in float64.


def mean(values):
    return sum(values) / len(values)


def loop_oracle(losses, latents):
    """{score without view: value} of one image."""
    length, ordered = len(losses), sorted(losses, reverse=True)
    hundredths = [[round(100 * float(value)) for value in token] for token in latents]
    loss = -mean(losses)
    return {
        "loss": loss,
        "zlib": loss / len(zlib.compress(repr(hundredths).encode())),
        **{f"min_k_{k}": -mean(ordered[: max(1, length * k // 100)]) for k in (10, 20, 30, 40, 50)},
        "camia_below_mean": -mean([value > mean(losses) for value in losses]),
        "camia_below_running_mean": mean([v > mean(losses[: n + 1]) for n, v in enumerate(losses)]),
        "camia_slope": np.polynomial.Polynomial.fit(range(length), losses, 1).convert().coef[1],
    }


def random_losses(seed=0, batch=5, length=9):
    random = np.random.default_rng(seed)
    losses = random.gamma(2.0, size=(batch, length)).astype(np.float32)
    return losses, random.standard_normal((batch, length, 3)).astype(np.float32)


@functools.cache
def random_scores():
    return all_scores(*random_losses())


def test_literature_scores_match_a_loop():
    losses, latents = random_losses()
    for view, values in (("cond", losses), ("diff", losses[::-1])):
        expected = [loop_oracle(v.tolist(), z) for v, z in zip(values, latents, strict=True)]
        literature = {s.name.partition("/")[2] for s in get_scores(f"{view}/*", kind="continuous")}
        literature = {name for name in literature if not name.endswith("_ref")} - {"unified_loss"}
        assert expected[0].keys() == literature
        for name in literature:
            actual = random_scores()[f"{view}/{name}"]
            np.testing.assert_allclose(actual, [e[name] for e in expected], rtol=3e-5, err_msg=name)


def test_lower_losses_score_higher():
    losses, latents = random_losses()
    lower = all_scores(losses - 0.1, latents)
    for name in ("loss", "zlib", *(f"min_k_{k}" for k in (10, 20, 30, 40, 50))):
        assert (lower[f"cond/{name}"] > random_scores()[f"cond/{name}"]).all(), name
    assert (lower["cond/unified_loss"] > random_scores()["cond/unified_loss"]).all()


def test_rounding_does_not_reach_the_zlib_score():
    losses, latents = random_losses()
    nudged = np.nextafter(latents, np.float32(9))
    scores, again = all_scores(losses, latents), all_scores(losses, nudged)
    np.testing.assert_array_equal(again["cond/zlib"], scores["cond/zlib"])
    assert not np.array_equal(again["cond/zlib_ref"], scores["cond/zlib_ref"])


def test_settings_change_one_thing_after_the_other():
    rows = [TRAINING, *SETTINGS.values()]
    changed = [
        {name for name in vars(row) if getattr(row, name) != getattr(before, name)}
        for before, row in itertools.pairwise(rows)
    ]
    assert changed == [{"num_noises"}, {"mask_ratio"}, {"timestep"}, {"num_noises"}]
    assert SETTINGS["noise"] == MaskedLossConfig(0.95, 500, 64)
    assert SETTINGS["default"] == MaskedLossConfig(0.86, "random", 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_ratio": 0.0}, r"mask_ratio=0.0 is not in \(0, 1\]"),
        ({"mask_ratio": 1.1}, r"mask_ratio=1.1 is not"),
        ({"timestep": -1}, "timestep=-1 is neither 'random' nor"),
        ({"timestep": "late"}, "timestep='late' is neither"),
        ({"num_noises": 0}, "num_noises=0 is less than 1"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        MaskedLossConfig(**options)

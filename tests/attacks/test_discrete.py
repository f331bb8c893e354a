"""Discrete-token scores against recorded features of the published code, slow loops, and properties."""

import functools
import hashlib
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.discrete import compressed_sizes
from jaxaudit.attacks.registry import ScorePlan, get_scores
from jaxaudit_kernels.likelihood import token_statistics
from tests.golden import weights

PLAN = ScorePlan(get_scores("all"))
FRACTIONS = ("surp_count", "camia_below")


@functools.cache
def golden():
    return weights.load("token_features")


def statistics(logits, tokens):
    return token_statistics(jnp.asarray(logits), jnp.asarray(tokens))


@jax.jit
def device_scores(cond, null, tokens):
    logits = {"cond": cond, "null": null, "diff": cond - null}
    return PLAN.device({view: token_statistics(z, tokens) for view, z in logits.items()})


def all_scores(cond, null, tokens):
    return PLAN.host(jax.device_get(device_scores(cond, null, tokens)), tokens)


def score_name(feature):
    """The name of our score, without view, for a recorded column."""
    if feature.startswith("camia"):
        return {
            "camia_below_mean_logp": "camia_below_mean",
            "camia_below_mean_minkpp": "camia_below_mean_pp",
            "camia_below_running_mean_logp": "camia_below_running_mean",
            "camia_below_running_mean_minkpp": "camia_below_running_mean_pp",
            "camia_slope_logp": "camia_slope",
        }[feature] + "_ref"
    family, _, parameters = feature.rstrip("]").partition("[")
    family = {"zlib_ratio": "zlib", "min_k++": "min_k_pp", "surp_mean": "surp"}.get(family, family)
    values = [p.split("=")[-1].split("<")[-1] for p in parameters.split(",")] if parameters else []
    numbers = [str(round(100 * float(v)) if i == 0 else round(float(v))) for i, v in enumerate(values)]
    return "_".join([family, *numbers, "ref"])


def assert_recorded(scores, view, features, columns):
    """Tolerances of the case's config.json; published features are lower for members."""
    for feature, column in zip(features, columns.T, strict=True):
        name = f"{view}/{score_name(feature)}"
        fraction = name.partition("/")[2].startswith(FRACTIONS)
        tolerance = {"rtol": 0, "atol": 1e-6} if fraction else {"rtol": 2e-4, "atol": 1e-6}
        np.testing.assert_allclose(scores[name], -column, **tolerance, err_msg=name)


@functools.cache
def recorded_scores():
    io = golden()[1]
    return all_scores(io["logits_cond"], io["logits_uncond"], io["tokens"])


@pytest.mark.parametrize(("view", "columns"), [("cond", "features_cond"), ("diff", "features_cfg")])
def test_all_58_recorded_features(view, columns):
    config, io = golden()
    assert_recorded(recorded_scores(), view, config["feature_names_58"], io[columns])
    assert_recorded(recorded_scores(), view, config["feature_names_58"], io[f"{columns}_f64"])


def test_paper_scores_are_the_published_matrix():
    config, io = golden()
    paper = get_scores("paper")
    assert [s.name for s in paper] == [f"diff/{score_name(f)}" for f in config["feature_names_18"]]
    assert_recorded(recorded_scores(), "diff", config["feature_names_18"], io["features_cfg_18"])


def test_too_few_tokens_for_k_percent():
    config, io = golden()
    arrays = (io["edge_smallN_logits_cond"], io["edge_smallN_logits_uncond"], io["edge_smallN_tokens"])
    scores = all_scores(*arrays)
    assert_recorded(scores, "diff", config["feature_names_18"], io["edge_smallN_features_cfg_18"])
    assert np.isnan(scores["diff/min_k_10_ref"]).all()
    lowest = statistics(arrays[0] - arrays[1], arrays[2]).log_prob.min(axis=1)
    np.testing.assert_array_equal(scores["diff/min_k_10"], lowest)
    literature = [s.name for s in get_scores("default") if s.made != "fitted"]
    assert np.isfinite([scores[name] for name in literature]).all()


def test_equal_conditional_and_null_logits():
    config, io = golden()
    logits, tokens = io["logits_cond"][:2], io["edge_zero_tokens"]
    scores = all_scores(logits, logits, tokens)
    for feature, column in zip(config["feature_names_58"], io["edge_zero_features_cfg_58"].T, strict=True):
        if feature.startswith(("loss", "zlib", "hinge", "min_k[", "camia_slope")):
            np.testing.assert_allclose(scores[f"diff/{score_name(feature)}"], -column, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores["diff/min_k_pp_20"], 0.0)
    np.testing.assert_allclose(scores["diff/icas"], 0.0, atol=1e-6)


def test_text_that_zlib_compresses():
    config, io = golden()
    texts = [str(row) for row in io["tokens"].tolist()]
    assert [hashlib.sha256(t.encode()).hexdigest() for t in texts] == config["zlib_string_sha256"]
    np.testing.assert_array_equal(compressed_sizes(io["tokens"]), io["zlib_bytes"])
    np.testing.assert_array_equal(compressed_sizes(io["tokens"].astype(np.int32)), io["zlib_bytes"])


# Literature scores, one image and one token at a time, in float64.


def mean(values):
    return sum(values) / len(values)


def loop_oracle(logits, tokens):
    """{score without view: value} of one image, from its logits [L,V] and tokens [L]."""
    length = len(tokens)
    xs, zs, entropies, margins = [], [], [], []
    for row, token in zip(logits.tolist(), tokens.tolist(), strict=True):
        log_total = math.log(sum(math.exp(z) for z in row))
        log_p = [z - log_total for z in row]
        mu = sum(math.exp(x) * x for x in log_p)
        sigma = math.sqrt(sum(math.exp(x) * (x - mu) ** 2 for x in log_p))
        xs.append(log_p[token])
        zs.append((log_p[token] - mu) / sigma)
        entropies.append(-mu)
        margins.append(row[token] - max(row[:token] + row[token + 1 :]))
    size = len(zlib.compress(("[" + ", ".join(str(int(t)) for t in tokens) + "]").encode()))
    result = {"loss": mean(xs), "zlib": mean(xs) / size, "hinge": mean(margins)}
    for k in (10, 20, 30, 40, 50):
        count = max(1, length * k // 100)
        result[f"min_k_{k}"] = mean(sorted(xs)[:count])
        result[f"min_k_pp_{k}"] = mean(sorted(zs)[:count])
        probs = [math.exp(x) for x in xs]
        quantile = float(np.quantile(probs, k / 100))
        for e in (2, 4, 8, 16):
            chosen = [p for p, h in zip(probs, entropies, strict=True) if h < e and p < quantile]
            result[f"surp_{k}_{e}"] = mean(chosen) if chosen else quantile
    for suffix, values in {"": xs, "_pp": zs}.items():
        result[f"camia_below_mean{suffix}"] = -mean([v < mean(values) for v in values])
        below = [v < mean(values[: n + 1]) for n, v in enumerate(values) if n > 0]
        result[f"camia_below_running_mean{suffix}"] = sum(below) / length
    result["camia_slope"] = -np.polynomial.Polynomial.fit(range(length), xs, 1).convert().coef[1]
    return result


def random_logits(batch=5, length=23, vocabulary=12, seed=4):
    """Logits between flat and peaked, so that the limits on the entropy select; the last image is flat."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.3, 6.0, (2, batch, length, 1))
    scale[:, -1] = 0.2
    cond, null = (scale * random.standard_normal((2, batch, length, vocabulary))).astype(np.float32)
    return cond, null, random.integers(0, vocabulary, (batch, length))


@functools.cache
def random_scores():
    return all_scores(*random_logits())


@pytest.mark.parametrize("view", ["cond", "diff"])
def test_literature_scores_match_a_loop(view):
    cond, null, tokens = random_logits()
    logits = np.float64(cond) - (np.float64(null) if view == "diff" else 0)
    expected = [loop_oracle(z, t) for z, t in zip(logits, tokens, strict=True)]
    wanted = {s.name.partition("/")[2] for s in get_scores("default")} - {"unified_loss"}
    wanted -= {"calibrated_loss", "icas", "prada"}  # of both views at once
    assert expected[0].keys() == wanted
    for name in wanted:
        values = [image[name] for image in expected]
        np.testing.assert_allclose(
            random_scores()[f"{view}/{name}"], values, rtol=3e-5, atol=3e-6, err_msg=name
        )


def test_surp_without_surprising_tokens_is_the_quantile():
    cond, _, tokens = random_logits()
    probs = np.exp(np.float64(statistics(cond, tokens).log_prob[-1]))  # every entropy exceeds 2
    np.testing.assert_allclose(random_scores()["cond/surp_30_2"][-1], np.quantile(probs, 0.3), rtol=1e-5)
    assert random_scores()["cond/surp_30_4"][-1] < random_scores()["cond/surp_30_2"][-1]


def test_scores_of_both_views_at_once_match_a_loop():
    cond, null, tokens = random_logits()
    for image in range(len(tokens)):
        gains = []
        for c, n, t in zip(cond[image].tolist(), null[image].tolist(), tokens[image].tolist(), strict=True):
            x_c, x_0 = (row[t] - math.log(sum(math.exp(z) for z in row)) for row in (c, n))
            gains.append(x_c - x_0)
        icas = mean([d / (1.75 + math.exp(1.3 * d)) for d in gains])
        np.testing.assert_allclose(random_scores()["diff/icas"][image], icas, rtol=1e-5)
        np.testing.assert_allclose(random_scores()["diff/calibrated_loss"][image], mean(gains), rtol=1e-5)


def test_icas_does_not_overflow():
    likely, unlikely = (np.array([[[z, 0.0]]], np.float32) for z in (0.0, -500.0))
    tokens = np.zeros((1, 1), np.int64)
    (gain,) = get_scores("diff/icas")
    views = [statistics(z, tokens) for z in (likely, unlikely)]
    np.testing.assert_array_equal(gain.function(*views), 0.0)
    np.testing.assert_allclose(gain.function(*views[::-1]), (np.log(2) - 500) / 1.75, rtol=1e-6)


def test_offsets_of_a_row_change_no_score():
    cond, null, tokens = random_logits()
    offset = np.random.default_rng(0).integers(-8, 9, (2, *tokens.shape, 1)).astype(np.float32)
    shifted = all_scores(cond + offset[0], null + offset[1], tokens)
    for name, expected in random_scores().items():
        np.testing.assert_allclose(shifted[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_likelier_tokens_score_higher():
    cond, null, tokens = random_logits()
    likelier = cond.copy()
    np.put_along_axis(likelier, tokens[..., None], 0.5 + np.take_along_axis(cond, tokens[..., None], 2), 2)
    raised = all_scores(likelier, null, tokens)
    for name in ("loss*", "zlib*", "hinge*", "min_k_?0*", "surp_*_16"):
        for s in get_scores(f"*/{name}"):
            assert (raised[s.name] > random_scores()[s.name]).all(), s.name


def test_camia_tells_likely_from_the_start():
    """Rising log-probability means context helped: a non-member by slope; one outlier: a member by mean."""
    x = np.float32([[-3, -2.5, -2, -1.5], [-1, -1, -1, -3]])
    zero = np.zeros_like(x)
    view = statistics(np.zeros((2, 4, 2)), zero.astype(int))._replace(log_prob=jnp.asarray(x))
    value = {n: get_scores(f"cond/camia_{n}")[0].function(view) for n in ("slope", "below_mean")}
    np.testing.assert_allclose(value["slope"], [-0.5, 0.6], rtol=1e-6)
    np.testing.assert_allclose(value["below_mean"], [-0.5, -0.25])


def test_scores_do_not_depend_on_the_order_of_a_batch():
    reordered = all_scores(*(a[::-1].copy() for a in random_logits()))
    for name, expected in random_scores().items():
        np.testing.assert_allclose(reordered[name][::-1], expected, rtol=1e-6, atol=1e-7, err_msg=name)

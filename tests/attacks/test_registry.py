"""Declaring, finding and computing scores, and the conventions every declared score keeps."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks import registry
from jaxaudit.attacks.registry import (
    MAIN_VIEW,
    VIEWS,
    ScorePlan,
    declared_scores,
    fitted_score,
    full_name,
    get_scores,
    host_score,
    inference_set,
    score,
    split_name,
)
from jaxaudit.errors import InputError
from jaxaudit_kernels.likelihood import token_statistics

PAPER_COLUMNS = [
    *("loss", "zlib", "hinge", "min_k_10", "min_k_20", "min_k_30", "min_k_40", "min_k_50"),
    *("min_k_pp_10", "min_k_pp_20", "min_k_pp_30", "min_k_pp_40", "min_k_pp_50"),
    *("camia_below_mean", "camia_below_mean_pp"),
    *("camia_below_running_mean", "camia_below_running_mean_pp", "camia_slope"),
]


@pytest.fixture
def own_registry(monkeypatch):
    """Lets a test declare scores that are gone after it."""
    monkeypatch.setattr(registry, "_SCORES", dict(registry._SCORES))


def names(patterns):
    return [s.name for s in get_scores(patterns)]


def views(batch=3, length=9, vocabulary=7):
    random = np.random.default_rng(0)
    cond, null = random.standard_normal((2, batch, length, vocabulary)).astype(np.float32)
    tokens = random.integers(0, vocabulary, (batch, length))
    logits = {"cond": cond, "null": null, "diff": cond - null}
    statistics = {view: token_statistics(jnp.asarray(z), jnp.asarray(tokens)) for view, z in logits.items()}
    return statistics, tokens


def test_every_score_is_cited_and_described():
    for (kind, name), s in registry._SCORES.items():
        assert (s.kind, s.name) == (kind, name)
        assert len(s.source) > 20, name
        assert s.description.endswith("."), name
        assert s.access in ("gray-box", "white-box"), name
        assert callable(s.function), name
        view, rest = split_name(name)
        assert view in VIEWS[kind], name
        assert full_name(view, rest) == name
        assert rest.isidentifier(), name


def test_both_views_unless_declared_otherwise():
    per_view = {view: {name.partition("/")[2] for name in names(f"{view}/*")} for view in VIEWS["discrete"]}
    assert per_view["diff"] - per_view["cond"] == {"calibrated_loss", "icas", "prada"}
    assert per_view["cond"] - per_view["diff"] == {"unified_loss"}


def test_every_kind_has_the_unified_attack_and_a_published_set_in_its_main_view():
    for kind, views in VIEWS.items():
        (unified,) = get_scores("*unified_loss", kind=kind)
        assert split_name(unified.name) == ("" if kind == "diffusion" else "cond", "unified_loss")
        assert MAIN_VIEW[kind] in views
        published = [s.name for s in get_scores("paper", kind=kind)]
        assert {split_name(name)[0] for name in published} == {MAIN_VIEW[kind]}
        assert {s.name for s in inference_set(kind)} <= set(published)
        assert all(name.endswith("_ref") for name in published)


def test_every_literature_score_of_the_design_exists():
    grids = [f"{family}_{k}" for family in ("min_k", "min_k_pp") for k in (10, 20, 30, 40, 50)]
    grids += [f"surp_{k}_{e}" for k, e in itertools.product((10, 20, 30, 40, 50), (2, 4, 8, 16))]
    camia = ["below_mean", "below_mean_pp", "below_running_mean", "below_running_mean_pp", "slope"]
    expected = ["loss", "zlib", "hinge", *grids, *(f"camia_{name}" for name in camia)]
    expected += ["calibrated_loss", "icas", "prada"]
    default = names("default")
    assert {name for name in default if name.startswith("diff/")} == {f"diff/{name}" for name in expected}
    assert not any(s.published for s in get_scores("default"))


def test_every_score_of_the_published_code_has_a_ref():
    everything = set(names("all"))
    without = {name for name in names("default") if f"{name}_ref" not in everything}
    assert without == {"cond/unified_loss", "diff/calibrated_loss", "diff/icas", "diff/prada"}


def test_paper_is_the_published_matrix_in_its_order():
    assert names("paper") == [f"diff/{name}_ref" for name in PAPER_COLUMNS]


def test_a_ref_that_agrees_with_the_literature_is_the_same_function():
    literature, published = get_scores(["diff/loss", "diff/loss_ref"])
    assert published.function is literature.function
    assert published.published
    assert not literature.published


@pytest.mark.usefixtures("own_registry")
def test_what_reproduces_published_code_is_declared_and_not_read_from_a_name():
    @score("loss_ref_of_theirs", source="A paper that calls its loss a reference", published=True)
    @score("best_ref", source="A paper about references")
    def best(view):
        """Rank of the best token."""
        return view.rank

    assert [s.published for s in get_scores("cond/best_ref")] == [False]
    (published,) = get_scores("cond/loss_ref_of_theirs_ref")
    assert (published.published, published.base) == (True, "loss_ref_of_theirs")
    assert "cond/best_ref" in names("default")
    assert "cond/loss_ref_of_theirs_ref" not in names("default")


def test_patterns_keep_the_order_asked_for_and_drop_repeats():
    assert names(["diff/hinge", "cond/loss", "diff/hinge"]) == ["diff/hinge", "cond/loss"]
    assert names("diff/min_k_?0") == [f"diff/min_k_{k}0" for k in (1, 2, 3, 4, 5)]
    assert names(["*/camia_slope", "diff/*"])[:2] == ["cond/camia_slope", "diff/camia_slope"]
    assert names("all") == [name for kind, name in registry._SCORES if kind == "discrete"]


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"'diff/los'; did you mean .*diff/loss"):
        get_scores(["diff/loss", "diff/los"])
    with pytest.raises(InputError, match="'nothing/\\*'"):
        get_scores("nothing/*")
    with pytest.raises(InputError, match="No scores asked for"):
        get_scores([])


@pytest.mark.usefixtures("own_registry")
def test_adding_a_score_is_one_decorated_function():
    @score("top1", source="A paper that counts tokens")
    def top1(view):
        """Share of the tokens that are the most probable ones."""
        return jnp.mean(view.rank == 0, axis=-1)

    inputs, _ = views()
    plan = ScorePlan(get_scores("*/top1"))
    assert plan.names == ("cond/top1", "diff/top1")
    assert plan.scores[0].description == "Share of the tokens that are the most probable ones."
    np.testing.assert_array_equal(plan.device(inputs)["diff/top1"], (inputs["diff"].rank == 0).mean(axis=-1))
    with pytest.raises(ValueError, match="already is a score 'cond/top1'"):
        score("top1", source="Another paper")(top1)
    with pytest.raises(ValueError, match="say one of them"):
        score("top2", source="Another paper", published=True, ref=True)
    with pytest.raises(ValueError, match="'silent' has no docstring"):
        score("silent", source="Another paper")(lambda view: view.rank)


@pytest.mark.usefixtures("own_registry")
def test_inputs_may_depend_on_the_grid():
    @score("at_{t}", kind="diffusion", grid={"t": (1, 2)}, views=lambda t: {"": (t, "z")}, source="A paper")
    def at(value, latents):
        """A value at a timestep."""
        return value - latents

    plan = ScorePlan(get_scores("at_*", kind="diffusion"))
    assert plan.inputs == {1, 2, "z"}
    found = plan.device({1: jnp.array([5.0]), 2: jnp.array([7.0]), "z": jnp.array([1.0])})
    chex.assert_trees_all_equal(found, {"at_1": jnp.array([4.0]), "at_2": jnp.array([6.0])})


@pytest.mark.usefixtures("own_registry")
def test_scores_on_request_come_by_name_only():
    @score("slow", source="A paper that takes its time", on_request=True)
    def slow(view):
        """Minutes."""
        return view.rank

    assert declared_scores("discrete")[-1].name == "diff/slow"
    assert not {"cond/slow", "diff/slow"} & {*names("all"), *names("default"), *names("cond/*")}
    assert names(["cond/loss", "cond/slow"]) == ["cond/loss", "cond/slow"]
    with pytest.raises(InputError, match="'\\*/slow'"):
        names("*/slow")


def test_refused_scores_are_left_out_of_patterns():
    def refused(s):
        return "not today" if "icas" in s.name else None

    assert [s.name for s in get_scores("diff/ic*", refused=lambda s: None)] == ["diff/icas"]
    kept = {s.name for s in get_scores("all", refused=refused)}
    assert set(names("all")) - kept == {"diff/icas"}
    for asked in ("diff/icas", ["cond/loss", "diff/icas"], "diff/ic*"):
        with pytest.raises(InputError, match="Score diff/icas cannot be had: not today"):
            get_scores(asked, refused=refused)


@pytest.mark.usefixtures("own_registry")
def test_host_scores_share_one_call_and_leave_their_base_out():
    calls = []

    @host_score("per_token", of="loss", source="A paper that divides", ref=True)
    def per_token(loss, tokens):
        """Loss over the number of tokens."""
        calls.append(loss.shape)
        return loss / tokens.shape[1]

    inputs, tokens = views()
    plan = ScorePlan(get_scores(["*/per_token", "diff/per_token_ref", "cond/hinge"]))
    assert plan.inputs == {"cond", "diff"}
    device = plan.device(inputs)
    assert device.keys() == {"cond/loss", "diff/loss", "cond/hinge"}
    scores = plan.host(jax.device_get(device), tokens)
    assert (
        tuple(scores)
        == plan.names
        == ("cond/per_token", "diff/per_token", "diff/per_token_ref", "cond/hinge")
    )
    assert calls == [(3, 3)]
    np.testing.assert_array_equal(scores["diff/per_token"], np.asarray(device["diff/loss"]) / 9)
    np.testing.assert_array_equal(scores["diff/per_token_ref"], scores["diff/per_token"])
    np.testing.assert_array_equal(scores["cond/hinge"], device["cond/hinge"])


@pytest.mark.usefixtures("own_registry")
def test_a_fitted_score_leaves_its_features_and_no_value():
    @fitted_score("learned", views={"diff": ("cond", "null")}, source="A paper that learns")
    def learned(cond, null, steps):
        """A function of two features."""
        return {"gain": jnp.mean(cond.log_prob - null.log_prob, axis=-1), "steps": jnp.full(3, len(steps))}

    inputs, tokens = views()
    plan = ScorePlan(get_scores(["diff/learned", "cond/loss"]))
    assert plan.inputs == {"cond", "null"}
    assert plan.names == ("diff/learned", "cond/loss")
    assert plan.fitted == ("diff/learned",)
    assert tuple(plan.host(jax.device_get(plan.device(inputs)), tokens)) == ("cond/loss",)
    features = plan.features(inputs, (4, 5))
    assert features.keys() == {"diff/learned"}
    assert features["diff/learned"].keys() == {"gain", "steps"}
    np.testing.assert_array_equal(features["diff/learned"]["steps"], 2)


def test_a_plan_says_which_statistics_it_needs():
    assert ScorePlan(get_scores("cond/*")).inputs == {"cond"}
    assert ScorePlan(get_scores("diff/icas")).inputs == {"cond", "null"}
    assert ScorePlan(get_scores("all")).inputs == {"cond", "null", "diff"}


def test_one_compiled_step_sorts_each_quantity_once():
    plan = ScorePlan(get_scores(["diff/min_k_?0", "diff/min_k_?0_ref", "diff/surp_*"]))
    text = jax.jit(plan.device).lower(views()[0]).compile().as_text()
    assert text.count(" sort(") == 2  # the log-probabilities and the probabilities


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_scores("diff/loss")[0].name = "diff/other"

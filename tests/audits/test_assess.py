"""From pictures to a verdict on untrained targets, and what fitted scores are used for."""

import dataclasses
import functools
import importlib
import types

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.reference import check_is_another, with_reference
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS
from jaxaudit.protocols import PERMUTATION, PUBLISHED
from jaxaudit.runtime.placement import Placement
from tests.results.round_trip import assert_round_trips
from tests.tiny import MAR_OPTIONS, MAR_SCORES, llamagen_target, mar_target, rar_target, var_target

assess_module = importlib.import_module("jaxaudit.audits.assess")
DISCRETE = CollectConfig(
    scores=("*/loss", "*/min_k_20", "diff/prada", "cond/unified_loss", "diff/loss_ref"),
    placement=Placement(128),
)
CONTINUOUS = CollectConfig(scores=MAR_SCORES, options=MAR_OPTIONS, placement=Placement(8))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    @functools.cache
    def collect(make_target, config):
        members, nonmembers = (open_source(f"digits:{split}[:128]") for split in ("members", "nonmembers"))
        return collect_evidence(
            make_target(), members, nonmembers, tmp_path_factory.mktemp("evidence"), config
        )

    return collect


@pytest.mark.parametrize(
    ("make_target", "config"),
    [
        (rar_target, DISCRETE),
        pytest.param(llamagen_target, DISCRETE, marks=pytest.mark.slow),
        pytest.param(mar_target, CONTINUOUS, marks=pytest.mark.slow),
    ],
)
def test_an_untrained_target_shows_no_evidence(evidence, make_target, config):
    results = assess(evidence(make_target, config))
    assert results.finding.status == "no_evidence"
    assert set(results.test.names) == {
        name for one in results.dataset_inference.values() for name in one.names
    }
    assert results.gate == results.test.gate
    assert "mix of classes" in results.gate.p_values
    assert results.individuals.discovered == ()
    view = {"rar": "diff", "llamagen": "diff", "mar": "cond"}[results.target.family]
    assert results.main_view == view
    expected = {"diff": ("diff/loss", "diff/min_k_20"), "cond": ("cond/loss", "cond/zlib")}
    assert results.dataset_inference[view].names == expected[view]
    for name, metrics in results.membership.per_score.items():
        assert metrics.auc.low < 0.5 < metrics.auc.high, name
    paper = assess(evidence(make_target, config), AssessConfig(protocol=PUBLISHED))
    assert list(paper.membership.per_score) == [f"{view}/loss_ref"]
    for found in (results, paper):
        assert_round_trips(found)


def test_levels_that_permutations_cannot_show_are_refused_before_anything_is_scored():
    for config, reason in (
        ({"alpha": 1e-5}, "9999 permutations cannot give a p-value of 1e-05; at least 99999 are needed"),
        ({"alpha": 5e-4, "procedure": PERMUTATION}, "999 permutations cannot give a p-value of 0.0005"),
        ({"alpha": 0.0}, "alpha=0"),
    ):
        with pytest.raises(InputError, match=reason):
            AssessConfig(**config)
    assert AssessConfig(alpha=1e-4).alpha == 1e-4  # 1 / (9,999 + 1)
    assert AssessConfig(alpha=1e-3, procedure=PERMUTATION).alpha == 1e-3
    assert AssessConfig(alpha=1e-5, protocol=PUBLISHED).alpha == 1e-5  # Student's p-values have no least


def test_a_single_score_is_enough_for_a_verdict(evidence):
    config = dataclasses.replace(DISCRETE, scores=("cond/unified_loss",))
    results = assess(evidence(rar_target, config))
    assert results.finding.status == "no_evidence"
    assert results.dataset_inference["cond"].names == ("cond/unified_loss",)
    assert results.membership.selected == "cond/unified_loss"
    with pytest.raises(InputError, match="no score for --protocol=paper: none of its scores is"):
        assess(evidence(rar_target, config), AssessConfig(protocol=PUBLISHED))


def test_fitted_scores_enter_membership_inference_only(evidence):
    found = evidence(rar_target, DISCRETE)
    results = assess(found, AssessConfig(seed=4))
    members, nonmembers = (found.read(split) for split in ("members", "nonmembers"))
    features = members.features["diff/prada"], nonmembers.features["diff/prada"]
    scores = stats.fitted_scores(*features, seed=4)
    (_, rest), (_, nonmembers_rest) = stats.membership.selection_split(128, 128, 4)
    metrics = results.membership.per_score["diff/prada"]
    reported = stats.auc(scores[0][rest], scores[1][nonmembers_rest])
    np.testing.assert_allclose(metrics.auc.estimate, reported)
    assert "diff/prada" in results.scores
    names = [name for test in results.dataset_inference.values() for name in test.names]
    assert not any("prada" in name for name in names)
    assert set(results.histograms) == set(results.membership.groups.values())


@pytest.mark.usefixtures("unchecked")
def test_a_score_is_fitted_as_its_evidence_says():
    features = [np.random.default_rng(side).standard_normal((60, 2)) for side in (0, 1)]
    sides = [types.SimpleNamespace(features={"learned": each, "mixed": each}, scores={}) for each in features]
    fits = {"learned": "logistic", "mixed": "mixture"}
    found = assess_module._scores(*sides, list(fits), fits, 3)
    for name, fit in fits.items():
        for side, expected in zip(found, stats.fitted_scores(*features, fit=fit, seed=3), strict=True):
            np.testing.assert_array_equal(side[name], expected)
    assert not np.allclose(found[0]["learned"], found[0]["mixed"])


def test_no_flag_that_changes_no_score_changes_the_seed(tmp_path):
    """Neither the cut into files, nor how the pictures are named, nor their order, nor a score beside."""
    seeds = set()
    more = ("cond/loss", "cond/unified_loss")
    for spec, shard_size, step, scores in (
        ("[:32]", 8, 1, more[:1]),
        ("[0:32]", 9, 1, more[:1]),
        ("[:32]", 8, -1, more),
    ):
        config = CollectConfig(scores=scores, placement=Placement(32), shard_size=shard_size)
        members = open_source(f"digits:members{spec}").take(range(32)[::step])
        out = tmp_path / f"{shard_size}{step}"
        found = collect_evidence(var_target(), members, open_source("digits:nonmembers[:32]"), out, config)
        seeds.add(AssessConfig().seeded(found, [found.read(split) for split in SPLITS]).seed)
    assert len(seeds) == 1


@pytest.mark.slow
def test_a_seed_follows_from_the_evidence_unless_it_is_given(evidence):
    found = evidence(rar_target, DISCRETE)
    first, again = (assess(found, AssessConfig(alpha=alpha)) for alpha in (0.01, 0.05))
    assert first.seed == again.seed == first.test.seed
    assert not first.seed_given
    another = evidence(mar_target, CONTINUOUS)
    other = AssessConfig().seeded(another, [another.read(split) for split in SPLITS])
    assert other.seed != first.seed
    given = assess(found, AssessConfig(seed=5))
    assert (given.seed, given.test.seed, given.seed_given) == (5, 5, True)


def test_a_reference_stands_among_what_is_known_without_the_target(evidence, monkeypatch):
    found, reference = evidence(rar_target, DISCRETE), evidence(mar_target, CONTINUOUS)
    monkeypatch.setitem(reference.request["target"], "fingerprint", "another")
    alone, beside = assess(found), assess(found, reference=reference)
    assert (alone.reference, beside.reference.family) == (None, "mar")
    assert beside.gate.num_features == alone.gate.num_features + 3
    assert beside.test.plain == alone.test.plain
    assert beside.test.adjusted != alone.test.adjusted
    assert_round_trips(beside)


def test_references_are_joined_by_the_ids_of_pictures(evidence):
    table, reference = evidence(rar_target, DISCRETE).read("members"), evidence(mar_target, CONTINUOUS)
    order = np.random.default_rng(0).permutation(len(table))[:50]
    joined = with_reference(table.take(order), reference, "members")
    names = ["cond/loss", "cond/zlib", "diff/min_k_20"]
    assert joined.blind_names == (*table.blind_names, *(f"reference/{name}" for name in names))
    np.testing.assert_array_equal(joined.blind[:, -3:], reference.read("members").matrix(names)[order])
    np.testing.assert_array_equal(joined.blind[:, :-3], table.blind[order])


def test_a_reference_of_other_pictures_is_refused(evidence):
    table, reference = evidence(rar_target, DISCRETE).read("members"), evidence(mar_target, CONTINUOUS)
    for field, value in (("digests", "other pixels"), ("labels", 11)):
        changed = getattr(table, field).astype(object)
        changed[3] = value
        other = dataclasses.replace(table, **{field: changed})
        with pytest.raises(InputError, match="other pixels or another label in 1 of 128 members"):
            with_reference(other, reference, "members")
    renamed = table.sample_ids.astype(object)
    renamed[:2] = "elsewhere 1", "elsewhere 2"
    with pytest.raises(InputError, match=r"lacks 2 of 128 members \('elsewhere 1', ...\)"):
        with_reference(dataclasses.replace(table, sample_ids=renamed), reference, "members")


def test_the_target_is_no_reference_of_itself():
    request = {"fingerprint": "ab" * 32}
    check_is_another(request, {"fingerprint": "cd" * 32})
    check_is_another({"fingerprint": None}, {"fingerprint": None})
    with pytest.raises(InputError, match="has the weights of the target itself"):
        check_is_another(request, dict(request))

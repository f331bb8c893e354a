"""Membership inference: choice on one third and report on the rest, the published procedure, errors."""

import json

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED
from jaxaudit.results import encode
from jaxaudit.stats import (
    auc_interval,
    balanced_accuracy_interval,
    best_threshold,
    membership_inference,
    published_metrics,
    roc_curve,
    tpr_at_fpr,
    tpr_at_fpr_interval,
)


def scores(seed=0, n=900, m=1400, strengths=None):
    strengths = strengths or {"weak": 0.2, "strong": 1.5, "middle": 1.0}
    rng = np.random.default_rng(seed)
    members = {name: rng.standard_normal(n) + shift for name, shift in strengths.items()}
    return members, {name: rng.standard_normal(m) for name in strengths}


def split(n, m, seed):
    """The first third of a permutation selects, the rest is reported on."""
    rng = np.random.default_rng(seed)
    x, y = rng.permutation(n), rng.permutation(m)
    return (np.sort(x[: n // 3]), np.sort(y[: m // 3])), (np.sort(x[n // 3 :]), np.sort(y[m // 3 :]))


def test_everything_reported_comes_from_the_rest():
    members, nonmembers = scores()
    result = membership_inference(
        members, nonmembers, groups={"baseline": ["weak"], "tailored": ["middle", "weak"]}, seed=5
    )
    (choose_x, choose_y), (x, y) = split(900, 1400, 5)
    assert result.selected == "strong"
    assert result.groups == {"baseline": "weak", "tailored": "middle"}
    assert list(result.per_score) == ["weak", "strong", "middle"]
    assert set(result.curves) == {"strong", "weak", "middle"}
    for name, metrics in result.per_score.items():
        reported = members[name][x], nonmembers[name][y]
        threshold = best_threshold(members[name][choose_x], nonmembers[name][choose_y])
        assert metrics.threshold == threshold
        assert metrics.tpr_at_fpr == {0.01: tpr_at_fpr_interval(*reported, fpr=0.01)}
        assert metrics.auc == auc_interval(*reported)
        assert metrics.balanced_accuracy == balanced_accuracy_interval(*reported, threshold)
        assert result.curves[name] == roc_curve(*reported)
    assert (result.num_members, result.num_nonmembers) == (600, 934)
    assert (result.num_selection_members, result.num_selection_nonmembers) == (300, 466)


def test_an_fpr_without_room_for_a_false_positive_is_omitted_with_the_reason():
    members, nonmembers = scores(n=40, m=400)
    result = membership_inference(members, nonmembers, fprs=(0.01, 0.001, 1 / 200))
    assert list(result.per_score["weak"].tpr_at_fpr) == [0.01, 1 / 200]
    (omitted,) = result.omitted_fprs
    assert (omitted.fpr, omitted.nonmembers_needed) == (0.001, 1000)
    assert omitted.reason == (
        "A TPR at 0.001 FPR needs at least 1000 nonmembers to report on, one false positive among them being "
        "allowed; there are 267."
    )


def test_selection_is_by_tpr_at_one_percent_then_auc():
    rng = np.random.default_rng(1)
    outliers = rng.standard_normal(600) + 9 * (rng.random(600) < 0.3)  # high TPR at low FPR, modest AUC
    members = {"auc": rng.standard_normal(600) + 1, "tpr": outliers}
    nonmembers = {"auc": rng.standard_normal(600), "tpr": rng.standard_normal(600)}
    for name, shift in (("below", 1.0), ("far below", 2.0)):  # no member above any nonmember of the tail
        members[name] = rng.random(600) - shift
        nonmembers[name] = np.where(np.arange(600) % 10 < 5, 9.0, rng.random(600) - 1.5)
    result = membership_inference(members, nonmembers, groups={"tied": ["far below", "below"]})
    assert result.selected == "tpr"
    assert result.per_score["auc"].auc.estimate > result.per_score["tpr"].auc.estimate
    assert result.groups == {"tied": "below"}


@pytest.mark.slow
def test_choosing_among_many_useless_scores_does_not_flatter():
    strengths = {f"noise {j}": 0.0 for j in range(40)}
    honest = []
    for seed in range(15):
        result = membership_inference(*scores(seed, 200, 200, strengths), seed=seed)
        honest.append(result.per_score[result.selected].tpr_at_fpr[0.01].estimate)
    result = membership_inference(*scores(0, 200, 200, strengths), protocol=PUBLISHED, fprs=(0.01,))
    assert np.mean(honest) < 0.02
    assert result.per_score[result.selected].tpr_at_fpr[0.01].mean > 0.03


def test_published_procedure():
    members, nonmembers = scores(2, 300, 300)
    members["weak"][:3] = np.nan
    result = membership_inference(members, nonmembers, protocol=PUBLISHED, seed=4, fprs=(0.01, 0.05, 0.001))
    assert result.selected == "strong"
    assert result.notes == ("Score 'weak': 3 NaN replaced by 0, as published.",)
    assert (result.num_members, result.num_nonmembers, result.confidence) == (150, 150, None)
    assert [one.fpr for one in result.omitted_fprs] == [0.001]
    rng = np.random.default_rng(4)
    subsets = [rng.permutation(300)[:150] for _ in range(250)]
    for name in members:
        filled = np.nan_to_num(members[name])
        every = [published_metrics(filled[i], nonmembers[name][i], (0.01, 0.05)) for i in subsets]
        metrics = result.per_score[name]
        for fpr in (0.01, 0.05):
            values = [one.tpr_at_fpr[fpr] for one in every]
            assert metrics.tpr_at_fpr[fpr].mean == pytest.approx(np.mean(values))
            assert metrics.tpr_at_fpr[fpr].std == pytest.approx(np.std(values, ddof=1))
        assert metrics.auc.mean == pytest.approx(np.mean([one.auc for one in every]))
        assert metrics.balanced_accuracy.mean == pytest.approx(np.mean([one.accuracy for one in every]))
    encode(result)


def test_json():
    members, nonmembers = scores()
    plain = json.loads(encode(membership_inference(members, nonmembers)))
    strong = plain["per_score"]["strong"]
    assert set(strong["tpr_at_fpr"]["0.01"]) == {"estimate", "low", "high"}
    assert strong["auc"]["low"] < strong["auc"]["estimate"] < strong["auc"]["high"]
    assert plain["omitted_fprs"][0]["fpr"] == 0.001
    assert len(plain["curves"]["strong"]["fpr"]) == len(plain["curves"]["strong"]["tpr"])


def test_results_do_not_depend_on_the_dtype():
    members, nonmembers = scores()
    single = [{name: np.float32(values) for name, values in side.items()} for side in (members, nonmembers)]
    double = [{name: np.float64(values) for name, values in side.items()} for side in single]
    assert membership_inference(*single) == membership_inference(*double)


def test_errors():
    members, nonmembers = scores(n=20, m=20)
    with pytest.raises(InputError, match="Score 'weak' is there for only one"):
        membership_inference(members, {name: nonmembers[name] for name in ("strong", "middle")})
    with pytest.raises(
        InputError, match=r"Score 'strong' has shape \(19,\) for the members; expected \(20,\)"
    ):
        membership_inference(members | {"strong": members["strong"][1:]}, nonmembers)
    bad = members["strong"].copy()
    bad[[2, 11]] = np.nan
    with pytest.raises(
        InputError, match=r"Members' values of score 'strong' .* 2 of 20 samples \(indexes 2, 11\)"
    ):
        membership_inference(members | {"strong": bad}, nonmembers)
    with pytest.raises(InputError, match="Nonmembers' values of score 'strong'"):
        membership_inference(members, nonmembers | {"strong": bad})
    with pytest.raises(InputError, match="Score 'weak' is 1 for all 40 samples"):
        membership_inference(members | {"weak": np.ones(20)}, nonmembers | {"weak": np.ones(20)})
    with pytest.raises(InputError, match="Unknown score 'week'; did you mean weak"):
        membership_inference(members, nonmembers, groups={"a": ["week"]})
    with pytest.raises(InputError, match="Group 'a' holds no score"):
        membership_inference(members, nonmembers, groups={"a": []})
    with pytest.raises(InputError, match="no score for the members"):
        membership_inference({}, {})
    with pytest.raises(InputError, match="3 are too few; at least 4 members"):
        membership_inference({"a": np.arange(3.0)}, {"a": np.arange(9.0)})
    with pytest.raises(InputError, match="as many members as nonmembers; got 3 and 9"):
        membership_inference({"a": np.arange(3.0)}, {"a": np.arange(9.0)}, protocol=PUBLISHED)
    with pytest.raises(InputError, match=r"A false-positive rate of 0 is not in \(0, 1\]"):
        membership_inference(members, nonmembers, fprs=(0,))


def test_the_published_procedure_refuses_infinity():
    members, nonmembers = scores(n=20, m=20)
    members["weak"][3] = np.inf
    with pytest.raises(InputError, match="score 'weak' are NaN or infinite"):
        membership_inference(members, nonmembers, protocol=PUBLISHED)


def test_tpr_is_read_on_the_selection_third_only():
    members, nonmembers = scores(7, 150, 150, {"a": 0.5, "b": 0.5})
    (x, y), (rest_x, rest_y) = split(150, 150, 0)
    members["a"][x], nonmembers["a"][y] = np.arange(50.0) + 100, np.arange(50.0)
    members["b"][rest_x], nonmembers["b"][rest_y] = np.arange(100.0) + 100, np.arange(100.0)
    members["b"][x], nonmembers["b"][y] = np.arange(50.0), np.arange(50.0) + 100
    assert tpr_at_fpr(members["a"][x], nonmembers["a"][y]) == 1
    assert membership_inference(members, nonmembers, seed=0).selected == "a"

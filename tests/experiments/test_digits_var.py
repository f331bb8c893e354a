"""The built-in target is in the regime of the published models, and its verdicts are right."""

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.protocols import PUBLISHED
from jaxaudit.runtime.placement import Placement


@pytest.fixture(scope="module")
def target():
    return load_target("digits_var")


@pytest.fixture(scope="module")
def evidence(target, tmp_path_factory):
    sources = (open_source(f"digits:{split}") for split in ("members", "nonmembers"))
    return collect_evidence(
        target,
        *sources,
        tmp_path_factory.mktemp("evidence"),
        CollectConfig(scores=("all",), placement=Placement(128)),
    )


@pytest.fixture(scope="module")
def results(evidence):
    return assess(evidence, AssessConfig(seed=0))


def test_it_was_trained_on_the_members_alone(target):
    trained_on = target.provenance["trained_on"]
    source = open_source("digits:members")
    assert trained_on["source"] == "digits:members"
    assert trained_on["ids_sha256"] == source.fingerprint
    assert trained_on["images"] == len(source)


def test_it_reconstructs_what_it_has_not_seen(target):
    from jaxaudit.data import preprocess

    source = open_source("digits:nonmembers[:32]")
    images = np.stack([preprocess(source.load(i).image, target.preprocessing) for i in range(32)])
    error = np.square(np.asarray(target.decode(target.encode(images))) - images).mean()
    assert error < 0.05 * images.var()


@pytest.mark.slow
def test_it_leaks_as_much_as_the_published_models(results):
    membership = results.membership
    best = {view: membership.per_score[name] for view, name in membership.groups.items()}
    diff, cond = (best[view].tpr_at_fpr[0.01].estimate for view in ("diff", "cond"))
    assert 0.2 <= diff <= 0.9
    assert diff > cond
    assert best["diff"].auc.low > best["cond"].auc.estimate


def test_members_are_identified_and_with_few_of_them(results):
    assert results.finding.status == "trained_on"
    assert results.test.comparability == "comparable"
    assert results.power_curves["diff"].required.estimate <= 50


def test_the_test_does_not_accuse_nonmembers(evidence, results):
    assert results.null_control.rejection_rate.low <= 0.01
    table = evidence.read("nonmembers")
    features = np.stack(
        [table.scores[name] for name in evidence.request["feature_sets"]["default"]["diff"]], axis=1
    )
    order = np.random.default_rng(1).permutation(len(features))
    assert not stats.dataset_inference(features[order[::2]], features[order[1::2]]).rejected


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_published_protocol_runs_on_the_same_evidence(evidence):
    paper = assess(evidence, AssessConfig(protocol=PUBLISHED))
    assert paper.finding.status == "paper"
    assert len(paper.dataset_inference["diff"].names) == 18
    assert paper.power_curves["diff"].required.estimate <= 50

"""The built-in targets: what they were trained on, how large they are, and how much they give away."""

import pytest

from jaxaudit.audits.assess import assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.checkpoint import builtin_names, load_target
from jaxaudit.data import open_source
from jaxaudit.runtime.placement import Placement


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    def audit(name, config, count=0):
        part = f"?shuffle=0[:{count}]" if count else ""
        members, nonmembers = (open_source(f"digits:{half}{part}") for half in ("members", "nonmembers"))
        directory = tmp_path_factory.mktemp("evidence")
        return assess(collect_evidence(load_target(name), members, nonmembers, directory, config))

    return audit


@pytest.mark.parametrize("name", builtin_names())
def test_it_is_small_and_was_trained_on_the_members_alone(name):
    target, source = load_target(name), open_source("digits:members")
    assert 4 * target.num_params <= 3 * 2**20
    expected = {"source": source.spec, "ids_sha256": source.fingerprint, "images": len(source)}
    assert expected.items() <= target.provenance["trained_on"].items()


@pytest.mark.slow
def test_the_rar_leaks_as_much_as_the_published_models(audited):
    results = audited("digits_rar", CollectConfig(scores=("all",), placement=Placement(128)))
    rates = [each.tpr_at_fpr[0.01].estimate for each in results.membership.per_score.values()]
    assert 0.2 <= max(rates) <= 0.9
    assert results.finding.status == "trained_on"
    assert results.power_curves["cond"].required.estimate <= 50
    assert results.null_control.rejection_rate.low <= 0.01


@pytest.mark.slow
def test_the_mar_hides_single_pictures_better_than_the_set(audited):
    results = audited(
        "digits_mar", CollectConfig(scores=("*/min_k_30", "cond/loss"), placement=Placement(128)), 450
    )
    rates = [each.tpr_at_fpr for each in results.membership.per_score.values()]
    assert all(rate[0.01].estimate < 0.2 for rate in rates if rate)
    assert results.finding.status == "trained_on"
    assert results.null_control.rejection_rate.low <= 0.01


@pytest.mark.slow
def test_the_uvit_hides_single_pictures_and_not_the_set(audited):
    results = audited("digits_uvit", CollectConfig(access="gray-box", placement=Placement(128)))
    rates = [each.tpr_at_fpr[0.01].estimate for each in results.membership.per_score.values()]
    assert max(rates) < 0.2
    assert results.finding.status == "trained_on"
    assert results.null_control.rejection_rate.low <= 0.01

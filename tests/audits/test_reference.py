"""A model that has not seen the pictures, beside the one in question."""

import dataclasses

import pytest

from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import Reference, carry_out
from jaxaudit.audits.collect import CollectConfig, prepare
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.runtime.placement import Placement
from tests.tiny import rar_target

EASY = [
    17, 36, 39, 60, 127, 128, 149, 153, 154, 181, 198, 268, 269, 298, 317, 328, 334, 393, 407, 430,
    452, 477, 505, 568, 614, 626, 644, 659, 666, 678, 683, 697, 762, 795, 811, 819, 822, 824, 854, 866,
]  # fmt: skip
HARD = [
    8, 20, 41, 43, 66, 67, 89, 94, 215, 223, 241, 253, 258, 264, 310, 339, 361, 365, 396, 516,
    533, 534, 540, 574, 585, 611, 637, 681, 684, 688, 696, 740, 741, 759, 785, 839, 849, 860, 863, 888,
]  # fmt: skip
"""Rows of digits:nonmembers: of pairs of digits that look alike the one that `digits_rar` finds easier."""
RULES = AssessConfig(alpha=0.05, seed=0)


CONFIG = CollectConfig(scores=("cond/loss", "diff/loss", "diff/min_k_20"), placement=Placement(40))


def ask(sides, reference, out):
    """Evidence of `digits_var` and of the reference."""
    prepared = prepare(load_target("digits_var"), *sides, CONFIG)
    return carry_out(
        prepared, out / "evidence", RULES, reference=Reference(reference, *sides, out / "reference")
    )


@pytest.mark.slow
def test_pictures_that_any_model_finds_easier_are_no_members(tmp_path, unchecked):
    unseen = open_source("digits:nonmembers")  # by either model
    found, beside = ask((unseen.take(EASY), unseen.take(HARD)), load_target("digits_rar"), tmp_path)
    alone = assess(found, RULES)
    assert alone.gate.passed  # nothing of the pictures themselves shows the difference
    assert alone.finding.status == "trained_on"
    results = assess(found, RULES, reference=beside)
    assert results.finding.status == "not_testable"
    assert results.test.adjusted.p_value > 0.3


def test_members_are_found_beside_a_reference(tmp_path, unchecked):
    untrained = dataclasses.replace(rar_target(), provenance={"fingerprint": "another"})
    sides = tuple(open_source(f"digits:{half}[:40]") for half in ("members", "nonmembers"))
    found, beside = ask(sides, untrained, tmp_path)
    assert assess(found, RULES, reference=beside).finding.status == "trained_on"

"""Known members beside P and U: what is refused, what is planned, and a run that was killed."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import plan_audit
from jaxaudit.audits.collect import CollectConfig, prepare
from jaxaudit.audits.independent import counted_alike
from jaxaudit.audits.known import read_known
from jaxaudit.audits.known_pictures import prepare_known
from jaxaudit.audits.plan import check_plan, planned
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Table
from jaxaudit.protocols import PUBLISHED
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import silent
from tests.tiny import var_target

CONFIG = CollectConfig(scores=("diff/loss",), placement=Placement(16), shard_size=16)
KNOWN = "digits:members[40:80]"
RULES = AssessConfig()


@pytest.fixture(scope="module")
def prepared():
    sides = map(open_source, ("digits:members[:40]", "digits:nonmembers[:40]"))
    return prepare(var_target(), *sides, CONFIG)


@pytest.fixture(scope="module")
def members(prepared):
    return prepare_known(prepared, open_source(KNOWN), silent)


@pytest.fixture(scope="module")
def scored(prepared, members, tmp_path_factory):
    """Evidence of P and U, and of the known members, begun under a plan of all."""
    out, plan = tmp_path_factory.mktemp("scored"), plan_audit(prepared, RULES, known=members)
    return plan, *(each.score(out / name, plan=plan) for each, name in ((prepared, "a"), (members, "b")))


def test_a_run_killed_among_the_known_members_goes_on_and_another_is_refused(
    prepared, members, scored, tmp_path, monkeypatch
):
    submit, left = Scorer.submit, [1]

    def killed(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return submit(*arguments, **options)

    monkeypatch.setattr(Scorer, "submit", killed)
    with pytest.raises(KeyboardInterrupt):
        members.score(tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    monkeypatch.setattr(Scorer, "submit", submit)
    again, before = (each.read("members") for each in (members.score(tmp_path), scored[2]))
    np.testing.assert_array_equal(again.scores["diff/loss"], before.scores["diff/loss"])
    with pytest.raises(InputError, match="members.pixels differ"):
        prepare_known(prepared, open_source("digits:members[80:120]"), silent).score(tmp_path)


def test_they_are_planned(prepared, scored):
    plan, evidence, known = scored
    assert planned(plan, evidence, RULES.named(), known=known).beforehand
    with pytest.raises(InputError, match="not what the plan .*known is"):
        planned(plan, evidence, RULES.named())
    with pytest.raises(InputError, match="not what the plan .*known is"):
        check_plan(plan, plan_audit(prepared, RULES))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digits:members[40:69]", "29 known members are too few .* at least 30 are needed"),
        ("digits:members[39:80]", "1 known members are the same as, or altered copies of, published pict"),
        ("digits:nonmembers[38:80]", "2 known members are the same .* of, unpublished pictures .'digits/.*'"),
    ],
)
def test_what_tells_no_share_is_refused_before_anything_is_scored(prepared, spec, words):
    with pytest.raises(InputError, match=words):
        prepare_known(prepared, open_source(spec), silent)


def test_altered_copies_are_found_and_copies_of_each_other_count_once(prepared, tmp_path):
    source = open_source(KNOWN)
    images = np.stack([source.load(i).image for i in range(40)])
    twice = {"images": np.tile(images[:20], (2, 1, 1, 1)), "labels": np.tile(source.labels[:20], 2)}
    np.savez(tmp_path / "twice.npz", **twice)
    with pytest.raises(InputError, match="20 known members are too few"):
        prepare_known(prepared, open_source(f"npz:{tmp_path / 'twice.npz'}"), silent)
    images[3] = (prepared.pictures["members"].source.load(5).image * 0.9).astype(np.uint8)
    np.savez(tmp_path / "copy.npz", images=images, labels=source.labels)
    with pytest.raises(InputError, match="1 known members .* altered copies of, published pictures .'3' and"):
        prepare_known(prepared, open_source(f"npz:{tmp_path / 'copy.npz'}"), silent)


def test_evidence_that_was_measured_otherwise_or_of_the_same_pictures_is_refused(members, scored, tmp_path):
    _, evidence, known = scored
    assert len(read_known(known, evidence, 1)) == 40
    with pytest.raises(InputError, match="40 known members are the same .* published pictures"):
        read_known(evidence, evidence, 1)
    other = dataclasses.replace(members, request=members.request | {"seed": 1}).score(tmp_path / "other")
    with pytest.raises(InputError, match="were not scored as the pictures in question: seed is 0, now 1"):
        read_known(other, evidence, 1)
    with pytest.raises(InputError, match="protocol='paper' estimates no share"):
        assess(evidence, AssessConfig(protocol=PUBLISHED), known=known)


def test_where_pictures_count_in_groups_known_members_do():
    clusters, empty = np.array([0, 0, 1, 2, 2, 2]), np.zeros(6, "U1")
    scores = {"s": np.arange(6.0)}
    rest = {}, np.zeros((6, 1)), ("b",)
    table = Table(np.array(list("abcdef")), clusters, empty, clusters, empty, scores, *rest)
    assert counted_alike(table, 1).sample_ids.tolist() == ["a", "c", "d"]
    pairs = counted_alike(table, 2)
    assert (pairs.sample_ids.tolist(), pairs.scores["s"].tolist()) == (["a", "d"], [0.5, 3.5])

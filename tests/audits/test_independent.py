"""What hangs together counts as one, from the pictures to the page."""

import dataclasses
import importlib
import io

import numpy as np
import pytest
from rich.console import Console

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import carry_out
from jaxaudit.audits.collect import CollectConfig, collect_evidence, prepare
from jaxaudit.audits.independent import (
    independent,
    independent_sources,
    one_of_each,
    read_independent,
    without_copies,
)
from jaxaudit.audits.leaderboard import board_of
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Table
from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports import print_results
from jaxaudit.reports.audit.page import render_html
from jaxaudit.runtime.placement import Placement
from tests import tiny
from tests.results.round_trip import assert_round_trips

assess_module = importlib.import_module("jaxaudit.audits.assess")
CONFIG = CollectConfig(scores=("diff/loss", "diff/loss_ref"), placement=Placement(64, 1), shard_size=32)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """40 members, two of them with two altered copies each, and altered copies of three nonmembers."""
    seen, unseen = (open_source(f"digits:{half}?shuffle=8[:40]") for half in ("members", "nonmembers"))
    rows = [(seen, row) for row in range(40)] + [(seen, 0), (seen, 0), (seen, 7), (seen, 7)]
    rows += [(unseen, row) for row in range(3)]
    images = [source.load(row).image for source, row in rows]
    images[40:] = [(image * 0.9 + place).astype(np.uint8) for place, image in enumerate(images[40:])]
    path = tmp_path_factory.mktemp("sides") / "members.npz"
    labels = np.array([source.labels[row] for source, row in rows])
    np.savez(path, images=np.stack(images), labels=labels, shoot=np.arange(47) // 2, all=np.zeros(47, int))
    return f"npz:{path}", unseen


@pytest.fixture(scope="module")
def evidence(sides, tmp_path_factory):
    members, nonmembers = sides
    directory = tmp_path_factory.mktemp("evidence")
    return collect_evidence(tiny.var_target(), open_source(members), nonmembers, directory, CONFIG)


def test_evidence_says_what_hangs_together(evidence, sides):
    members, nonmembers = (evidence.read(split) for split in ("members", "nonmembers"))
    firsts = [members.sample_ids[members.clusters == number].tolist() for number in members.clusters]
    assert [ids[0] for ids in firsts] == [
        *map(str, range(40)), "0", "0", "7", "7", "44", "45", "46",
    ]  # fmt: skip
    assert members.copy_of.tolist() == [""] * 44 + list(sides[1].ids[:3])
    assert nonmembers.copy_of.tolist() == ["44", "45", "46"] + [""] * 37
    assert len(set(nonmembers.clusters.tolist())) == 40
    counted = read_independent(evidence)
    assert [table.sample_ids.tolist() for table in counted] == [
        members.sample_ids[:40].tolist(),
        nonmembers.sample_ids[3:].tolist(),
    ]


def test_a_verdict_and_metrics_count_clusters(evidence, sides):
    results = assess(evidence, AssessConfig(seed=0))
    assert (results.members.num_images, results.members.num_independent) == (47, 40)
    assert (results.nonmembers.num_images, results.nonmembers.num_independent) == (40, 37)
    assert results.members.copies == {str(44 + row): sides[1].ids[row] for row in range(3)}
    assert results.nonmembers.copies == {sides[1].ids[row]: str(44 + row) for row in range(3)}
    assert (results.test.num_p, results.test.num_u) == (40, 37)
    assert (results.dataset_inference["diff"].num_p, results.dataset_inference["diff"].num_u) == (40, 37)
    found = results.membership
    assert (found.num_members + found.num_selection_members, found.num_nonmembers) == (40, 25)
    assert [sum(each.members) for each in results.histograms.values()] == [40]
    assert_round_trips(results)
    printed = io.StringIO()
    print_results(results, Console(file=printed, width=200))
    for text in (printed.getvalue(), render_html(results)):
        assert "47 images (40 independent ones)" in text
        assert "40 images (37 independent ones)" in text
        assert "altered copies of pictures of the other side, which can stand for neither: 3" in text
        assert f"44: a copy of {sides[1].ids[0]}" in text


def test_the_published_procedure_takes_all(evidence):
    results = assess(evidence, AssessConfig(protocol=PUBLISHED))
    assert results.membership.num_members == 20  # half of as many as there are nonmembers
    assert (results.members.num_independent, results.members.copies) == (None, {})
    assert results.dataset_inference["diff"].num_p == 40  # as many as there are nonmembers


def test_no_copy_is_scored_where_single_pictures_are_told_apart(sides, tmp_path):
    members, nonmembers = sides
    found = board_of(tiny.var_target(), open_source(members), nonmembers, tmp_path / "board", CONFIG)
    assert (found.board.num_members, found.board.num_nonmembers) == (40, 37)
    assert Evidence.open(tmp_path / "board").num_rows == {"members": 40, "nonmembers": 37}
    with pytest.raises(InputError, match="Of 47 members only 20 are independent .*; at least 30 are needed"):
        board_of(tiny.var_target(), open_source(f"{members}?group=shoot"), nonmembers, tmp_path, CONFIG)


def test_pictures_that_stand_alone_are_the_same_request(sides):
    alone = prepare(tiny.var_target(), sides[1], open_source("digits:members[:40]"), CONFIG)
    assert alone.independent().request == alone.request


def test_studies_draw_from_independent_pictures(sides):
    members, nonmembers = sides
    seen, unseen = independent_sources(
        open_source(members), nonmembers, tiny.var_target().preprocessing, lambda *told: None
    )
    assert list(seen.ids) == [str(row) for row in range(40)]
    assert list(unseen.ids) == list(nonmembers.ids[3:])


def test_other_groups_are_another_request(evidence, sides):
    members, nonmembers = sides
    grouped = dataclasses.replace(open_source(f"{members}?group=shoot"), spec=members)
    with pytest.raises(InputError, match=r"of another request \(members.clusters differ\)"):
        collect_evidence(tiny.var_target(), grouped, nonmembers, evidence.directory, CONFIG)


def test_too_few_clusters_are_refused_before_anything_is_scored(sides, tmp_path):
    members, nonmembers = open_source(f"{sides[0]}?group=all"), sides[1]
    prepared = prepare(tiny.var_target(), members, nonmembers, CONFIG)
    with pytest.raises(InputError, match=r"Of 47 members only 1 are independent .*; at least 30 are needed"):
        carry_out(prepared, tmp_path / "evidence", AssessConfig())
    assert not (tmp_path / "evidence").exists()


def table(rng, clusters, copy_of=None):
    rows = len(clusters)
    return Table(
        np.array([f"{row}" for row in range(rows)]),
        rng.integers(0, 10, rows),
        np.array([f"d{row}" for row in range(rows)]),
        np.asarray(clusters),
        np.array([""] * rows if copy_of is None else copy_of),
        {"a": rng.normal(size=rows), "b": rng.normal(size=rows)},
        {"c": rng.normal(size=(rows, 3))},
        rng.normal(size=(rows, 2)),
        ("mean", "std"),
    )


@pytest.mark.parametrize("alone", [0, 1])
def test_clusters_are_means_of_equally_many_pictures(alone):
    rng = np.random.default_rng(0)
    p = table(rng, rng.permutation([*range(9), *range(9), *[3] * 5, *[5] * 2, *range(9, 9 + alone)]))
    u = table(rng, rng.permutation(np.arange(6).repeat(4)))
    r = 1 if alone else 2
    for full, found in zip((p, u), independent(p, u), strict=True):
        first = list(dict.fromkeys(full.clusters.tolist()))
        rows = [np.flatnonzero(full.clusters == cluster)[:r] for cluster in first]
        assert found.sample_ids.tolist() == [str(each[0]) for each in rows]
        assert found.labels.tolist() == [full.labels[each[0]] for each in rows]
        assert found.digests.tolist() == [f"d{each[0]}" for each in rows]
        for ours, theirs in (
            (found.scores["a"], full.scores["a"]),
            (found.scores["b"], full.scores["b"]),
            (found.features["c"], full.features["c"]),
            (found.blind, full.blind),
        ):
            np.testing.assert_allclose(ours, [sum(theirs[each]) / r for each in rows], rtol=1e-12)


@pytest.mark.parametrize("copies", [1, 3])
def test_single_pictures_are_the_first_of_each_cluster(copies):
    """Where all clusters are large, too, and a verdict counts their means."""
    rng = np.random.default_rng(0)
    p, u = (table(rng, rng.permutation(np.arange(9).repeat(copies))) for _ in range(2))
    for full, found in zip((p, u), one_of_each(p, u), strict=True):
        rows = np.sort(np.unique(full.clusters, return_index=True)[1])
        np.testing.assert_array_equal(found.scores["a"], full.scores["a"][rows])
        np.testing.assert_array_equal(found.features["c"], full.features["c"][rows])


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_copies_are_no_signal():
    """Every picture twice and nothing to find: a fit of 40 features knows the copies of what it has seen."""

    def told(sides, seed):
        scores = assess_module._scores(*sides, ["c"], {"c": "logistic"}, seed)
        return stats.membership_inference(*scores, seed=seed, fprs=(0.05,)).per_score["c"].auc.low > 0.5

    all_of_them, counted = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sides = []
        for _ in range(2):
            side = table(rng, np.arange(75).repeat(2))
            copies = rng.normal(size=(75, 40)).repeat(2, 0) + 1e-3 * rng.normal(size=(150, 40))
            sides.append(dataclasses.replace(side, features={"c": copies}))
        all_of_them += told(sides, seed)
        counted += told(one_of_each(*sides), seed)
    assert all_of_them > 40
    assert counted <= 5  # 2.5% of 60 are 1.5


def test_a_side_of_copies_only_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="All nonmembers are altered copies of pictures of the other side"):
        without_copies(table(rng, [0, 1]), table(rng, [0, 1], ["0", "1"]))

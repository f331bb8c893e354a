"""Matching from sources to sets, on archives of digits of which it is known what is wrong with them."""

import dataclasses

import numpy as np
import pytest

from jaxaudit.audits.fair_sets import MatchConfig, features, match_sets
from jaxaudit.audits.pictures import look
from jaxaudit.data import Preprocessing, open_source
from jaxaudit.errors import InputError
from jaxaudit.reports.fair_sets.rows import sentence
from jaxaudit.results import FairSets
from jaxaudit.runtime.progress import silent
from tests.experiments import captured
from tests.results.round_trip import read_back
from tests.stats.shifted import digit_pictures, draw_pools

SIZE = 220
VIEW = Preprocessing(image_size=8, resize="none", short_side=8, low=0.0, high=1.0)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """{side: spec}: P has a picture twice and one of U's; U is darker and has a class of its own."""
    folder = tmp_path_factory.mktemp("pools")
    images, labels = digit_pictures()
    chosen = [rows[:SIZE] for rows in draw_pools(0, 1.0)]
    for side, rows in zip("pu", chosen, strict=True):
        shown, classes = images[rows].copy(), labels[rows].copy()
        if side == "p":
            shown[1], shown[2] = shown[0], images[chosen[1][7]]
        else:
            classes[:5] = 17
        captions = [f"{'a' if row % 3 else 'the'} {WORDS[labels[row]]}" for row in rows.tolist()]
        np.savez(folder / f"{side}.npz", images=shown, labels=classes, captions=captions)
    return {side: f"npz:{folder / side}.npz" for side in "pu"}


def opened(pools):
    return open_source(pools["p"]), open_source(pools["u"])


@pytest.fixture(scope="module")
def made(pools, tmp_path_factory):
    """What the program makes of the pools: its folder, its output, and its results."""
    out = tmp_path_factory.mktemp("made") / "sets"
    done = captured.run("match_sets", pool_p=pools["p"], pool_u=pools["u"], out=out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout, read_back(out / "results.json", FairSets)


def test_what_became_of_every_picture_is_counted(made):
    _, _, results = made
    for pool in results.pools.values():
        left_out = pool.repeated + pool.copies + pool.other_class + pool.unmatched + pool.unbalanced
        assert pool.pictures == left_out + pool.matched == SIZE
    assert (results.pools["p"].repeated, results.pools["p"].copies) == (1, 1)
    assert (results.pools["u"].repeated, results.pools["u"].copies) == (0, 1)
    assert results.pools["u"].other_class == 5
    assert (results.image_size, results.num_classes) == (8, 10)


def test_pools_that_differed_are_alike_once_matched(made):
    _, _, results = made
    assert results.before.auc.low > 0.6
    assert not results.before.gate.passed
    assert results.after.gate.passed
    assert results.answer != "different"
    assert abs(results.balance[0].before) > 0.5
    assert abs(results.balance[0].after) < abs(results.balance[0].before) / 3
    assert set(results.features) == {"pictures", "captions"}
    assert f"pairs were made of {SIZE} pictures" in sentence(results)


def test_the_program_writes_sets_that_every_program_takes(made):
    out, printed, results = made
    assert f"--members=matched:{out}#p --nonmembers=matched:{out}#u" in " ".join(printed.split())
    names = {path.name for path in out.iterdir()}
    assert names >= {"matched.json", "results.json", "report.html", "odds.png", "balance.png"}
    p, u = (open_source(f"matched:{out}#{side}") for side in "pu")
    assert len(p) == len(u) == results.pools["p"].matched > 30
    assert not {"1", "2"} & set(p.ids)
    np.testing.assert_array_equal(p.labels, u.labels)
    p.load(0)


def test_a_killed_run_goes_on_and_other_pools_are_refused(pools, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_SHARD", 100)
    p, u = (look(source, VIEW, silent) for source in opened(pools))
    whole, read, rows_read = features.read_pool(p, VIEW, silent, None), features.batches, []

    def killed(source, rows, *arguments, **options):
        rows_read.append(rows)
        if len(rows_read) == 2:
            raise KeyboardInterrupt
        return read(source, rows, *arguments, **options)

    monkeypatch.setattr(features, "batches", killed)
    with pytest.raises(KeyboardInterrupt):
        features.read_pool(p, VIEW, silent, tmp_path)
    found = features.read_pool(p, VIEW, silent, tmp_path)
    assert rows_read == [range(100), range(100, 200), range(100, 200), range(200, SIZE)]
    assert found.keys() == whole.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(found[name], values)
    with pytest.raises(InputError, match="holds features of a pool of another request"):
        features.read_pool(u, VIEW, silent, tmp_path)


def columns(rng, size, **more):
    named = {"label": np.zeros(size, np.int32), "blind": rng.normal(0, 1, (size, 112)).astype(np.float32)}
    return {**named, "caption": np.array(['"a red dog"', '"a blue sea"'] * (size // 2)), **more}


def test_embeddings_of_both_pools_and_whole_captions_are_compared():
    rng = np.random.default_rng(0)
    p, u = (
        columns(rng, 20, embedding=rng.normal(0, 1, (20, 3)).astype(np.float32) @ np.ones((3, 7), np.float32))
        for _ in range(2)
    )
    found = features.features_of(p, u)
    assert found.kinds["embeddings"] == 1  # of seven channels, all alike
    assert found.names[-1] == "embedding_00"
    assert found.values.shape == (40, len(found.names)) == (40, sum(found.kinds.values()))
    assert found.left_out == ()


def test_captions_that_some_pictures_lack_are_left_out_and_said_to_be():
    rng = np.random.default_rng(0)
    p, u = columns(rng, 20), columns(rng, 20)
    p["caption"] = np.array(["null", '"a red dog"'] * 10)
    found = features.features_of(p, u)
    assert found.left_out == ("captions",)
    assert found.kinds == {"pictures": 112}
    found = features.features_of(p | {"caption": np.full(20, "null")}, u | {"caption": np.full(20, "null")})
    assert found.left_out == ()


def relabelled(source, labels):
    return dataclasses.replace(source, labels=np.full(len(source), labels, np.int32))


def test_pools_that_cannot_be_matched_are_refused(pools, tmp_path):
    p, u = opened(pools)
    with pytest.raises(InputError, match=r"no class in common \(npz:.*p.npz has \[3\] and npz:.* \[4\]\)"):
        match_sets(relabelled(p, 3), relabelled(u, 4))
    with pytest.raises(InputError, match="gives no class for 220 of 220 pictures, while others have one"):
        match_sets(p, relabelled(u, -1))
    with pytest.raises(InputError, match="The pools overlap entirely: all 220 pictures of P"):
        match_sets(p, p)
    with pytest.raises(InputError, match=r"89 pictures \(npz:.*\) are too few to be matched; at least 90"):
        match_sets(p.take(range(89)), u)
    with pytest.raises(InputError, match="the same label does not mean the same class"):
        match_sets(dataclasses.replace(p, num_classes=10), dataclasses.replace(u, num_classes=100))
    np.savez(tmp_path / "e.npz", **dict.fromkeys(p.ids, np.zeros((2, 4), np.float32)))
    embedded = open_source(f"{pools['p']}?embeddings={tmp_path / 'e.npz'}")
    with pytest.raises(InputError, match=r"e.npz has some of \[4\] channels and npz:.*u.npz has none"):
        match_sets(embedded, u)


@pytest.mark.parametrize("wrong", [{"margin": 0.5}, {"margin": float("nan")}, {"image_size": -1}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        MatchConfig(**wrong)

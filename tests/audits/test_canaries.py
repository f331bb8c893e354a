"""Coins of canaries: fair, each its own, sealed with the target, and no list that somebody made up."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats as reference

from jaxaudit.audits.canaries import (
    canary_record,
    check_coins_can_be_kept,
    coins_path,
    draw_canaries,
    flip_coins,
    read_coins,
    recorded_canaries,
)
from jaxaudit.audits.pictures import look
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.results import encode, replace, write_results
from jaxaudit.runtime.progress import silent
from tests import tiny

DIGESTS = [f"{number:064x}" for number in range(4000)]


def pictures(spec):
    return look(open_source(spec), tiny.DIGITS, silent)


def with_canaries(record):
    return dataclasses.replace(tiny.var_target(), provenance={"fingerprint": "tiny", "canaries": record})


def test_coins_are_fair_and_each_its_own():
    coins = flip_coins(DIGESTS, seed=1)
    assert reference.binomtest(int(coins.sum()), len(coins)).pvalue > 0.001
    pairs = coins[:-1] == coins[1:]
    assert reference.binomtest(int(pairs.sum()), len(pairs)).pvalue > 0.001
    assert reference.binomtest(int((coins == flip_coins(DIGESTS, 2)).sum()), len(coins)).pvalue > 0.001
    assert (flip_coins(DIGESTS[::-1], 1)[::-1] == coins).all()
    assert (flip_coins(DIGESTS[5:9], 1) == coins[5:9]).all()
    counts = [int(flip_coins(DIGESTS[start : start + 20], 1).sum()) for start in range(0, 4000, 20)]
    assert np.var(counts) == pytest.approx(5, rel=0.35)  # binomial: no exact halves


def test_pictures_that_hang_together_are_one_canary(tmp_path):
    """Neither a second copy nor a copy of what is trained on anyway is a canary."""
    source, others = open_source("digits:members[:8]"), pictures("digits:nonmembers[:5]")
    images = [source.load(row).image for row in range(8)]
    images += [images[2], open_source("digits:nonmembers[:5]").load(3).image]
    np.savez(tmp_path / "asked.npz", images=np.stack(images), labels=np.zeros(10, int))
    asked = pictures(f"npz:{tmp_path / 'asked.npz'}")
    coins, rows = draw_canaries(asked, others, seed=3)
    digests = [asked.digests[name] for name in asked.source.ids]
    assert coins.digests == tuple(digests[:8])
    assert rows == [row for row in range(8) if coins.included[row]]
    assert 0 < len(rows) < 8
    with pytest.raises(InputError, match=r"None of the 5 canaries of digits:nonmembers\[:5\] stands alone"):
        draw_canaries(others, others, seed=3)


def test_coins_are_those_the_target_commits_to(tmp_path):
    asked, others = pictures("digits:members[:30]"), pictures("digits:nonmembers[:5]")
    coins, _ = draw_canaries(asked, others, seed=0)
    target, path = with_canaries(canary_record(asked, coins)), coins_path(tmp_path / "target")
    assert path == tmp_path / "target-canaries.json"
    assert recorded_canaries(target)["images"] == 30
    with pytest.raises(InputError, match=r"target-canaries\.json cannot be read"):
        read_coins(path, target)
    write_results(path, coins)
    assert read_coins(path, target) == coins
    turned = replace(coins, included=(not coins.included[0], *coins.included[1:]))
    write_results(path, turned)
    with pytest.raises(InputError, match="does not hold the coins that tiny was trained with"):
        read_coins(path, target)
    check_coins_can_be_kept(turned, path)
    with pytest.raises(InputError, match="holds the coins of another training"):
        check_coins_can_be_kept(coins, path)
    check_coins_can_be_kept(coins, path, overwrite=True)


def test_an_exact_half_is_no_coin(tmp_path):
    """Though somebody commits to it."""
    asked, others = pictures("digits:members[:30]"), pictures("digits:nonmembers[:5]")
    coins, _ = draw_canaries(asked, others, seed=0)
    half = replace(coins, included=tuple(itertools.islice(itertools.cycle([True, False]), 30)))
    target = with_canaries(canary_record(asked, half))
    write_results(tmp_path / "coins.json", half)
    with pytest.raises(InputError, match="a list that no coins of seed 0 have made: where it is fixed how"):
        read_coins(tmp_path / "coins.json", target)


def test_a_target_without_canaries_has_no_bound():
    with pytest.raises(InputError, match="no list of members and nonmembers can stand for them"):
        recorded_canaries(tiny.var_target())


def test_the_record_does_not_tell_the_coins():
    asked, others = pictures("digits:members[:30]"), pictures("digits:nonmembers[:5]")
    records = []
    for seed in (0, 1):
        coins, _ = draw_canaries(asked, others, seed=seed)
        records.append(canary_record(asked, coins))
        assert encode(coins) != b""
    assert {name for name in records[0] if records[0][name] != records[1][name]} == {"coins_sha256"}

"""Canaries: pictures that are put into a training set, each by a fair coin of its own.

A canary stands alone: of pictures that hang together (`jaxaudit.data.clusters`) the first is one and the
others are left out of the training, and so are altered copies of pictures that are trained on anyway. Its
coin is a bit of the sha256 of a seed and its pixels, so it depends on no other canary and on no order.

The target's record, which is sealed, names the canaries and a commitment, the sha256 of the coins; these are
in a file beside the target. Whoever scores reads the first, whoever judges the scores also the second.

Axes: m canaries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxaudit.audits.pictures import Pictures
from jaxaudit.data import find_clusters
from jaxaudit.errors import InputError
from jaxaudit.paths import Location
from jaxaudit.results import CanaryCoins, encode, read_results
from jaxaudit.targets import Target


def coins_path(target: str | Path) -> Path:
    """Where the coins of a target in this folder are: TARGET-canaries.json, beside it."""
    folder = Path(target)
    if not folder.name:  # "."
        folder = folder.absolute()
    return folder.with_name(f"{folder.name}-canaries.json")


def flip_coins(digests: Sequence[str], seed: int) -> Bool[np.ndarray, " m"]:
    """[m] a fair coin for each canary, by the digest of its pixels and nothing else."""
    hashes = (hashlib.sha256(f"coin\0{seed}\0{digest}".encode()).digest() for digest in digests)
    return np.array([bool(found[0] & 1) for found in hashes], bool)


def draw_canaries(asked: Pictures, others: Pictures, seed: int) -> tuple[CanaryCoins, list[int]]:
    """The coins of those pictures that can be canaries, and the rows of `asked` that are to be trained on.

    Args:
      asked: pictures to make canaries of.
      others: those that are trained on whatever the coins say.
      seed: of the coins.

    Raises:
      InputError: if no picture of `asked` stands alone.
    """
    clusters, _ = find_clusters(asked.seen, others.seen)
    rows = clusters.independent
    if not rows:
        raise InputError(
            f"None of the {len(asked.source)} canaries of {asked.source.spec} stands alone: all are copies "
            f"of pictures of {others.source.spec}, which are trained on anyway."
        )
    digests = [asked.digests[asked.source.ids[row]] for row in rows]
    included = flip_coins(digests, seed)
    coins = CanaryCoins(seed=seed, digests=tuple(digests), included=tuple(included.tolist()))
    return coins, [row for row, inside in zip(rows, included, strict=True) if inside]


def check_coins_can_be_kept(coins: CanaryCoins, path: Path, *, overwrite: bool = False) -> None:
    """Raises InputError if there are other coins in that file, which would be lost, unless `overwrite`."""
    if path.exists() and not overwrite and path.read_bytes() != encode(coins):
        raise InputError(f"{path} holds the coins of another training; move it, or say overwrite.")


def canary_record(asked: Pictures, coins: CanaryCoins) -> dict[str, Any]:
    """What the target's record says of its canaries: which they are, and the commitment; JSON-able."""
    return {**asked.request, "images": len(coins.digests), "coins_sha256": _sha256(coins)}


def recorded_canaries(target: Target) -> Mapping[str, Any]:
    """The `canary_record` of a target.

    Raises:
      InputError: if it has none.
    """
    found = target.provenance.get("canaries")
    if not isinstance(found, Mapping):
        raise InputError(
            f"{target.name} was trained without --canaries, and no list of members and nonmembers can stand "
            "for them: without a coin for every picture the guesses depend on one another, and there is no "
            "bound."
        )
    return found


def read_coins(path: Location, target: Target) -> CanaryCoins:
    """The coins that the target was trained with.

    Raises:
      InputError: if there is no such file, it is not the one the target's record commits to, or it holds what
        no coin has said.
    """
    coins = read_results(path, CanaryCoins)
    if _sha256(coins) != recorded_canaries(target)["coins_sha256"]:
        raise InputError(f"{path} does not hold the coins that {target.name} was trained with.")
    if len(coins.digests) != len(coins.included) or tuple(coins.included) != tuple(
        flip_coins(coins.digests, coins.seed).tolist()
    ):
        raise InputError(
            f"{path} holds a list that no coins of seed {coins.seed} have made: where it is fixed how many "
            "canaries are in, the guesses depend on one another, and there is no bound."
        )
    return coins


def _sha256(coins: CanaryCoins) -> str:
    return hashlib.sha256(encode(coins)).hexdigest()

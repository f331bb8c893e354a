"""All scores of several targets side by side: the evidence of each, then what its scores give away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.audits import tested
from jaxaudit.audits.collect import CollectConfig, prepare
from jaxaudit.data import Clusters, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence, Table
from jaxaudit.paths import Location
from jaxaudit.results import Gate, TargetBoard
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_FEWEST = 30
"""Pictures of a side; of fewer no rate would be told."""


def check_enough(members: Source, nonmembers: Source, *, num_samples: int = 0) -> None:
    """Refuses sets that scores cannot be compared on.

    Args:
      members, nonmembers: all the pictures.
      num_samples: pictures of each side that will be drawn; 0 takes all.

    Raises:
      InputError: with the number that is needed at least.
    """
    for side, source in zip(SPLITS, (members, nonmembers), strict=True):
        count = min(len(source), num_samples or len(source))
        if count < _FEWEST:
            raise InputError(
                f"{count} {side} ({source.spec}) are too few to compare scores on; at least {_FEWEST} are "
                "needed, and a thousand for a TPR at 0.1% FPR."
            )


def board_of(
    target: Target,
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: CollectConfig,
    *,
    progress: Progress = silent,
) -> TargetBoard:
    """Every score of a target that `config` asks for, by what it gives away and what it costs.

    Single pictures are told apart here; of those that hang together the first one is, and altered copies of
    pictures of the other side are left out (`jaxaudit.audits.independent`).

    Args:
      target: what is attacked.
      members, nonmembers: pictures it was, and was not, trained on.
      directory: keeps its evidence; that of an earlier run is continued.
      config: how evidence is collected.
      progress: hears of pictures.

    Raises:
      InputError: as `jaxaudit.audits.collect.collect_evidence`, or if too few of either side are independent.
    """
    prepared = prepare(target, members, nonmembers, config, progress=progress)
    _check_independent(prepared.clusters)
    prepared = prepared.independent()
    evidence = prepared.score(directory, progress=progress)
    p, u = evidence.read("members"), evidence.read("nonmembers")
    board = stats.leaderboard(
        *_scores(p, u, evidence.request["score_info"], seed=config.seed),
        prepared.scorer.passes(),
        fitted=prepared.scorer.plan.fitted,
        seed=config.seed,
    )
    return TargetBoard(
        target=tested.target(evidence),
        board=board,
        access={score.name: score.access for score in prepared.scorer.plan.scores},
        gate=_gate(evidence, p, u, seed=config.seed),
        skipped={split: dict(pictures.looked.skipped) for split, pictures in prepared.pictures.items()},
    )


def _check_independent(clusters: Mapping[str, Clusters]) -> None:
    for side, of_side in clusters.items():
        if of_side.num_independent < _FEWEST:
            raise InputError(
                f"Of {len(of_side.firsts)} {side} only {of_side.num_independent} are independent (copies, "
                f"and what was declared to belong together, count as one); at least {_FEWEST} are needed to "
                "compare scores on."
            )


def _scores(
    members: Table, nonmembers: Table, info: Mapping[str, Any], *, seed: int
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """All scores of both sides; those that must be fitted are."""
    sides = dict(members.scores), dict(nonmembers.scores)
    for name, features in members.features.items():
        fit = info[name].get("fit", "logistic")
        fitted = stats.fitted_scores(features, nonmembers.features[name], fit=fit, seed=seed)
        for side, values in zip(sides, fitted, strict=True):
            side[name] = values
    return sides


def _gate(evidence: Evidence, members: Table, nonmembers: Table, *, seed: int) -> Gate:
    classes = evidence.request["target"]["num_classes"]
    labels = (members.labels, nonmembers.labels) if classes else (None, None)
    return stats.blind_gate(
        members.blind, nonmembers.blind, p_labels=labels[0], u_labels=labels[1], seed=seed
    )

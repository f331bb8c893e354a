"""From evidence on disk to the studies of the CDI paper: the same for every target, without the model.

A study draws P from the members and U from the nonmembers of an evidence folder, again and again, and reports
how often P is identified (`jaxaudit.stats.cdi.studies`). It measures the method; it is no verdict on
anything. Pictures that hang together are one to draw, as in a verdict (`jaxaudit.audits.independent`); the
published procedure draws from all.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.audits.independent import independent, without_copies
from jaxaudit.data.duplicates import check_disjoint
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import SPLITS, Evidence, Table
from jaxaudit.protocols import DEFAULT, PROCEDURES, PUBLISHED, Procedure
from jaxaudit.results import NullStudyResults, Record, StudiedTarget, StudyResults
from jaxaudit.stats.cdi import studies
from jaxaudit.stats.cdi.feature_sets import ablation_sets, access_sets
from jaxaudit.stats.cdi.null import NULL_KINDS, false_positive_rate
from jaxaudit.stats.cdi.sampling import StudyConfig
from jaxaudit.stats.welch import check_permutations

_EQUAL, _UNEQUAL = ((20, 20), (100, 100), (500, 500)), ((100, 20), (20, 100), (30, 300))


@dataclasses.dataclass(frozen=True)
class StudiesConfig:
    """What a study is made of.

    Attributes:
      draws: procedure, alpha, repetitions, confidence and seed.
      power: share of draws that must identify P for a number of samples to be enough.
      scores: names or patterns of the features; none: those fixed for dataset inference when the evidence was
        collected.
      sizes: of P; none: the published ones.
    """

    draws: StudyConfig = dataclasses.field(default_factory=StudyConfig)
    power: float = 0.8
    scores: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()


def run_study(
    study: str,
    evidence: Sequence[Evidence],
    config: StudiesConfig = StudiesConfig(),
    *,
    progress: Callable[[str], None] = lambda target: None,
) -> StudyResults:
    """One of `STUDIES` on every target.

    Args:
      study: its name.
      evidence: one folder per target.
      config: see `StudiesConfig`.
      progress: called with the name of the target before it is studied.

    Raises:
      InputError: if the study is unknown or does not fit the scores, a pattern names no score, evidence is
        incomplete, all pictures of a side are copies of the other's, a feature is constant or not finite, or
        there are too few samples.
    """
    if study not in STUDIES:
        raise unknown_name("study", study, STUDIES)
    targets = []
    for name, folder in zip(_labels(evidence), evidence, strict=True):
        progress(name)
        members, nonmembers = _read(folder, config)
        names = _features(folder, members, config)
        p, u = ({score: table.scores[score] for score in names} for table in (members, nonmembers))
        found: dict[str, Any] = {"required": None, "sets": None, "points": (), "curves": ()}
        targets.append(
            StudiedTarget(
                target=name,
                num_members=len(members),
                num_nonmembers=len(nonmembers),
                features=tuple(names),
                **found | STUDIES[study]((p, u), folder, config),
            )
        )
    return StudyResults(
        study=study,
        procedure=config.draws.procedure.drawn_as.name,
        alpha=config.draws.alpha,
        repetitions=config.draws.repetitions,
        confidence=config.draws.confidence,
        seed=config.draws.seed,
        power=config.power,
        targets=tuple(targets),
    )


def run_null_study(
    config: StudiesConfig = StudiesConfig(), *, progress: Callable[[str], None] = lambda what: None
) -> NullStudyResults:
    """How often each procedure accuses where nothing was learned, in simulations.

    Args:
      config: alpha, repetitions, confidence and seed count.
      progress: called with each setting before it is simulated.

    Raises:
      InputError: if alpha is below what the permutations of a procedure can show.
    """
    for procedure in PROCEDURES.values():
        if procedure.permutations:
            check_permutations(config.draws.alpha, procedure.permutations)
    rates = []
    for procedure in PROCEDURES.values():
        for kind in NULL_KINDS:
            for n, m in _null_sizes(procedure):
                progress(f"{procedure.name}, {kind}, {n} against {m}")
                rate = false_positive_rate(
                    procedure,
                    kind=kind,
                    num_p=n,
                    num_u=m,
                    alpha=config.draws.alpha,
                    repetitions=config.draws.repetitions,
                    confidence=config.draws.confidence,
                    seed=config.draws.seed,
                )
                rates.append(rate)
    return NullStudyResults(
        alpha=config.draws.alpha,
        repetitions=config.draws.repetitions,
        confidence=config.draws.confidence,
        seed=config.draws.seed,
        rates=tuple(rates),
    )


def _null_sizes(procedure: Procedure) -> tuple[tuple[int, int], ...]:
    """Sizes of P and U to simulate: equal ones, others if it takes them, few where every one is refitted."""
    unequal = () if procedure.equal_sizes else _UNEQUAL
    return (*_EQUAL[:2], *unequal[:2]) if procedure.refitted else (*_EQUAL, *unequal)


def _labels(evidence: Sequence[Evidence]) -> list[str]:
    """The names of the targets, with the folder where two have one name."""
    names = [Path(folder.run["target"]).name for folder in evidence]
    return [
        name if names.count(name) == 1 else f"{name} ({folder.directory})"
        for name, folder in zip(names, evidence, strict=True)
    ]


def _read(folder: Evidence, config: StudiesConfig) -> tuple[Table, Table]:
    members, nonmembers = (folder.read(split) for split in SPLITS)
    check_disjoint(*(dict(zip(x.sample_ids, x.digests, strict=True)) for x in (members, nonmembers)))
    if config.draws.procedure is PUBLISHED.procedure:
        return members, nonmembers
    return independent(*without_copies(members, nonmembers))


def _features(folder: Evidence, table: Table, config: StudiesConfig) -> list[str]:
    request = folder.request
    if config.scores:
        names: dict[str, None] = {}
        for pattern in config.scores:
            found = fnmatch.filter(table.scores, pattern)
            if not found:
                raise unknown_name("score in the evidence", pattern, table.scores)
            names.update(dict.fromkeys(found))
        return list(names)
    protocol = PUBLISHED if config.draws.procedure is PUBLISHED.procedure else DEFAULT
    sets = request["feature_sets"][protocol.name]
    if not sets:
        raise InputError(
            f"{folder.directory} has no features for the procedure {config.draws.procedure.name!r}; "
            "name scores."
        )
    return sets[request["main_view"] if request["main_view"] in sets else next(iter(sets))]


_Sides = tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


def _p_value(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
    draws = config.draws
    curve = stats.identification_power(
        *sides,
        procedure=draws.procedure,
        alpha=draws.alpha,
        power=config.power,
        repetitions=draws.repetitions,
        grid=config.sizes or stats.PUBLISHED_GRID,
        confidence=draws.confidence,
        seed=draws.seed,
    )
    return {"required": curve.required, "points": studies.curve_points(curve, draws.procedure.name)}


def _set_study(
    function: Callable[..., Sequence[Record]], key: str = "points"
) -> Callable[..., dict[str, Any]]:
    def study(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
        sizes = config.sizes or studies.PUBLISHED_SIZES
        return {key: function(*sides, config.draws, sizes=sizes)}

    return study


def _access(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
    access = {name: facts["access"] for name, facts in folder.request["score_info"].items()}
    return _feature_study(sides, access_sets(sides[0], access), config)


def _features_study(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
    return _feature_study(sides, ablation_sets(sides[0]), config)


def _feature_study(sides: _Sides, sets: Mapping[str, Sequence[str]], config: StudiesConfig) -> dict[str, Any]:
    sizes = config.sizes or studies.PUBLISHED_SIZES
    return {
        "sets": {name: tuple(members) for name, members in sets.items()},
        "points": studies.ablation(*sides, sets, config.draws, sizes=sizes),
    }


STUDIES: Mapping[str, Callable[[_Sides, Evidence, StudiesConfig], dict[str, Any]]] = {
    "p_value": _p_value,
    "contamination": _set_study(studies.contamination),
    "imbalance": _set_study(studies.imbalance),
    "access": _access,
    "features": _features_study,
    "set_membership": _set_study(studies.set_membership),
    "roc": _set_study(studies.identification_roc, "curves"),
}
"""The studies by name."""

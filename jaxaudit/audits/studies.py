"""From evidence on disk to the studies of the CDI paper: the same for every target, without the model.

A study draws P from the members and U from the nonmembers of an evidence folder, again and again, and reports
how often P is identified (`jaxaudit.stats.cdi.studies`). It measures the method; it is no verdict on
anything.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.data.duplicates import check_disjoint
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import Evidence, Table
from jaxaudit.stats.cdi import studies as cdi_studies
from jaxaudit.stats.cdi.feature_sets import ablation_sets, access_sets
from jaxaudit.stats.cdi.null import NULL_KINDS, false_positive_rate
from jaxaudit.stats.power import QUANTILES

STUDIES_FORMAT = 1
_EQUAL, _UNEQUAL = ((20, 20), (100, 100), (500, 500)), ((100, 20), (20, 100), (30, 300))
_NULL_SIZES = {"split": (*_EQUAL, *_UNEQUAL), "permutation": (*_EQUAL[:2], *_UNEQUAL[:2]), "paper": _EQUAL}
_SPLITS = ("members", "nonmembers")


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

    draws: cdi_studies.StudyConfig = dataclasses.field(default_factory=cdi_studies.StudyConfig)
    power: float = 0.8
    scores: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()


def run_study(
    study: str,
    evidence: Sequence[Evidence],
    config: StudiesConfig = StudiesConfig(),
    *,
    progress: Callable[[str], None] = lambda target: None,
) -> dict[str, Any]:
    """One of `STUDIES` on every target, as plain JSON-able data.

    Args:
      study: its name.
      evidence: one folder per target.
      config: see `StudiesConfig`.
      progress: called with the name of the target before it is studied.

    Returns:
      {"study", "targets": [{"target", "features", "points" or "curves", ...}], and what config holds}.

    Raises:
      InputError: if the study is unknown or does not fit the scores, a pattern names no score, evidence is
        incomplete, a feature is constant or not finite, or there are too few samples.
    """
    if study not in STUDIES:
        raise unknown_name("study", study, STUDIES)
    targets = []
    for name, folder in zip(_labels(evidence), evidence, strict=True):
        progress(name)
        tables = tuple(folder.read(split) for split in _SPLITS)
        check_disjoint(*(dict(zip(table.sample_ids, table.digests, strict=True)) for table in tables))
        names = _features(folder, tables[0], config)
        members, nonmembers = ({score: table.scores[score] for score in names} for table in tables)
        targets.append(
            {
                "target": name,
                "num_members": len(tables[0]),
                "num_nonmembers": len(tables[1]),
                "features": names,
                **STUDIES[study]((members, nonmembers), folder, config),
            }
        )
    draws = dataclasses.asdict(config.draws)
    return {"format": STUDIES_FORMAT, "study": study, **draws, "power": config.power, "targets": targets}


def run_null_study(
    config: StudiesConfig = StudiesConfig(), *, progress: Callable[[str], None] = lambda what: None
) -> dict[str, Any]:
    """How often each procedure accuses where nothing was learned, in simulations; as plain data.

    Args:
      config: alpha, repetitions, confidence and seed count.
      progress: called with each setting before it is simulated.
    """
    rates = []
    for procedure in stats.PROCEDURES:
        for kind in NULL_KINDS:
            for n, m in _NULL_SIZES[procedure]:
                progress(f"{procedure}, {kind}, {n} against {m}")
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
                rates.append(rate.to_dict())
    return {
        "format": STUDIES_FORMAT,
        "study": "false_positives",
        **dataclasses.asdict(config.draws),
        "rates": rates,
    }


def study_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results of a study as flat rows, one per setting; intervals are three columns, curves left out."""
    if results["study"] == "false_positives":
        return [_flat(rate) for rate in results["rates"]]
    return [
        {"target": target["target"], **_flat(row)}
        for target in results["targets"]
        for row in target.get("points") or target["curves"]
    ]


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in record.items():
        if name == "p_quantiles":
            row.update({f"p_{level}": (value or {}).get(str(level)) for level in QUANTILES})
        elif isinstance(value, Mapping):
            row.update({name: value["estimate"], f"{name}_low": value["low"], f"{name}_high": value["high"]})
        elif not isinstance(value, list):
            row[name] = value
    return row


def _labels(evidence: Sequence[Evidence]) -> list[str]:
    """The names of the targets, with the folder where two have one name."""
    names = [Path(folder.run["target"]).name for folder in evidence]
    return [
        name if names.count(name) == 1 else f"{name} ({folder.directory})"
        for name, folder in zip(names, evidence, strict=True)
    ]


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
    sets = request["feature_sets"]["paper" if config.draws.procedure == "paper" else "default"]
    if not sets:
        raise InputError(
            f"{folder.directory} has no features for the procedure {config.draws.procedure!r}; name scores."
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
    points = cdi_studies.curve_points(curve, draws.procedure)
    return {"required": curve.required.to_dict(), "points": _plain(points)}


def _set_study(
    function: Callable[..., Sequence[stats.Record]], key: str = "points"
) -> Callable[..., dict[str, Any]]:
    def study(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
        sizes = config.sizes or cdi_studies.PUBLISHED_SIZES
        return {key: _plain(function(*sides, config.draws, sizes=sizes))}

    return study


def _access(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
    access = {name: facts["access"] for name, facts in folder.request["score_info"].items()}
    return _feature_study(sides, access_sets(sides[0], access), config)


def _features_study(sides: _Sides, folder: Evidence, config: StudiesConfig) -> dict[str, Any]:
    return _feature_study(sides, ablation_sets(sides[0]), config)


def _feature_study(sides: _Sides, sets: Mapping[str, Sequence[str]], config: StudiesConfig) -> dict[str, Any]:
    sizes = config.sizes or cdi_studies.PUBLISHED_SIZES
    return {
        "sets": {name: list(members) for name, members in sets.items()},
        "points": _plain(cdi_studies.ablation(*sides, sets, config.draws, sizes=sizes)),
    }


def _plain(records: Sequence[stats.Record]) -> list[dict[str, Any]]:
    return [record.to_dict() for record in records]


STUDIES: Mapping[str, Callable[[_Sides, Evidence, StudiesConfig], dict[str, Any]]] = {
    "p_value": _p_value,
    "contamination": _set_study(cdi_studies.contamination),
    "imbalance": _set_study(cdi_studies.imbalance),
    "access": _access,
    "features": _features_study,
    "set_membership": _set_study(cdi_studies.set_membership),
    "roc": _set_study(cdi_studies.identification_roc, "curves"),
}
"""The studies by name."""

"""From a target, its training pictures and unseen ones to where memorisation sits.

DIRECTORY/units      the map of the training pictures (`localize`)
DIRECTORY/control    that of as many unseen ones
"""

from __future__ import annotations

import dataclasses

from jaxaudit.audits.localization.pipeline import LocalizeConfig, localize
from jaxaudit.audits.localization.running import pool
from jaxaudit.data import Source
from jaxaudit.evidence import SPLITS, UNITS, read_manifest
from jaxaudit.paths import Location, as_place
from jaxaudit.results import LocalizationResults, TargetFacts
from jaxaudit.results.localization import ViewsFacts
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats.inputs import check_fraction
from jaxaudit.stats.localization import localization
from jaxaudit.targets import Target


def localize_memorization(
    target: Target,
    members: Source,
    nonmembers: Source | None,
    directory: Location,
    config: LocalizeConfig,
    *,
    top: float = 0.01,
    progress: Progress = silent,
) -> LocalizationResults:
    """Where UnitMem is high, which pictures it comes from, and whether unseen pictures would do the same.

    Args:
      target: what is measured.
      members: pictures it was trained on.
      nonmembers: comparable ones that it was not, of which as many are taken; None for no control.
      directory: created if missing; a killed run goes on from there.
      config: see `LocalizeConfig`.
      top: share of the units that are reported as the top ones.
      progress: hears of pictures.

    Raises:
      InputError: as `localize`, or if `top` is not between 0 and 1.
    """
    check_fraction(top, "top")
    sides = dict(zip(SPLITS, (members, nonmembers), strict=True))
    directory = as_place(directory)

    units = localize(target, members, directory / "units", config, progress=progress)
    pooled = None
    if nonmembers is not None:
        alike = dataclasses.replace(config, subsets=(min(1.0, len(units.ids) / len(nonmembers)),))
        unseen = localize(target, nonmembers, directory / "control", alike, progress=progress)
        pooled = pool(units, unseen)
    request = read_manifest(directory / "units", UNITS).request
    return LocalizationResults(
        target=TargetFacts(name=target.name, **request["target"]),
        source=request["source"],
        ids_sha256=request["ids_sha256"],
        control_source=None if nonmembers is None else nonmembers.spec,
        skipped={split: source.skipped for split, source in sides.items() if source is not None},
        subsets=tuple(request["subsets"]),
        seed=request["seed"],
        views=ViewsFacts(**request["views"]),
        timestep=request["timestep"],
        mask_ratio=request["mask_ratio"],
        precision=request["precision"],
        versions=request["versions"],
        localization=localization(units, top=top, pooled=pooled),
    )

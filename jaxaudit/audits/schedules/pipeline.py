"""From a target and two sources to results."""

from __future__ import annotations

from jaxaudit.audits.schedules.assess import assess_walks
from jaxaudit.audits.schedules.walk import DEFAULTS, WalkConfig, walk_pictures
from jaxaudit.data import Source
from jaxaudit.paths import Location
from jaxaudit.results import ScheduleResults
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


def attack_by_schedules(
    target: Target,
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: WalkConfig = DEFAULTS,
    *,
    progress: Progress = silent,
) -> ScheduleResults:
    """What walks through a diffusion model give away of its training pictures.

    Args and errors are those of `walk_pictures` and `assess_walks`.
    """
    walked = walk_pictures(target, members, nonmembers, directory, config, progress=progress)
    return assess_walks(walked, progress=progress)

"""Two sets of pictures that are to be compared: what is refused before anything is measured on them."""

from __future__ import annotations

from collections.abc import Mapping

from jaxaudit import stats
from jaxaudit.attacks.registry import INFERENCE
from jaxaudit.audits.assess import AssessConfig
from jaxaudit.data import Clusters, Source, check_labelled_alike, resolve_labels
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS
from jaxaudit.targets import Target

_TO_SELECT_AND_REPORT = 4  # two to choose the best score on, two to report it on
_FOLDS = 5  # of the published CDI


def check_sides(target: Target, members: Source, nonmembers: Source) -> None:
    """Makes sure that the model is told the same kind of thing about both sides.

    Raises:
      InputError: if labels do not mean the target's classes, or one side has one label for all.
    """
    sides = [resolve_labels(source, target.num_classes) for source in (members, nonmembers)]
    check_labelled_alike(*((side.spec, side.labels) for side in sides))


def check_sizes(
    target: Target, members: Source, nonmembers: Source, config: AssessConfig, *, num_samples: int = 0
) -> None:
    """Refuses sets with which `jaxaudit.audits.assess` has no test that could reject.

    Args:
      target: what will be audited.
      members, nonmembers: all the pictures.
      config: how scores will become a verdict.
      num_samples: pictures of each side that will be drawn; 0 takes all.

    Raises:
      InputError: with the number that is needed at least.
    """
    counts = [min(len(source), num_samples or len(source)) for source in (members, nonmembers)]
    needed = _fewest(target, config)
    for side, source, count, fewest in zip(SPLITS, (members, nonmembers), counts, needed, strict=True):
        if count < fewest:
            raise InputError(
                f"{count} {side} ({source.spec}) are too few for any verdict at alpha={config.alpha:g}: at "
                f"least {fewest} are needed, and hundreds where models leak little."
            )


def check_independent(target: Target, clusters: Mapping[str, Clusters], config: AssessConfig) -> None:
    """Refuses sets in which so much hangs together that `jaxaudit.audits.assess` has no test left.

    Raises:
      InputError: with the number that is needed at least.
    """
    if not config.protocol.gives_verdict:
        return
    counts = [clusters[side].num_independent for side in SPLITS]
    for side, count, fewest in zip(SPLITS, counts, _fewest(target, config), strict=True):
        total = len(clusters[side].firsts)
        if count < min(fewest, total):
            raise InputError(
                f"Of {total} {side} only {count} are independent (copies, and what was declared to belong "
                f"together, count as one); at least {fewest} are needed for a verdict at "
                f"alpha={config.alpha:g}."
            )


def _fewest(target: Target, config: AssessConfig) -> tuple[int, int]:
    """Members and nonmembers with which every test can reject; CDI's null control halves nonmembers twice."""
    cdi, permutable = INFERENCE[target.kind] == "cdi", stats.fewest_permutable(config.alpha)
    if not config.protocol.gives_verdict:
        fewest = max(_FOLDS if cdi else _TO_SELECT_AND_REPORT, permutable)
        return fewest, fewest
    return stats.FEWEST, max(stats.FEWEST, 4 * permutable if cdi else 0)

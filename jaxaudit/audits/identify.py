"""An owner's question, from two folders of pictures to an answer: was this model trained on mine?

P are pictures the owner has published, U pictures from the same hand that nobody else has. Beyond what an
audit checks (`collect_evidence`, `assess`) nothing is said where

  - a picture of P is in U, exactly or nearly: then U is not unseen, or what is compared is not two sets;
  - there are fewer pictures than any test could reject with.

An answer is "identified", "not_identified", "too_few" (there are signs of training, but not enough pictures
to be sure), or "not_testable" (P and U differ without the model).
"""

from __future__ import annotations

import os

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.data import Source, fingerprints, near_duplicate_ids
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence
from jaxaudit.results import AuditResults, Forecast, NearDuplicates, OwnersAnswer
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_EXAMPLES = 3


def identify_data(
    target: Target,
    published: Source,
    unpublished: Source,
    directory: str | os.PathLike,
    collect_config: CollectConfig | None = None,
    assess_config: AssessConfig | None = None,
    *,
    progress: Progress = silent,
) -> OwnersAnswer:
    """Asks whether `target` was trained on the published pictures.

    Args:
      target: the model in question.
      published: P, what it may have been trained on.
      unpublished: U, comparable pictures that it cannot have seen.
      directory: keeps the evidence; a killed run goes on from there.
      collect_config, assess_config: how scores are measured and judged, None for their defaults; the protocol
        must be the default.
      progress: hears of images; of nothing countable with 0 of 0.

    Raises:
      InputError: if P and U share a picture or a near-duplicate, there are too few pictures for any answer,
        or as `collect_evidence` and `assess`.
    """
    collect_config, assess_config = collect_config or CollectConfig(), assess_config or AssessConfig()
    if not assess_config.protocol.gives_verdict:
        raise InputError(
            f"protocol={assess_config.protocol.name!r} gives no verdict; owners need the default one."
        )
    check_sizes(len(published), len(unpublished), assess_config.alpha)
    progress(0, 0, "Looking for near-duplicates")
    within = check_no_near_duplicates(published, unpublished)
    evidence = collect_evidence(target, published, unpublished, directory, collect_config, progress=progress)
    progress(0, 0, "Computing statistics")
    audit = assess(evidence, assess_config)
    if audit.finding.status == "trained_on":
        status, required = "identified", None
    elif audit.finding.status == "not_testable":
        status, required = "not_testable", None
    else:
        required = _required(audit, evidence, assess_config)
        signs = not required.enough and required.high is not None
        status = "too_few" if signs else "not_identified"
    return OwnersAnswer(status=status, required=required, near_duplicates=within, audit=audit)


def check_sizes(num_published: int, num_unpublished: int, alpha: float) -> None:
    """Refuses sets with which no test could reject.

    Raises:
      InputError: with the number that is needed at least.
    """
    fewest = 2 * stats.fewest_permutable(alpha)
    for count, what in ((num_published, "published"), (num_unpublished, "unpublished")):
        if count < fewest:
            raise InputError(
                f"{count} {what} pictures are too few for any answer at alpha={alpha:g}: {fewest} are the "
                "least with which a test can reject at all; models that leak little need hundreds."
            )


def check_no_near_duplicates(published: Source, unpublished: Source) -> NearDuplicates:
    """Pairs of near-duplicates within each set, which are allowed, but not independent.

    Raises:
      InputError: if a picture of one set is (nearly) in the other.
    """
    p, u = fingerprints(published), fingerprints(unpublished)
    if pairs := near_duplicate_ids(p, u):
        shown = "; ".join(f"{first!r} and {second!r}" for first, second in pairs[:_EXAMPLES])
        raise InputError(
            f"{len(pairs)} published pictures are the same as, or altered copies of, unpublished ones "
            f"({shown}{'; ...' if len(pairs) > _EXAMPLES else ''}); remove them from the unpublished set, "
            "which the model must not have seen."
        )
    return NearDuplicates(published=len(near_duplicate_ids(p)), unpublished=len(near_duplicate_ids(u)))


def _required(audit: AuditResults, evidence: Evidence, config: AssessConfig) -> Forecast:
    """How many pictures it takes, by what the verdict rests on."""
    names = evidence.request["feature_sets"][config.protocol.name][audit.main_view]
    p, u = (evidence.read(split).matrix(names) for split in SPLITS)
    return stats.forecast_samples(p, u, alpha=config.alpha, power=config.power, seed=config.seed)

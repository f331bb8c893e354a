"""An owner's question, from two folders of pictures to an answer: was this model trained on mine?

P are pictures the owner has published, U pictures from the same hand that nobody else has. Beyond what an
audit checks (`carry_out`, `assess`) nothing is said where

  - a picture of P is in U, exactly or nearly: then U is not unseen, or what is compared is not two sets;
  - there are fewer pictures than any test could reject with;
  - a picture was asked about before, or an altered copy of one: who asks again brings new ones.

No model is accused of training on what it made: where an answer speaks for training, if only to count with
later ones, and the model has a decoder that leaves a trace, P is first looked through for it
(`jaxaudit.audits.provenance`).

What the answers mean, and how a question adds to earlier ones, says `jaxaudit.audits.asking`.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxaudit import stats
from jaxaudit.audits.asked_before import check_new
from jaxaudit.audits.asking import ask, check_previous, last_question, status_of
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import Reference, carry_out, plan_audit
from jaxaudit.audits.collect import CollectConfig, Preparation, prepare
from jaxaudit.audits.independent import read_independent
from jaxaudit.audits.known_pictures import Known, prepare_known
from jaxaudit.audits.provenance import ProvenanceConfig, share_generated
from jaxaudit.data import Clusters, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence
from jaxaudit.paths import Location, as_place
from jaxaudit.results import (
    AuditResults,
    Forecast,
    GeneratedShare,
    OwnersAnswer,
    Plan,
)
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_EXAMPLES = 3


def identify_data(
    target: Target,
    published: Source,
    unpublished: Source,
    directory: Location,
    collect_config: CollectConfig | None = None,
    assess_config: AssessConfig | None = None,
    *,
    reference: Reference | None = None,
    known: Known | None = None,
    previous: OwnersAnswer | None = None,
    plan: Plan | None = None,
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
      reference: the same pictures, for a model that has not seen P; None without.
      known: pictures it has been trained on for certain, by which the share of P is estimated; None without.
      previous: the answer to the last question about this model, of other pictures; None for the first.
      plan: from `plan_identification`; None if nothing was fixed beforehand.
      progress: hears of images; of nothing countable with 0 of 0.

    Raises:
      InputError: if P and U share a picture or a near-duplicate, there are too few pictures for any answer,
        a picture was asked about before, the earlier answer is about another model or level, a known
        member is among P and U, or as `carry_out` and `assess`.
    """
    assess_config = assess_config or AssessConfig()
    prepared = _look(
        target, published, unpublished, collect_config, assess_config, previous=previous, progress=progress
    )
    members = None if known is None else prepare_known(prepared, known.pictures, progress)
    evidence, beside = carry_out(
        prepared,
        directory,
        assess_config,
        reference=reference,
        known=members,
        plan=plan,
        previous=last_question(previous),
        progress=progress,
    )
    of_members = None
    if known is not None and members is not None:
        of_members = members.score(known.directory, plan=plan, progress=progress)
    progress(0, 0, "Computing statistics")
    audit = assess(evidence, assess_config, reference=beside, known=of_members, plan=plan)
    asked, generated = ask(audit, prepared, previous), None
    status = status_of(audit, asked)
    speaks_for_training = status == "identified" or asked.questions[-1].e_value > 1
    if speaks_for_training and target.autoencoder is not None:
        generated = _generated(prepared, as_place(directory) / "provenance", assess_config, progress)
        if generated.mostly:
            asked, status = ask(audit, prepared, previous, made_by_model=True), "generated"
    return OwnersAnswer(
        status=status,
        required=_required(audit, evidence, assess_config)
        if status == "too_few" and previous is None
        else None,
        asked=asked,
        audit=audit,
        generated=generated,
    )


def plan_identification(
    target: Target,
    published: Source,
    unpublished: Source,
    collect_config: CollectConfig | None = None,
    assess_config: AssessConfig | None = None,
    *,
    reference: Reference | None = None,
    known: Known | None = None,
    previous: OwnersAnswer | None = None,
    progress: Progress = silent,
) -> Plan:
    """The plan to ask `identify_data` this; the pictures are looked at, and nothing is scored.

    Raises:
      InputError: as `identify_data`, for all that can be known before.
    """
    assess_config = assess_config or AssessConfig()
    prepared = _look(
        target, published, unpublished, collect_config, assess_config, previous=previous, progress=progress
    )
    return plan_audit(
        prepared,
        assess_config,
        reference=reference,
        known=None if known is None else prepare_known(prepared, known.pictures, progress),
        previous=last_question(previous),
    )


def check_sizes(num_published: int, num_unpublished: int, alpha: float) -> None:
    """Refuses sets with which no test could reject.

    Raises:
      InputError: with the number that is needed at least.
    """
    fewest = max(2 * stats.fewest_permutable(alpha), stats.FEWEST)
    for count, what in ((num_published, "published"), (num_unpublished, "unpublished")):
        if count < fewest:
            raise InputError(
                f"{count} {what} pictures are too few for any answer at alpha={alpha:g}: at least {fewest} "
                "are needed, and hundreds where models leak little."
            )


def check_no_copies(ids: Sequence[str], clusters: Clusters) -> None:
    """Refuses published pictures that are (nearly) unpublished ones.

    Args:
      ids: of the published pictures, in order.
      clusters: of them.

    Raises:
      InputError: with their number and the first few.
    """
    if pairs := [(name, of) for name, of in zip(ids, clusters.copy_of, strict=True) if of]:
        shown = "; ".join(f"{first!r} and {second!r}" for first, second in pairs[:_EXAMPLES])
        raise InputError(
            f"{len(pairs)} published pictures are the same as, or altered copies of, unpublished ones "
            f"({shown}{'; ...' if len(pairs) > _EXAMPLES else ''}); remove them from the unpublished set, "
            "which the model must not have seen."
        )


def _look(
    target: Target,
    published: Source,
    unpublished: Source,
    collect_config: CollectConfig | None,
    assess_config: AssessConfig,
    *,
    previous: OwnersAnswer | None,
    progress: Progress,
) -> Preparation:
    """The pictures, once it is certain that the question can be asked of them."""
    if not assess_config.protocol.gives_verdict:
        raise InputError(
            f"protocol={assess_config.protocol.name!r} gives no verdict; owners need the default one."
        )
    if previous is not None:
        check_previous(previous, target, assess_config.alpha)
    check_sizes(len(published), len(unpublished), assess_config.alpha)
    prepared = prepare(target, published, unpublished, collect_config or CollectConfig(), progress=progress)
    check_no_copies(prepared.pictures["members"].source.ids, prepared.clusters["members"])
    if previous is not None:
        check_new(prepared.pictures.values(), previous.asked.questions)
    return prepared


def _generated(
    prepared: Preparation, directory: Location, config: AssessConfig, progress: Progress
) -> GeneratedShare:
    """How much of P the model made, at the level of the verdict."""
    published, unpublished = (prepared.pictures[split].source for split in SPLITS)
    collected = prepared.config
    asked = ProvenanceConfig(
        confidence=1 - config.alpha,
        seed=collected.seed,
        placement=collected.placement,
        shard_size=collected.shard_size,
    )
    return share_generated(prepared.target, published, unpublished, directory, asked, progress=progress)


def _required(audit: AuditResults, evidence: Evidence, config: AssessConfig) -> Forecast:
    """How many pictures it takes, by the scores of the main view."""
    names = evidence.request["feature_sets"][config.protocol.name][audit.main_view]
    p, u = (table.matrix(names) for table in read_independent(evidence))
    return stats.forecast_samples(p, u, alpha=config.alpha, power=config.power, seed=audit.seed)

"""An owner's question, from two folders of pictures to an answer: was this model trained on mine?

P are pictures the owner has published, U pictures from the same hand that nobody else has. Beyond what an
audit checks (`carry_out`, `assess`) nothing is said where

  - a picture of P is in U, exactly or nearly: then U is not unseen, or what is compared is not two sets;
  - there are fewer pictures than any test could reject with;
  - a picture was asked about before: who asks again brings new ones.

An answer is "identified", "contradicted" (P and U differ, but not in the direction of training),
"not_testable" (they differ without the model), "too_few" or "not_identified". Of models that have seen
neither set at most alpha are identified, and at most one in twenty gets "too_few" (p <= 0.05, level of its
own).

Who asks again names the earlier answer. Then all questions are one test (`jaxaudit.stats.betting`), and
"identified" is a wealth of 1/alpha or more. A first question is decided by its p-value; who means to ask
again whatever comes out, and to keep to alpha all the same, goes by the e-value from the first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.carry_out import Reference, carry_out, plan_audit
from jaxaudit.audits.collect import CollectConfig, Preparation, prepare
from jaxaudit.audits.independent import read_independent
from jaxaudit.audits.request import target_request
from jaxaudit.data import Clusters, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence
from jaxaudit.results import (
    Answer,
    AuditResults,
    Forecast,
    OwnersAnswer,
    Plan,
    SequentialEvidence,
    SetTest,
)
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

SIGNS = 0.05
"""p-value up to which there are signs of training, where they are not enough for an answer."""
_UNPLANNED = "unplanned"
_EXAMPLES = 3


def identify_data(
    target: Target,
    published: Source,
    unpublished: Source,
    directory: str | os.PathLike,
    collect_config: CollectConfig | None = None,
    assess_config: AssessConfig | None = None,
    *,
    reference: Reference | None = None,
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
      previous: the answer to the last question about this model, of other pictures; None for the first.
      plan: from `plan_identification`; None if nothing was fixed beforehand.
      progress: hears of images; of nothing countable with 0 of 0.

    Raises:
      InputError: if P and U share a picture or a near-duplicate, there are too few pictures for any answer,
        a picture was asked about before, the earlier answer is about another model or level, or as
        `carry_out` and `assess`.
    """
    assess_config = assess_config or AssessConfig()
    prepared = _look(
        target, published, unpublished, collect_config, assess_config, previous=previous, progress=progress
    )
    evidence, beside = carry_out(
        prepared,
        directory,
        assess_config,
        reference=reference,
        plan=plan,
        previous=_last(previous),
        progress=progress,
    )
    progress(0, 0, "Computing statistics")
    audit = assess(evidence, assess_config, reference=beside, plan=plan)
    asked = _ask(audit, prepared, previous)
    status = _status(audit, asked)
    first = len(asked.questions) == 1
    return OwnersAnswer(
        status=status,
        required=_required(audit, evidence, assess_config) if status == "too_few" and first else None,
        asked=asked,
        audit=audit,
    )


def plan_identification(
    target: Target,
    published: Source,
    unpublished: Source,
    collect_config: CollectConfig | None = None,
    assess_config: AssessConfig | None = None,
    *,
    reference: Reference | None = None,
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
    return plan_audit(prepared, assess_config, reference=reference, previous=_last(previous))


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
        _check_previous(previous, target, assess_config.alpha)
    check_sizes(len(published), len(unpublished), assess_config.alpha)
    prepared = prepare(target, published, unpublished, collect_config or CollectConfig(), progress=progress)
    check_no_copies(prepared.pictures["members"].source.ids, prepared.clusters["members"])
    if previous is not None:
        _check_new(prepared, previous)
    return prepared


def _check_previous(previous: OwnersAnswer, target: Target, alpha: float) -> None:
    """Raises InputError unless the earlier answer is whole, about this model, and at this level."""
    stats.check_history(previous.asked.questions, plan=previous.asked.plan)
    before, now = previous.audit.target, target_request(target)
    if before.fingerprint != now["fingerprint"]:
        raise InputError(
            f"The earlier answer is about {before.name} (fingerprint {str(before.fingerprint)[:16]}), not "
            f"about {target.name} ({str(now['fingerprint'])[:16]}); only questions about one model add up."
        )
    if previous.asked.alpha != alpha:
        raise InputError(
            f"The earlier answer is at alpha={previous.asked.alpha:g}, not {alpha:g}; all questions have the "
            "level that was fixed with the first."
        )


def _check_new(prepared: Preparation, previous: OwnersAnswer) -> None:
    before = {picture for question in previous.asked.questions for picture in question.pictures}
    again = [
        name
        for pictures in prepared.pictures.values()
        for name, digest in pictures.digests.items()
        if digest in before
    ]
    if again:
        raise InputError(
            f"{len(again)} pictures ({again[0]!r}{', ...' if len(again) > 1 else ''}) were asked about "
            "before; who asks again must bring new pictures, published and unpublished, so that the error "
            "stays at alpha."
        )


def _last(previous: OwnersAnswer | None) -> str | None:
    """The fingerprint of the last question of an answer."""
    return None if previous is None else previous.asked.questions[-1].fingerprint


def _ask(audit: AuditResults, prepared: Preparation, previous: OwnersAnswer | None) -> SequentialEvidence:
    """This question after those before, with the p-value that it may enter with."""
    if previous is not None:
        chain, history = previous.asked.plan, previous.asked.questions
    else:
        plan = audit.plan
        chain, history = plan.fingerprint if plan and plan.beforehand else _UNPLANNED, ()
    pictures = {digest for each in prepared.pictures.values() for digest in each.digests.values()}
    asked = stats.ask_again(history, sorted(pictures), _p_value(_test(audit)), plan=chain)
    return stats.combine_history(asked, alpha=audit.alpha, plan=chain)


def _p_value(test: SetTest) -> float:
    """That of the test, but 1 where the test may accuse nobody: also valid, as it is no smaller."""
    vetoed = test.p_value <= test.alpha and not test.rejected
    return 1.0 if vetoed or test.contradicted or test.comparability == "different" else test.p_value


def _status(audit: AuditResults, asked: SequentialEvidence) -> Answer:
    """Of a first question by its test, of later ones by all questions together."""
    first, test = len(asked.questions) == 1, _test(audit)
    if audit.finding.status == "trained_on" if first else asked.rejected:
        return "identified"
    if audit.finding.status == "contradicted" or audit.finding.status == "not_testable":
        return audit.finding.status
    p_value = test.p_value if first else asked.p_value
    signs = test.comparability == "comparable" and not test.contradicted
    return "too_few" if signs and audit.alpha < p_value <= SIGNS else "not_identified"


def _test(audit: AuditResults) -> SetTest:
    if audit.test is None:
        raise InputError(f"The protocol {audit.protocol} has no test that an answer could rest on.")
    return audit.test


def _required(audit: AuditResults, evidence: Evidence, config: AssessConfig) -> Forecast:
    """How many pictures it takes, by the scores of the main view."""
    names = evidence.request["feature_sets"][config.protocol.name][audit.main_view]
    p, u = (table.matrix(names) for table in read_independent(evidence))
    return stats.forecast_samples(p, u, alpha=config.alpha, power=config.power, seed=audit.seed)

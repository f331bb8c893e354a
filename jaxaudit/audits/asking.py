"""What an owner is told, by one question or by several about the same model.

    identified      statistical evidence of training: a first question by its test, of later ones a wealth of
                    1/alpha or more
    contradicted    P and U differ, but not in the direction of training
    not_testable    they differ without the model
    generated       P is mostly what the model generated, so that it scores like what it was trained on
    too_few         signs of training, alpha < p <= 0.05, between sets that compare as they are
    not_identified  nothing of these, which shows no absence

Of models that have seen neither set at most alpha are identified, and at most one in twenty gets "too_few".

Who asks again names the earlier answer and brings new pictures; then all questions are one test
(`jaxaudit.stats.betting`). A first question is decided by its p-value; who means to ask again whatever comes
out, and to keep to alpha all the same, goes by the e-value from the first.
"""

from __future__ import annotations

from jaxaudit import stats
from jaxaudit.audits.asked_before import looks_of
from jaxaudit.audits.collect import Preparation
from jaxaudit.audits.request import target_request
from jaxaudit.errors import InputError
from jaxaudit.results import Answer, AuditResults, OwnersAnswer, SequentialEvidence, SetTest
from jaxaudit.targets import Target

SIGNS = 0.05
"""p-value up to which there are signs of training, where they are not enough for an answer."""
UNPLANNED = "unplanned"
"""What a history begins with that has no plan."""


def check_previous(previous: OwnersAnswer, target: Target, alpha: float) -> None:
    """Makes sure that a question can follow an earlier answer.

    Raises:
      InputError: unless the answer is whole, about this model, and at this level.
    """
    stats.check_history(previous.asked.questions, plan=previous.asked.plan)
    before, now = previous.audit.target, target_request(target)["fingerprint"]
    if before.fingerprint != now:
        raise InputError(
            f"The earlier answer is about {before.name} (fingerprint {str(before.fingerprint)[:16]}), not "
            f"about {target.name} ({str(now)[:16]}); only questions about one model add up."
        )
    if previous.asked.alpha != alpha:
        raise InputError(
            f"The earlier answer is at alpha={previous.asked.alpha:g}, not {alpha:g}; all questions have the "
            "level that was fixed with the first."
        )


def last_question(previous: OwnersAnswer | None) -> str | None:
    """The fingerprint of the last question of an answer, None without one."""
    return None if previous is None else previous.asked.questions[-1].fingerprint


def ask(
    audit: AuditResults,
    prepared: Preparation,
    previous: OwnersAnswer | None,
    *,
    made_by_model: bool = False,
) -> SequentialEvidence:
    """This question after those of an earlier answer, with the p-value that it may enter with.

    That is 1 for a P that the model made itself.
    """
    chain, history = _begin(audit) if previous is None else (previous.asked.plan, previous.asked.questions)
    pictures, looks = looks_of(prepared.pictures.values())
    p_value = 1.0 if made_by_model else entering_p_value(_test(audit))
    asked = stats.ask_again(history, pictures, p_value, plan=chain, looks=looks)
    return stats.combine_history(asked, alpha=audit.alpha, plan=chain)


def entering_p_value(test: SetTest) -> float:
    """That of the test, but 1 where the test may accuse nobody: also valid, as it is no smaller."""
    vetoed = test.p_value <= test.alpha and not test.rejected
    return 1.0 if vetoed or test.contradicted or test.comparability == "different" else test.p_value


def status_of(audit: AuditResults, asked: SequentialEvidence) -> Answer:
    """What the owner is told of what was scored: the module's table but for "generated"."""
    first, test, found = len(asked.questions) == 1, _test(audit), audit.finding.status
    if found == "trained_on" if first else asked.rejected:
        return "identified"
    if found == "contradicted" or found == "not_testable":
        return found
    p_value = test.p_value if first else asked.p_value
    signs = test.comparability == "comparable" and not test.contradicted
    return "too_few" if signs and audit.alpha < p_value <= SIGNS else "not_identified"


def _begin(audit: AuditResults) -> tuple[str, tuple[()]]:
    plan = audit.plan
    return (plan.fingerprint if plan and plan.beforehand else UNPLANNED), ()


def _test(audit: AuditResults) -> SetTest:
    if audit.test is None:
        raise InputError(f"protocol={audit.protocol!r} has no test that an answer could rest on.")
    return audit.test

"""What an owner is told, in plain words.

P are the published pictures, U the unpublished ones.
"""

from __future__ import annotations

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.results import OwnersAnswer

HEADLINES = {
    "identified": "Statistical evidence that the model was trained on your published pictures",
    "not_identified": "Not shown that the model was trained on your published pictures",
    "contradicted": "Your pictures and the others differ, but not in the direction of training",
    "too_few": "Too few pictures to tell",
    "not_testable": "Cannot be tested: your two sets of pictures differ",
}


def plain_words(answer: OwnersAnswer) -> list[str]:
    """The answer in paragraphs without a technical term."""
    said = [_compared(answer), *_found(answer)]
    if len(answer.asked.questions) > 1:
        said.append(_history(answer))
    return said


def what_e_allows(answer: OwnersAnswer) -> str:
    """One sentence on the e-value that stands beside the p-value."""
    alpha = answer.asked.alpha
    return (
        "E-values of questions about new pictures may be multiplied: however often and for whatever reason "
        f"an owner asks again, a model that has seen none of the pictures reaches {_needed(answer)} with "
        f"probability at most {formats.level(alpha)}."
    )


def e_value(number: float) -> str:
    """Three digits, or a power of ten."""
    if number >= 1e6:
        mantissa, exponent = f"{number:.1e}".split("e")
        return f"{mantissa} × {formats.power_of_ten(int(exponent))}"
    return formats.count(round(number)) if number >= 100 else f"{number:.3g}"


def assumptions(answer: OwnersAnswer) -> list[str]:
    """What the owner vouches for, and what was found of it."""
    audit = answer.audit
    gate = audit.gate
    state = "did not tell them apart" if gate.passed else "told them apart"
    reference = audit.reference
    return [
        "The model has not seen the unpublished pictures. Nobody but their owner can vouch for this.",
        "Published and unpublished pictures differ in nothing but having been published: same hand, "
        "subjects, years, camera, file format, size. A program that never saw the model "
        f"{state} ({wording.gate_numbers(gate)}).",
        *(
            [
                f"The reference model, {reference.name}, has not seen the published pictures. A difference "
                "that it shows too is no sign of training, and was accounted for."
            ]
            if reference
            else []
        ),
        "No picture is in both sets: checked, pixel by pixel and for altered copies.",
        "Pictures are independent of each other, but for altered copies, which were looked for, and those "
        "that were declared to belong together: such pictures count as one.",
        "The model in the file is the model in question: its fingerprint is "
        f"{str(audit.target.fingerprint)[:16]}.",
        _asked_once(answer),
    ]


def changes(answer: OwnersAnswer) -> list[str]:
    """What could turn an answer of this status."""
    again = (
        "New pictures on both sides, with which the question is asked again. Who does so names this answer "
        "(--previous), so that the error stays what it is; the same pictures, or these and some more, asked "
        "about anew would be a second try."
    )
    matched = (
        "Unpublished pictures that match the published ones better: if the two sets differ in some way that "
        "the check above did not notice, the answer may rest on that."
    )
    access = "White-box scores, which use the model's gradients, if only its outputs were used here."
    return {
        "identified": [
            matched,
            "A reference model, known not to have seen the published pictures, that treats them in the same "
            "way.",
            "Evidence that the model had seen the unpublished pictures as well: the difference would then be "
            "even harder to explain.",
            "An independent repetition, with other pictures from the same hand, that finds nothing.",
        ],
        "not_identified": [again, access, "A sharper attack than those that are known today."],
        "too_few": [again, access],
        "contradicted": [
            "Unpublished pictures that the model has certainly not seen.",
            "The two sets the right way round, if they were exchanged.",
            matched,
        ],
        "not_testable": [
            "Two sets from one source: for instance pictures of the same series, assigned to be published or "
            "not by something that has nothing to do with how they look.",
            "The same processing on both sides: size, compression, file format.",
        ],
    }[answer.status]


def _compared(answer: OwnersAnswer) -> str:
    published = wording.counted(answer.audit.members, what="published")
    unpublished = wording.counted(answer.audit.nonmembers, what="unpublished pictures")
    return f"The model was asked about {published} and {unpublished}, and how it answered was compared."


def _found(answer: OwnersAnswer) -> list[str]:
    audit = answer.audit
    share = formats.level(audit.alpha)
    return {
        "identified": [
            "It handles the published ones more like pictures it has been trained on, by more than chance "
            "and the differences that were measured explain.",
            "If the model had seen neither set, and the assumptions below hold, an answer like this would be "
            f"given in at most {share} of cases. It is about the set: it does not say that all of the "
            "pictures were used.",
        ],
        "contradicted": [
            "It treats the two sets differently, but not as training on the published pictures would have "
            "it: what training raises is lower in them. Nothing is concluded about training on them. Perhaps "
            "the model has seen the unpublished pictures, or the two sets were exchanged.",
        ],
        "too_few": [
            "There are signs of training on the published ones, but too weak for an answer at the level of "
            f"{share} that was fixed. One of twenty models that have seen neither set shows as much, so this "
            "is no finding.",
            *([f"As a rough estimate, {answer.required.sentence}"] if answer.required else []),
        ],
        "not_testable": [
            "But the two sets can be told apart without looking at the model. Whatever difference the model "
            "makes between them may come from that, so no answer is given, in either direction.",
        ],
        "not_identified": [
            "No difference was found that chance and the differences that were measured do not explain. This "
            "does not show that the pictures were not used.",
        ],
    }[answer.status]


def _history(answer: OwnersAnswer) -> str:
    asked = answer.asked
    return (
        f"This was question {len(asked.questions)} about this model, of other pictures than those before, "
        f"and all questions count as one. Their evidence together is an e-value of {e_value(asked.e_value)}; "
        f"{_needed(answer)} is needed for an answer."
    )


def _needed(answer: OwnersAnswer) -> str:
    return e_value(1 / answer.asked.alpha)


def _asked_once(answer: OwnersAnswer) -> str:
    count, level = len(answer.asked.questions), formats.level(answer.asked.alpha)
    fixed = f"at a significance level of {level} for all of them" if count > 1 else f"at a level of {level}"
    plan = answer.audit.plan
    planned = (
        f"What would be done was fixed before scoring (plan {plan.fingerprint[:16]})."
        if plan and plan.beforehand
        else "What would be done was not fixed beforehand, so that nobody but who asked can vouch for this."
    )
    times = "No question but the ones listed below was asked" if count > 1 else "One question, asked once"
    return f"{times}, {fixed}. {planned}"

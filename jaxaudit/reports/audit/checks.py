"""The section of an audit's page on whether its result can be trusted: blind gate, U against U."""

from __future__ import annotations

from typing import Literal

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, code, element, paragraph, section, table
from jaxaudit.results import AuditResults, TargetFacts


def checks(results: AuditResults) -> Html:
    """The blind gate, and the test of unseen images against each other, for everyone."""
    gate, control = results.gate, results.null_control
    parts = [
        element(
            "h3",
            "Blind gate: are the two sets alike? ",
            _state(wording.gate_state(gate), "passed" if gate.passed else "failed"),
        ),
        paragraph(
            "If photographs were compared with drawings, any model would treat them differently, "
            "trained on them or not. So a test that never sees the model tries to tell P from U by the "
            "pictures and their labels alone: size, colours, sharpness, orientation, compressibility, the "
            "mix of classes, whether pictures look like what they are labelled. Finding nothing is no proof "
            "that the sets are alike."
        ),
        paragraph(
            f"{wording.gate_numbers(gate)}. With so many images, a shift of one feature by "
            f"{formats.effect(gate.detectable_shift)} standard deviations would have been found four times "
            "out of five; smaller ones may be there. An AUC below one half says that there was nothing to "
            "learn."
        ),
        table(["looked at", "p-value"], [[name, formats.p_value(p)] for name, p in gate.p_values.items()]),
    ]
    if control:
        expected = control.rejection_rate.low <= control.alpha
        parts += [
            element(
                "h3",
                "Unseen against unseen images ",
                _state(wording.control_state(control), "passed" if expected else "failed"),
            ),
            paragraph(
                "U was split at random into two parts, and the test of the main view applied to them: every "
                f"rejection is a false alarm, and about {formats.level(control.alpha)} or fewer are as it "
                "should be. This is about the test, not about P: it does not show that P and U are alike."
            ),
            paragraph(
                f"{wording.control_numbers(control)}, {formats.level(control.confidence)} confidence "
                f"interval in parentheses; {formats.count(control.num_pseudo_p)} nonmembers against "
                f"{formats.count(control.num_pseudo_u)}."
            ),
        ]
    elif not wording.protocol(results).gives_verdict:
        parts.append(paragraph("The published procedure has no such control."))
    if results.reference:
        parts += _reference(results.reference)
    return section("checks", "Can the result be trusted?", *parts)


def _reference(reference: TargetFacts) -> list[Html]:
    return [
        element("h3", "A reference model"),
        paragraph(
            "The same images were shown to ",
            code(reference.name),
            f" (fingerprint {str(reference.fingerprint)[:16]}), which has not seen P; whoever named it "
            "vouches for that. Its scores count among what is known of an image without the model in "
            "question: the gate compares them, and the test adjusts for them. A difference between P and U "
            "that the reference shows too is no sign of training.",
        ),
    ]


def _state(state: str, colour: Literal["passed", "failed"]) -> Html:
    return element("span", f"– {state}", class_=f"state {colour}")

"""The section of an audit's page on whether its result can be trusted: blind gate and null control."""

from __future__ import annotations

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, element, paragraph, section
from jaxaudit.results import AuditResults


def checks(results: AuditResults) -> Html:
    """The blind gate and the null control, for everyone."""
    gate, control = results.gate, results.null_control
    parts = [
        element("h3", "Blind gate: are the two sets alike? ", _state(wording.gate_state(gate))),
        paragraph(
            "If photographs were compared with drawings, any model would treat them differently, "
            "trained on them or not. So a classifier that never sees the model tries to tell P from U "
            "by the pictures alone: their size, colours, sharpness, compressibility. Only if it fails "
            "may the sets be compared. Passing is no proof that the sets are alike: with few images "
            "only gross differences show."
        ),
        paragraph(f"{wording.gate_numbers(gate)}. It passes if p is above α = {gate.alpha:g}."),
    ]
    if control:
        parts += [
            element(
                "h3", "Null control: does the test stay silent? ", _state(wording.control_state(control))
            ),
            paragraph(
                "Nonmembers were split at random into two parts and tested against each other. None of them "
                "was trained on, so every rejection is a false alarm; about "
                f"{formats.level(control.alpha)} or fewer are as it should be."
            ),
            paragraph(
                f"{wording.control_numbers(control)}, {formats.level(control.confidence)} confidence "
                f"interval in parentheses; {formats.count(control.num_pseudo_p)} nonmembers against "
                f"{formats.count(control.num_pseudo_u)}."
            ),
        ]
    elif not wording.protocol(results).gives_verdict:
        parts.append(paragraph("The published procedure has no null control."))
    return section("checks", "Can the result be trusted?", *parts)


def _state(state: str) -> Html:
    return element("span", f"– {state}", class_=f"state {state.partition(' ')[0]}")

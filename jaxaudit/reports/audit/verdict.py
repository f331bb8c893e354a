"""The first section of an audit's page: what was found, the sentence to quote, key numbers."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, bullets, element, key_numbers, paragraph
from jaxaudit.results import AuditResults


def verdict(results: AuditResults) -> Html:
    """What was found, in plain words, and the sentence to quote."""
    status, protocol = results.finding.status, wording.protocol(results)
    quote = element(
        "blockquote",
        paragraph("The finding, to quote" if protocol.gives_verdict else "What this is", class_="label"),
        paragraph(results.finding.sentence),
    )
    return element(
        "section",
        element("h2", wording.HEADLINES[status]),
        paragraph(_plain_words(results)),
        quote,
        _known_problems(protocol.problems),
        tiles(results),
        id="verdict",
        class_=f"verdict {status}",
    )


def _plain_words(results: AuditResults) -> str:
    share = formats.level(results.alpha)
    return {
        "trained_on": (
            "Taken together, the images in question score higher than comparable images that the model has "
            "not seen, by more than chance explains. A model that was not trained on them would be accused "
            f"like this in at most {share} of such audits, if the assumptions below hold."
        ),
        "contradicted": (
            "The images in question are treated differently, but in a way that training on them does not "
            "explain: scores that training raises are lower. Perhaps it is the comparable images that the "
            "model has seen. Nothing is concluded about training on the images in question."
        ),
        "no_evidence": (
            "Taken together, the images in question do not score significantly higher than comparable "
            "images that the model has not seen. This does not show that they were not used: the set may be "
            "too small, or the attack too weak."
        ),
        "not_testable": (
            "The two sets of images can be told apart without looking at the model. Any difference in how "
            "the model treats them may come from the pictures themselves, so nothing is concluded about "
            "training, in either direction. A verdict needs nonmembers from the same source as the images "
            "in question."
        ),
        "paper": (
            "This run repeats the published procedure so that its numbers can be set beside published "
            "tables. For a verdict, assess the same evidence with --protocol=default."
        ),
    }[results.finding.status]


def _known_problems(problems: Sequence[str]) -> Html:
    """What is wrong with a published procedure."""
    if not problems:
        return Html()
    return element(
        "div",
        element("h3", "Known problems of the published procedure"),
        bullets(problems),
        class_="note paper",
    )


def tiles(results: AuditResults) -> Html:
    """The key numbers, and how many images it takes."""
    return key_numbers([*tested_tiles(results), *_needed_tiles(results)])


def tested_tiles(results: AuditResults) -> list[tuple[str, str, str]]:
    """The key numbers of the main test, the p-value first, or of the gate where there was no test."""
    gate, tests = results.gate, results.dataset_inference
    if not tests:
        interval = f"95% interval {formats.between(gate.auc, formats.area)}"
        level = f"level {formats.level(gate.level)}"
        return [
            ("p-value of the blind gate", formats.p_value(gate.p_value), level),
            ("Blind classifier, AUC", formats.area(gate.auc.estimate), interval),
        ]
    test = results.test or tests[results.main_view]
    p_value = (
        wording.permuted_p(results.test, test.p_value) if results.test else formats.p_value(test.p_value)
    )
    size = results.test.adjusted_effect if results.test else tests[results.main_view].welch.hedges_g
    return [
        ("p-value", p_value, f"α = {test.alpha:g}"),
        (
            "Effect size g, adjusted" if results.test else "Effect size g",
            formats.effect(size.estimate),
            f"standard deviations; 95% interval {formats.between(size, formats.effect)}",
        ),
        ("Images in question", formats.count(test.num_p), f"against {formats.count(test.num_u)} unseen"),
    ]


def _needed_tiles(results: AuditResults) -> list[tuple[str, str, str]]:
    if not results.dataset_inference or not results.power_curves:
        return []
    curve = results.power_curves[results.main_view]
    estimate, _, interval = wording.required_size(curve).partition(" (")
    level = f"{formats.level(curve.confidence)} interval {interval.removesuffix(')')}"
    return [("Images needed", estimate, level if interval else "no interval")]

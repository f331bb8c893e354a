"""The sections of an audit's page on single images and on the set."""

from __future__ import annotations

from collections.abc import Mapping

from jaxaudit.protocols import PROCEDURES
from jaxaudit.reports.audit import wording
from jaxaudit.reports.audit.rows import INFERENCE_ROWS, inferences, score_rows
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import (
    Html,
    bullets,
    code,
    details,
    element,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.results import AuditResults, DatasetInference, Identification

_HELD_OUT = (
    "Many faint signals add up: a scorer (logistic regression) learns from some of the images how the "
    "features of P differ from those of U, and is tested on images it has not seen. "
)


def membership(results: AuditResults, figures: Mapping[str, Html]) -> Html:
    """How well single images can be told apart."""
    found = results.membership
    rows, groups = score_rows(found), found.groups
    best = table(
        ["", *(wording.view_title(results, view) for view in groups)],
        [
            ["best score", *map(code, groups.values())],
            *(
                [label, *texts]
                for label, texts in read(rows, [found.per_score[name] for name in groups.values()])
            ),
        ],
    )
    ranked = wording.ranked_scores(found)
    heading, lines = turned(
        [("score", list(map(code, ranked))), *read(rows, [found.per_score[name] for name in ranked])]
    )
    every = table(heading, lines, marked=ranked.index(found.selected), dense=True)
    return section(
        "membership",
        "Can single images be recognised?",
        paragraph(
            "Membership inference names an image a member if its score is high. What counts is how many "
            "members are found (true positives) while hardly any nonmember is named by mistake (false "
            "positives): an attack that is right about a few images almost surely is a leak, even if it is "
            "no better than guessing on the rest."
        ),
        gate_warning(results),
        figures["roc"],
        best,
        paragraph(
            " ".join(
                [
                    wording.membership_basis(found),
                    *wording.rounding(results),
                    *(omitted.reason for omitted in found.omitted_fprs),
                ]
            ),
            class_="small",
        ),
        figures["scores"],
        details(
            f"All {len(ranked)} scores",
            paragraph(
                "Best first, by the numbers shown; the selected score is set off. "
                + (
                    "It was chosen on other samples and need not stand first here. Intervals hold for "
                    "each score by itself, not for all at once."
                    if wording.protocol(results).held_out_choice
                    else "It was chosen by these very numbers."
                ),
                class_="small",
            ),
            figures["auc"],
            every,
        ),
    )


def inference(results: AuditResults) -> Html:
    """Whether the set as a whole was used."""
    found = inferences(results)
    heading = "Dataset inference, view by view"
    if not found:
        return section(
            "inference", heading, gate_warning(results), paragraph("Dataset inference was not carried out.")
        )
    marks = [
        wording.view_title(results, one.view) + (", main" if one.view == results.main_view else "")
        for one in found
    ]
    notes = dict.fromkeys(note for one in found for note in one.test.notes)
    (main,) = (one.test for one in found if one.view == results.main_view)
    learned = isinstance(main, Identification)
    return section(
        "inference",
        heading,
        gate_warning(results),
        paragraph(_explanation(main, two_sided=wording.protocol(results).two_sided)),
        table(["", *marks], [[label, *texts] for label, texts in read(INFERENCE_ROWS, found)]),
        paragraph(
            f"The effect size g (Hedges) is the difference of the mean {'scores' if learned else 'sums'} in "
            "standard deviations; in parentheses its "
            f"{formats.level(main.confidence)} confidence interval.",
            class_="small",
        ),
        _attributions(main) if learned else Html(),
        bullets(notes) if notes else Html(),
    )


def _explanation(test: DatasetInference | Identification, *, two_sided: bool) -> str:
    if isinstance(test, Identification):
        return _HELD_OUT + PROCEDURES[test.procedure].explanation
    if two_sided:
        return (
            "Every score is scaled to [0, 1] over P and U together, the scores of an image are added up, "
            "and a two-sided Welch t-test compares the sums of P with those of U."
        )
    return (
        "Many faint signals add up: every score is scaled to [0, 1] over P and U together, the scores "
        "of an image are added up, and the sums of P are compared with those of U, by Welch's t-test "
        "and by randomly exchanging the two sets. The larger of the two p-values counts. These tests of each "
        "view stand beside the verdict, which has a test of its own. A permutation p-value cannot fall "
        "below one over the number of permutations plus one."
    )


def _attributions(test: Identification) -> Html:
    """What the scorer of CDI rests on."""
    rows = [
        [code(found.name), formats.effect(found.contribution), formats.effect(found.mean_difference)]
        for found in test.attributions
    ]
    return details(
        "What each feature contributes",
        paragraph(
            "Contribution to the difference of the mean log-odds, and the difference of the feature's means "
            "in standard deviations. Features that resemble each other share their contribution almost at "
            "will.",
            class_="small",
        ),
        table(["feature", "contribution", "difference"], rows, dense=True),
    )


def needed(results: AuditResults, figures: Mapping[str, Html]) -> Html:
    """How many images dataset inference needs."""
    curves = results.power_curves
    if not curves:
        return Html()
    main = curves[results.main_view]
    reasons = [
        f"{wording.view_title(results, view)}: {curve.required.reason}"
        for view, curve in curves.items()
        if curve.required.reason
    ]
    return section(
        "needed",
        "How many images are needed?",
        paragraph(
            f"The test was repeated on {formats.count(main.repetitions)} random draws of n images of P "
            f"and as many of U, for growing n. {wording.required_rule(main)} Fewer images are needed the "
            "more the model gives away."
        ),
        figures["p_value"],
        bullets(reasons) if reasons else Html(),
    )


def gate_warning(results: AuditResults) -> Html:
    """Beside numbers of two sets that differ; nothing if the gate was passed."""
    if results.gate.passed:
        return Html()
    return element(
        "div",
        paragraph(
            "The blind gate found a difference: P and U can be told apart without the model, so numbers that "
            "compare them as they are here are no evidence of training."
        ),
        class_="note not_testable",
    )

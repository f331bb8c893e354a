"""The sections of an audit's page that say what was found. Each takes the results and returns HTML."""

from collections.abc import Mapping
from typing import Any

from jaxaudit.reports import wording
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
from jaxaudit.reports.wording import Results


def verdict(results: Results) -> Html:
    """What was found, in plain words, and the sentence to quote."""
    status = results["verdict"]["status"]
    quote = element(
        "blockquote",
        paragraph("What this is" if status == "paper" else "The finding, to quote", class_="label"),
        paragraph(results["verdict"]["sentence"]),
    )
    return element(
        "section",
        element("h2", wording.HEADLINES[status]),
        paragraph(_plain_words(results)),
        quote,
        _known_problems(results),
        tiles(results),
        id="verdict",
        class_=f"verdict {status}",
    )


def _plain_words(results: Results) -> str:
    share = formats.level(results["alpha"])
    return {
        "trained_on": (
            "Taken together, the images in question score higher than comparable images that the model has "
            "not seen, by more than chance explains. A model that was not trained on them would be accused "
            f"like this in at most {share} of such audits, if the assumptions below hold."
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
    }[results["verdict"]["status"]]


def _known_problems(results: Results) -> Html:
    """Under "paper": what is wrong with the published procedure."""
    if results["protocol"] != "paper":
        return Html()
    return element(
        "div",
        element("h3", "Known problems of the published procedure"),
        bullets(wording.PAPER_PROBLEMS),
        class_="note paper",
    )


def tiles(results: Results) -> Html:
    """The key numbers: of the main test, or of the gate where there was no test."""
    gate = results["gate"]
    if not results["dataset_inference"]:
        if not gate:
            return Html()
        chance = f"{formats.area(gate['chance_auc']['low'])} to {formats.area(gate['chance_auc']['high'])}"
        tiles = [
            ("Blind classifier, AUC", formats.area(gate["auc"]), f"by chance {chance}"),
            ("p-value of the blind gate", formats.p_value(gate["p_value"]), f"α = {gate['alpha']:g}"),
        ]
    else:
        view = results["main_view"]
        test = results["dataset_inference"][view]
        size = test["welch"]["hedges_g"]
        interval = f"{formats.effect(size['low'])} to {formats.effect(size['high'])}"
        tiles = [
            ("p-value", formats.p_value(test["p_value"]), f"α = {test['alpha']:g}"),
            (
                "Effect size g",
                formats.effect(size["estimate"]),
                f"standard deviations; {formats.level(test['confidence'])} interval {interval}",
            ),
            (
                "Images in question",
                formats.count(test["num_p"]),
                f"against {formats.count(test['num_u'])} unseen",
            ),
        ]
        if results["power_curves"]:
            curve = results["power_curves"][view]
            estimate, _, interval = wording.required_size(curve).partition(" (")
            level = f"{formats.level(curve['confidence'])} interval {interval.removesuffix(')')}"
            tiles.append(("Images needed", estimate, level if interval else "no interval"))
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", label),
                element("dd", number, element("small", remark)),
                class_="tile",
            )
            for label, number, remark in tiles
        ),
        class_="tiles",
    )


def membership(results: Results, figures: Mapping[str, Html]) -> Html:
    """How well single images can be told apart."""
    groups, selected = results["membership"]["groups"], results["membership"]["selected"]
    columns = [wording.score_cells(results, name) for name in groups.values()]
    best = table(
        ["", *(wording.view_title(results, view) for view in groups)],
        [
            ["best score", *(code(name) for name in groups.values())],
            *([cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)),
        ],
    )
    ranked = wording.ranked_scores(results)
    labels = [label for label, _ in wording.score_cells(results, selected)]
    every = table(
        ["score", *labels],
        [[code(name), *(value for _, value in wording.score_cells(results, name))] for name in ranked],
        marked=ranked.index(selected),
        dense=True,
    )
    omitted = [omitted["reason"] for omitted in results["membership"]["omitted_fprs"]]
    return section(
        "membership",
        "Can single images be recognised?",
        paragraph(
            "Membership inference names an image a member if its score is high. What counts is how many "
            "members are found (true positives) while hardly any nonmember is named by mistake (false "
            "positives): an attack that is right about a few images almost surely is a leak, even if it is "
            "no better than guessing on the rest."
        ),
        _gate_warning(results),
        figures["roc"],
        best,
        paragraph(" ".join([wording.membership_basis(results), *omitted]), class_="small"),
        figures["scores"],
        details(
            f"All {len(ranked)} scores",
            paragraph(
                "Best first, by the numbers shown; the selected score is set off. "
                + (
                    "It was chosen by these very numbers."
                    if results["protocol"] == "paper"
                    else "It was chosen on other samples and need not stand first here. Intervals hold for "
                    "each score by itself, not for all at once."
                ),
                class_="small",
            ),
            every,
        ),
    )


def inference(results: Results) -> Html:
    """Whether the set as a whole was used."""
    tests = results["dataset_inference"]
    heading = "Was the set used for training?"
    if not tests:
        return section(
            "inference", heading, _gate_warning(results), paragraph("Dataset inference was not carried out.")
        )
    columns = [wording.inference_cells(results, view) for view in tests]
    marks = [
        wording.view_title(results, view) + (", main" if view == results["main_view"] else "")
        for view in tests
    ]
    notes = dict.fromkeys(note for test in tests.values() for note in test.get("notes", ()))
    main = tests[results["main_view"]]
    learned = wording.is_learned(main)
    if learned:
        notes |= dict.fromkeys([main["warning"]] if main["warning"] else [])
        explanation = _HELD_OUT + _LEARNED[main["procedure"]]
    elif results["protocol"] == "paper":
        explanation = (
            "Every score is scaled to [0, 1] over P and U together, the scores of an image are added up, "
            "and a two-sided Welch t-test compares the sums of P with those of U."
        )
    else:
        explanation = (
            "Many faint signals add up: every score is scaled to [0, 1] over P and U together, the scores "
            "of an image are added up, and the sums of P are compared with those of U, by Welch's t-test "
            "and by randomly exchanging the two sets. The larger of the two p-values counts. The main view "
            "was fixed beforehand and alone decides the verdict. A permutation p-value cannot fall below "
            "one over the number of permutations plus one."
        )
    return section(
        "inference",
        heading,
        _gate_warning(results),
        paragraph(explanation),
        table(
            ["", *marks],
            [[cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)],
        ),
        paragraph(
            f"The effect size g (Hedges) is the difference of the mean {'scores' if learned else 'sums'} in "
            "standard deviations; in parentheses its "
            f"{formats.level(main['confidence'])} confidence interval.",
            class_="small",
        ),
        _attributions(main) if learned else Html(),
        bullets(notes) if notes else Html(),
    )


_HELD_OUT = (
    "Many faint signals add up: a scorer (logistic regression) learns from some of the images how the "
    "features of P differ from those of U, and is tested on images it has not seen. "
)
_LEARNED = {
    "split": (
        "Half of each set trains it, the other halves are compared by Welch's t-test and by randomly "
        "exchanging them; the larger of the two p-values counts."
    ),
    "permutation": (
        "Every fifth of the images is scored by what was learned from the other four. The p-value is the "
        "rank of the difference among those after randomly exchanging the two sets, everything learned anew "
        "each time."
    ),
    "paper": (
        "Every fifth of the images is scored by what was learned from the other four, and all scores are "
        "compared by a two-sided t-test as if they were independent."
    ),
}


def _attributions(test: Mapping[str, Any]) -> Html:
    """What the scorer of CDI rests on."""
    rows = [
        [
            code(found["name"]),
            formats.effect(found["contribution"]),
            formats.effect(found["mean_difference"]),
        ]
        for found in test["attributions"]
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


def needed(results: Results, figures: Mapping[str, Html]) -> Html:
    """How many images dataset inference needs."""
    curves = results["power_curves"]
    if not curves:
        return Html()
    main = curves[results["main_view"]]
    reasons = [
        f"{wording.view_title(results, view)}: {curve['required']['reason']}"
        for view, curve in curves.items()
        if curve["required"]["reason"]
    ]
    return section(
        "needed",
        "How many images are needed?",
        paragraph(
            f"The test was repeated on {formats.count(main['repetitions'])} random draws of n images of P "
            f"and as many of U, for growing n. {wording.required_rule(main)} Fewer images are needed the "
            "more the model gives away."
        ),
        figures["p_value"],
        bullets(reasons) if reasons else Html(),
    )


def checks(results: Results) -> Html:
    """The blind gate and the null control, for everyone."""
    gate, control = results["gate"], results["null_control"]
    parts = []
    if gate:
        parts += [
            element("h3", "Blind gate: are the two sets alike? ", _state(wording.gate_state(gate))),
            paragraph(
                "If photographs were compared with drawings, any model would treat them differently, "
                "trained on them or not. So a classifier that never sees the model tries to tell P from U "
                "by the pictures alone: their size, colours, sharpness, compressibility. Only if it fails "
                "may the sets be compared. Passing is no proof that the sets are alike: with few images "
                "only gross differences show."
            ),
            paragraph(f"{wording.gate_numbers(gate)}. It passes if p is above α = {gate['alpha']:g}."),
        ]
    if control:
        parts += [
            element(
                "h3", "Null control: does the test stay silent? ", _state(wording.control_state(control))
            ),
            paragraph(
                "Nonmembers were split at random into two parts and tested against each other. None of them "
                "was trained on, so every rejection is a false alarm; about "
                f"{formats.level(control['alpha'])} or fewer are as it should be."
            ),
            paragraph(
                f"{wording.control_numbers(control)}, {formats.level(control['confidence'])} confidence "
                f"interval in parentheses; {formats.count(control['num_pseudo_p'])} nonmembers against "
                f"{formats.count(control['num_pseudo_u'])}."
            ),
        ]
    elif results["protocol"] == "paper":
        parts.append(paragraph("The published procedure has no null control."))
    return section("checks", "Can the result be trusted?", *parts)


def _gate_warning(results: Results) -> Html:
    if not results["gate"] or results["gate"]["passed"]:
        return Html()
    return element(
        "div",
        paragraph(
            "The blind gate failed: P and U can be told apart without the model, so a difference between "
            "them is no evidence of training."
        ),
        class_="note not_testable",
    )


def _state(state: str) -> Html:
    return element("span", f"– {state}", class_=f"state {state.partition(' ')[0]}")

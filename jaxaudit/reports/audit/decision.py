"""What a verdict was decided by, before and after adjustment, and what could overturn it."""

from __future__ import annotations

from jaxaudit.reports.audit import wording
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, bullets, code, details, element, paragraph, section, table
from jaxaudit.results import AuditResults, Individuals, SetTest, UsageFraction

_MOST_LISTED = 200
_COMPARABILITY = {
    "comparable": "as they are",
    "after_adjustment": "after adjustment only",
    "different": "no",
}


def decision_lines(results: AuditResults) -> list[tuple[str, str]]:
    """(what was asked, what was found), in the order of the decision; none without a verdict."""
    test = results.test
    if test is None:
        return []
    return [
        ("P and U can be compared", _COMPARABILITY[test.comparability]),
        ("p-value, scores as they are", wording.permuted_p(test, test.plain.p_value)),
        ("p-value, adjusted for the pictures", wording.permuted_p(test, test.adjusted.p_value)),
        (
            f"the larger is at most {formats.p_value(test.needed_p_value)}",
            _yes(test.p_value <= test.needed_p_value * (1 + 1e-9)),
        ),
        ("in the direction of training", "contradicted" if test.contradicted else "not contradicted"),
        ("effect size g, as they are", formats.spread(test.effect, formats.effect)),
        ("effect size g, adjusted", formats.spread(test.adjusted_effect, formats.effect)),
        ("AUC above a blind classifier's", _excess(test)),
        *([("odds a hidden difference needs", _gamma(results))] if results.sensitivity else []),
        *([("images recognised singly", _listed(results.individuals))] if results.individuals else []),
        *([("share of P that was trained on", _share(results.usage))] if results.usage else []),
        ("planned before scoring", wording.plan(results)),
        ("seed of the tests", wording.seed(results)),
    ]


def decision(results: AuditResults) -> Html:
    """The section of the page; nothing without a verdict."""
    test = results.test
    if test is None:
        return Html()
    return section(
        "decision",
        "What the verdict rests on",
        paragraph(
            f"All {formats.count(len(test.names))} scores of every view enter one test, which asks whether "
            "they are all a little higher in P, some clearly higher, or some weighted sum of them different, "
            "and compares the answer with those after randomly exchanging P and U "
            f"{formats.count(test.permutations)} times. It is asked of the scores as they are, and of what "
            "is left of them once the class of an image, how typical it is of that class, and what can be "
            "seen of it without the model are accounted for; the larger p-value counts. Beyond that the "
            "scores must not speak against training, and must tell P from U better than anything that never "
            "saw the model."
        ),
        table(["", ""], [list(line) for line in decision_lines(results)]),
        paragraph(results.sensitivity.sentence) if results.sensitivity else Html(),
        _members(results.individuals) if results.individuals else Html(),
        _used(results.usage) if results.usage else Html(),
    )


def member_lines(found: Individuals) -> list[dict[str, str | float | bool]]:
    """A line per image of P, the most likely member first: the columns of members.csv."""
    listed = set(found.discovered)
    columns = zip(found.ids, found.p_values, found.adjusted_p_values, strict=True)
    return [
        {"id": name, "p_value": p, "adjusted_p_value": adjusted, "listed": name in listed}
        for name, p, adjusted in sorted(columns, key=lambda line: line[1])
    ]


def overturned() -> Html:
    """The ways in which a verdict can be wrong."""
    return element(
        "div",
        element("h3", "How this could be wrong"),
        bullets(
            [
                "The images of U were trained on too, or those of P are not the ones in question.",
                "P and U differ in something that moves the scores and that neither the gate nor the "
                "adjustment sees: then the odds given under “What the verdict rests on” are what it takes.",
                "Images belong together (one shoot, one series, altered copies) without being marked as "
                "such: then there are fewer independent images than were counted.",
                "The question was asked before, of other sets, with other settings or seeds, until it was "
                "answered like this. Without a plan made beforehand nothing here can rule that out.",
                "The file of the model is not the model in question.",
            ]
        ),
    )


def _members(found: Individuals) -> Html:
    share = formats.level(found.q)
    if not found.discovered:
        least = (
            "" if found.fewest else " So many images of U allow no such list, however clear the scores are."
        )
        return paragraph(
            f"No single image can be named as trained on with an expected {share} of errors.{least}"
        )
    return details(
        f"{formats.count(len(found.discovered))} images that can be named, with {share} of errors",
        paragraph(
            f"Of these, at most {share} on average were not trained on (Benjamini and Hochberg, by conformal "
            "p-values against U). The strongest first.",
            class_="small",
        ),
        paragraph(", ".join(found.discovered[:_MOST_LISTED])),
        code("members.csv"),
        " has all of them with their p-values.",
    )


def _used(found: UsageFraction) -> Html:
    return paragraph(
        f"{found.sentence} The bound counts how many images of P score no higher than so many of U, and "
        "needs nothing but that the others in P are like U; from U alone there is no upper bound, for "
        "members that leave no trace cannot be told from others.",
        class_="small",
    )


def _share(found: UsageFraction) -> str:
    if found.share is not None:
        return formats.spread(found.share, formats.share)
    return f"at least {formats.share_above(found.at_least)}" if found.at_least else "cannot be told"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _excess(test: SetTest) -> str:
    excess = test.auc_excess
    return f"{formats.area(excess.estimate)} (at least {formats.area(excess.low)})"


def _gamma(results: AuditResults) -> str:
    found = results.sensitivity
    return "any" if found is None or found.gamma is None else f"× {found.gamma:.2f}"


def _listed(found: Individuals) -> str:
    return f"{formats.count(len(found.discovered))} of {formats.count(found.num_p)}"

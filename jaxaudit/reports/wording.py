"""What results say, in the words that tables, figures and pages share.

P are the images in question (called members), U comparable images the model has not seen (nonmembers). A view
is what of the model a score looks at: `cond` what it says given the class label; `diff` the difference from
what it says without. The attack tailored to a kind of model rests on its main view.
"""

from collections.abc import Mapping
from typing import Any

from jaxaudit.reports.kit import formats

Results = Mapping[str, Any]

HEADLINES = {
    "trained_on": "Evidence that the model was trained on these images",
    "no_evidence": "No evidence that the model was trained on these images",
    "not_testable": "Not testable: the two sets of images differ",
    "paper": "The published procedure, for comparison: no verdict",
}
_OTHER_ROLES = {"cond": "baseline", "diff": "difference"}

PAPER_PROBLEMS = (
    "The best score is picked on the very data it is reported on, which flatters it.",
    "The test is two-sided: half of its significance level is spent on members that score lower.",
    "Figures after ± are the spread over random halves of one data set and no confidence intervals.",
    "The number of images needed is where the mean p-value falls below α, without an interval.",
)


def role(results: Results, view: str) -> str:
    """The part a view plays: "tailored" for the main view, "baseline", "difference" or the view's name."""
    if not view:  # the one view of diffusion models has no name
        return "diffusion scores"
    return "tailored" if view == results["main_view"] else _OTHER_ROLES.get(view, view)


def view_title(results: Results, view: str) -> str:
    """ "tailored (diff)"."""
    part = role(results, view)
    return part if view in ("", part) else f"{part} ({view})"


def reported_fprs(results: Results) -> list[str]:
    """The false-positive rates with a TPR, as they are written in the results, largest first."""
    membership = results["membership"]
    keys = membership["per_score"][membership["selected"]]["tpr_at_fpr"]
    return sorted(keys, key=float, reverse=True)


def tpr_label(fpr: str | float) -> str:
    """ "TPR at 1% FPR"."""
    return f"TPR at {formats.level(float(fpr))} FPR"


def ranked_scores(results: Results) -> list[str]:
    """All scores, best first: by TPR at the largest reported FPR, then AUC, on the samples reported on."""
    per_score, fprs = results["membership"]["per_score"], reported_fprs(results)[:1]

    def strength(name: str) -> tuple[float, ...]:
        metrics = per_score[name]
        rates = [metrics["tpr_at_fpr"][fpr] for fpr in fprs]
        return tuple(formats.center(value) for value in [*rates, metrics["auc"]])

    return sorted(per_score, key=strength, reverse=True)


def score_cells(results: Results, name: str) -> list[tuple[str, str]]:
    """(metric, value) of one score, rates that could not be reported included."""
    membership = results["membership"]
    metrics = membership["per_score"][name]
    return [
        *(
            (tpr_label(fpr), formats.spread(metrics["tpr_at_fpr"][fpr], formats.percent))
            for fpr in reported_fprs(results)
        ),
        *((tpr_label(omitted["fpr"]), "too few nonmembers") for omitted in membership["omitted_fprs"]),
        ("AUC", formats.spread(metrics["auc"], formats.area)),
        ("balanced accuracy", formats.spread(metrics["balanced_accuracy"], formats.percent)),
    ]


def membership_basis(results: Results) -> str:
    """On which samples the membership metrics were measured, and what stands in parentheses."""
    m = results["membership"]
    sizes = f"{formats.count(m['num_members'])} members and {formats.count(m['num_nonmembers'])} nonmembers"
    if m["protocol"] == "paper":
        return (
            f"Mean ± standard deviation over random subsets of {sizes}; "
            "the best score is chosen on the same data."
        )
    return (
        f"Measured on {sizes}; scores and thresholds were chosen on "
        f"{formats.count(m['num_selection_members'])} and {formats.count(m['num_selection_nonmembers'])} "
        f"others. In parentheses: {formats.level(m['confidence'])} confidence intervals."
    )


def inference_cells(results: Results, view: str) -> list[tuple[str, str]]:
    """(quantity, value) of dataset inference in one view."""
    test = results["dataset_inference"][view]
    welch = test["welch"]
    cells = [
        ("p-value", formats.p_value(test["p_value"])),
        (f"significant at α = {test['alpha']:g}", "yes" if rejected(test) else "no"),
    ]
    if test["permutation_p_value"] is not None:
        cells += [
            ("by Welch's test", formats.p_value(welch["p_value"])),
            (
                f"by {formats.count(test['permutations'])} permutations",
                formats.p_value(test["permutation_p_value"]),
            ),
        ]
    cells += [
        ("effect size g", formats.spread(welch["hedges_g"], formats.effect)),
        ("images of P, of U", f"{formats.count(test['num_p'])}, {formats.count(test['num_u'])}"),
    ]
    if is_learned(test):
        held_out = f"{formats.count(test['num_test_p'])}, {formats.count(test['num_test_u'])}"
        cells += [
            ("held out for the test", held_out),
            ("AUC of the scorer", formats.spread(test["auc"], formats.area)),
            ("features", formats.count(len(test["names"]))),
        ]
    else:
        cells.append(("scores summed", formats.count(len(test["names"]))))
    if results["power_curves"]:
        cells.append(("images needed", required_size(results["power_curves"][view])))
    return cells


def is_learned(test: Mapping[str, Any]) -> bool:
    """Whether a test of dataset inference is that of CDI, whose scorer learns from part of the images."""
    return "identified" in test


def rejected(test: Mapping[str, Any]) -> bool:
    """Whether a test of dataset inference found P in the training data."""
    return test["identified"] if is_learned(test) else test["rejected"]


def required_size(curve: Mapping[str, Any]) -> str:
    """The number of images needed, "80 (40 to more than 600)"; under "paper" without interval."""
    required = curve["required"]

    def size(n: int | None) -> str:
        return formats.count(n) if n else f"more than {formats.count(curve['points'][-1]['n'])}"

    if curve["protocol"] == "paper" or required["low"] is None:
        return size(required["estimate"])
    return f"{size(required['estimate'])} ({size(required['low'])} to {size(required['high'])})"


def required_rule(curve: Mapping[str, Any]) -> str:
    """What "needed" means."""
    if curve["protocol"] == "paper":
        return f"Needed: the smallest number whose mean p-value is at most α = {curve['alpha']:g}."
    return (
        f"Needed: the smallest number of images with which {formats.level(curve['power'])} of random draws "
        f"reject at α = {curve['alpha']:g} ({formats.level(curve['confidence'])} confidence interval)."
    )


def gate_numbers(gate: Mapping[str, Any]) -> str:
    """How well a classifier that never saw the model told P from U."""
    chance = gate["chance_auc"]
    return (
        f"AUC {formats.area(gate['auc'])} (by chance {formats.area(chance['low'])} to "
        f"{formats.area(chance['high'])}), {formats.p_equals(gate['p_value'])}"
    )


def gate_state(gate: Mapping[str, Any]) -> str:
    """Whether P and U may be compared."""
    return "passed" if gate["passed"] else "failed"


def control_numbers(control: Mapping[str, Any]) -> str:
    """How often the test accused nonmembers."""
    return (
        f"{formats.spread(control['rejection_rate'], formats.percent)} of "
        f"{formats.count(control['repetitions'])} random splits rejected, "
        f"α = {formats.level(control['alpha'])}"
    )


def control_state(control: Mapping[str, Any]) -> str:
    """Whether the rate of false accusations may well be alpha or less."""
    return "passed" if control["rejection_rate"]["low"] <= control["alpha"] else "above α"

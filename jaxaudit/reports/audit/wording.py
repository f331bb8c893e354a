"""What the results of an audit say, in the words that tables, figures and pages share.

P are the images in question (called members), U comparable images the model has not seen (nonmembers). A view
is what of the model a score looks at: `cond` what it says given the class label; `diff` the difference from
what it says without. The attack tailored to a kind of model rests on its main view.
"""

from __future__ import annotations

from jaxaudit.protocols import Protocol, get_protocol
from jaxaudit.reports.kit import formats, style
from jaxaudit.results import (
    AuditResults,
    Gate,
    ImageSet,
    MembershipInference,
    NullControl,
    PowerCurve,
    SetTest,
)

HEADLINES = {
    "trained_on": "Statistical evidence that the model was trained on these images",
    "no_evidence": "No evidence that the model was trained on these images",
    "contradicted": "The two sets differ, but not in the direction of training",
    "not_testable": "Not testable: the two sets of images differ",
    "paper": "The published procedure, for comparison: no verdict",
}
_OTHER_ROLES = {"cond": "baseline", "diff": "difference"}


def protocol(results: AuditResults) -> Protocol:
    """The rules that the results follow."""
    return get_protocol(results.protocol)


def role(results: AuditResults, view: str) -> str:
    """The part a view plays: "tailored" for the main view, "baseline", "difference" or the view's name."""
    if not view:  # the one view of diffusion models has no name
        return "diffusion scores"
    return "tailored" if view == results.main_view else _OTHER_ROLES.get(view, view)


def view_title(results: AuditResults, view: str) -> str:
    """ "tailored (diff)"."""
    part = role(results, view)
    return part if view in ("", part) else f"{part} ({view})"


def caveat(results: AuditResults) -> str:
    """What is added below the title of every figure of scores where sets cannot be compared, else ""."""
    return "; the sets differ: no evidence" if results.finding.status == "not_testable" else ""


def view_colours(results: AuditResults) -> dict[str, str]:
    """{view: colour}, the main view first."""
    main = results.main_view
    views = [main, *(view for view in results.membership.groups if view != main)]
    return {view: style.VIEW_COLOURS[i % len(style.VIEW_COLOURS)] for i, view in enumerate(views)}


def reported_fprs(membership: MembershipInference) -> list[float]:
    """The false-positive rates with a TPR, largest first."""
    return sorted(membership.per_score[membership.selected].tpr_at_fpr, reverse=True)


def tpr_label(fpr: float) -> str:
    """ "TPR at 1% FPR"."""
    return f"TPR at {formats.level(fpr)} FPR"


def ranked_scores(membership: MembershipInference) -> list[str]:
    """All scores, best first: by TPR at the largest reported FPR, then AUC, on the samples reported on."""
    per_score, fprs = membership.per_score, reported_fprs(membership)[:1]

    def strength(name: str) -> tuple[float, ...]:
        metrics = per_score[name]
        return tuple(
            formats.center(value) for value in [*(metrics.tpr_at_fpr[fpr] for fpr in fprs), metrics.auc]
        )

    return sorted(per_score, key=strength, reverse=True)


def membership_basis(membership: MembershipInference) -> str:
    """On which samples the membership metrics were measured, and what stands in parentheses."""
    m = membership
    sizes = f"{formats.count(m.num_members)} members and {formats.count(m.num_nonmembers)} nonmembers"
    if m.confidence is None:
        return (
            f"Mean ± standard deviation over random subsets of {sizes}; "
            "the best score is chosen on the same data."
        )
    return (
        f"Measured on {sizes}; scores and thresholds were chosen on "
        f"{formats.count(m.num_selection_members)} and {formats.count(m.num_selection_nonmembers)} "
        "others; of images that hang together one counts. "
        f"In parentheses: {formats.level(m.confidence)} confidence intervals."
    )


def required_size(curve: PowerCurve) -> str:
    """The number of images needed, "80 (40 to more than 600)"; without interval where there is none."""
    required = curve.required

    def size(n: int | None) -> str:
        return formats.count(n) if n else f"more than {formats.count(curve.points[-1].n)}"

    if required.low is None:
        return size(required.estimate)
    return f"{size(required.estimate)} ({size(required.low)} to {size(required.high)})"


def required_rule(curve: PowerCurve) -> str:
    """What "needed" means."""
    if curve.criterion == "mean_p":
        return f"Needed: the smallest number whose mean p-value is at most α = {curve.alpha:g}."
    return (
        f"Needed: the smallest number of images with which {formats.level(curve.power)} of random draws "
        f"reject at α = {curve.alpha:g} ({formats.level(curve.confidence)} confidence interval)."
    )


def gate_numbers(gate: Gate) -> str:
    """How well what never saw the model told P from U."""
    return (
        f"{formats.p_equals(gate.p_value)} at a level of {formats.level(gate.level)}, AUC of a blind "
        f"classifier {formats.spread(gate.auc, formats.area)}"
    )


def counted(images: ImageSet, *, what: str = "images") -> str:
    """ "500 images", with what a verdict counts where that is fewer: "500 images (100 independent ones)"."""
    size, independent = images.num_images, images.num_independent
    fewer = "" if independent in (None, size) else f" ({formats.count(independent)} independent ones)"
    return f"{formats.count(size)} {what}{fewer}"


def seed(results: AuditResults) -> str:
    """Which it is, and who chose it."""
    if results.seed_given:
        return f"{results.seed}, chosen by whoever ran the audit"
    counts = results.plan is not None and results.plan.beforehand
    return f"{results.seed}, follows from the {'plan' if counts else 'evidence'}"


def plan(results: AuditResults) -> str:
    """Whether there was one that counts."""
    if results.plan is None:
        return "no"
    if results.plan.beforehand:
        return f"yes, fingerprint {results.plan.fingerprint[:16]}"
    return f"no, scoring was begun without the plan {results.plan.fingerprint[:16]}"


def rounding(results: AuditResults) -> list[str]:
    """What is to be known of scores that were not computed in float32: a sentence, or none."""
    if results.collected.precision == "float32":
        return []
    return [
        f"Scored in {results.collected.precision}: likelihoods of discrete tokens may be off by some 0.01 of "
        "an AUC, for half of the pictures get some other token than in float32."
    ]


def permuted_p(test: SetTest, p: float) -> str:
    """A p-value of relabellings, which allow no smaller one than 1 / (B + 1)."""
    least = 1 / (test.permutations + 1)
    return f"at most {formats.p_value(least)}" if p <= least * (1 + 1e-9) else formats.p_value(p)


def gate_state(gate: Gate) -> str:
    """Whether it found a difference."""
    return "no difference found" if gate.passed else "difference found"


def control_numbers(control: NullControl) -> str:
    """How often the test accused nonmembers."""
    return (
        f"{formats.spread(control.rejection_rate, formats.percent)} of "
        f"{formats.count(control.repetitions)} random splits rejected, "
        f"α = {formats.level(control.alpha)}"
    )


def control_state(control: NullControl) -> str:
    """Whether the rate may well be alpha or less."""
    return "as expected" if control.rejection_rate.low <= control.alpha else "above α"

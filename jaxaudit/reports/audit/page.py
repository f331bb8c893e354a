"""The report of an audit as one HTML file: no script, nothing loaded, the same bytes every time."""

from jaxaudit.reports.audit import background, findings, wording
from jaxaudit.reports.audit.checks import checks
from jaxaudit.reports.audit.decision import decision
from jaxaudit.reports.audit.figures import make_figures
from jaxaudit.reports.audit.verdict import verdict
from jaxaudit.reports.kit import style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import element
from jaxaudit.reports.kit.page import page
from jaxaudit.results import AuditResults

_CAPTIONS = {
    "roc": (
        "Receiver operating characteristic, both axes logarithmic. The higher a curve, the more members are "
        "found at that rate of false alarms; the dashed line is guessing. Bars show the uncertainty at the "
        "false-positive rates of the table."
    ),
    "scores": (
        "How the best score of each view is distributed. The less the two shapes overlap, the more an image "
        "gives away."
    ),
    "auc": (
        "How often a member scores above a nonmember, by each score alone; half of the time is chance. Bars "
        "are intervals."
    ),
    "p_value": (
        "Above: how small the p-value becomes with n images; lines are medians, bands hold 90% of the "
        "draws. Middle: how often the test rejects. Draws of many images share most of them, which widens "
        "the intervals to the right. Below: the number of images needed and its interval, if there is one; "
        "an arrow: perhaps more than could be drawn."
    ),
}


def render_html(results: AuditResults) -> str:
    """The whole report as an HTML page with its figures inside."""
    figures = {
        name: inline_svg(style.to_svg(figure, name), name, _CAPTIONS[name])
        for name, figure in make_figures(results).items()
    }
    title = f"Audit of {results.target.name}"
    body = element(
        "main",
        element(
            "header",
            element("p", f"jaxaudit report, {wording.protocol(results).title}"),
            element("h1", title),
        ),
        verdict(results),
        background.tested(results),
        decision(results),
        findings.membership(results, figures),
        findings.inference(results),
        findings.needed(results, figures),
        checks(results),
        background.limits(),
        background.reproduction(results),
        background.sources(results),
    )
    return page(title, body)

"""The report of mitigations as one HTML file."""

from __future__ import annotations

from jaxaudit.reports.kit import style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, bullets, code, definitions, element, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.reports.mitigation.figure import trade_off
from jaxaudit.reports.mitigation.rows import ROWS
from jaxaudit.results import MitigationResults

_CAPTION = (
    "Each point is the target after one change: how much it still leaks (up) against how good it still is "
    "(right is worse). Lines lead from the unchanged target through growing changes, bars are 95% intervals. "
    "A good mitigation goes straight down; one that merely breaks the model goes down and to the right, as "
    "random units do."
)
_SOURCES = (
    (
        "Scaling units by UnitMem",
        "Kasliwal, Boenisch, Dziedzic: Localizing and Mitigating Memorization in Image Autoregressive "
        "Models. 2025, arXiv 2509.00488",
    ),
    (
        "Output noise; the attacks",
        "Kowalczuk, Dubiński, Boenisch, Dziedzic: Privacy Attacks on Image AutoRegressive Models. ICML 2025, "
        "arXiv 2502.02514",
    ),
)


def render_mitigation(results: MitigationResults) -> str:
    """The whole report as an HTML page with its figure inside."""
    svg = style.to_svg(trade_off(results), "trade_off")
    heading = f"Mitigations of {results.target.name}"
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, mitigations"), element("h1", heading)),
        section(
            "finding",
            "What was found",
            paragraph("Every change starts from the same target, which is then attacked again."),
            inline_svg(svg, "trade_off", _CAPTION),
        ),
        section("numbers", "All numbers", table(*turned(read(ROWS, results.records)), dense=True)),
        _limits(),
        section(
            "measured",
            "How it was measured",
            definitions(
                [
                    ("Target", code(results.target.name)),
                    ("Fingerprint of its weights", code(str(results.target.fingerprint))),
                    ("Members", code(results.members)),
                    ("Nonmembers", code(results.nonmembers)),
                    *_SOURCES,
                ]
            ),
        ),
        skipped_list(results.skipped),
    )
    return page(heading, body)


def _limits() -> Html:
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                "The attacks do not know that the target was changed. An attacker who does can adapt: noise "
                "that follows from the question cannot be averaged away by asking again, but it can be "
                "averaged over similar questions.",
                "Units were chosen on the same training images that the attacks try to find. That is what a "
                "model's owner can do, and what the mitigation is for.",
                "Lower leakage at a worse quality is no success by itself: compare with random units and "
                "with merely active ones.",
            ]
        ),
    )

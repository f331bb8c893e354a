"""Targets side by side, as one HTML file."""

from __future__ import annotations

from jaxaudit.reports.comparison.figure import leakage_figure
from jaxaudit.reports.comparison.rows import CAUTION, CORRELATION_ROWS, ROWS
from jaxaudit.reports.comparison.scaling import scaling_figure
from jaxaudit.reports.kit import style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import element, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.results import ComparisonResults

_TITLE = "What each target gives away"


def render_comparison(results: ComparisonResults) -> str:
    """The comparison as one HTML page with its figures inside."""
    leakage = style.to_svg(leakage_figure(results.targets), "leakage")
    parts = [
        element("header", element("p", "jaxaudit report, comparison"), element("h1", _TITLE)),
        section(
            "targets",
            "Leakage by target",
            table(*turned(read(ROWS, results.targets)), dense=True),
            inline_svg(leakage, "leakage", "True-positive rate at 1% false positives against parameters."),
        ),
    ]
    if results.correlations:
        scaling = style.to_svg(scaling_figure(results), "scaling")
        parts.append(
            section(
                "correlations",
                "What leakage goes with",
                table(*turned(read(CORRELATION_ROWS, results.correlations))),
                paragraph(CAUTION),
                inline_svg(scaling, "scaling", "Leakage of the best score; ρ: Spearman's rank correlation."),
            )
        )
    return page(_TITLE, element("main", *parts))

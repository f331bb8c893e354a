"""A study as a figure and as CSV."""

from __future__ import annotations

from matplotlib.figure import Figure

from jaxaudit.reports.kit import style
from jaxaudit.reports.kit.rows import csv_table, flat
from jaxaudit.reports.studies.null import null_figure
from jaxaudit.reports.studies.panels import panel_figure
from jaxaudit.reports.studies.table import table_figure
from jaxaudit.results import NullStudyResults, StudyResults


def study_figure(results: StudyResults | NullStudyResults) -> Figure:
    """The figure of one study.

    Most show the share of draws that identify P, two of them below the p-value (median, or mean where that is
    the criterion). "features" is a table in colour, "roc" a set of curves, "false_positives" a row per
    simulation.
    """
    with style.house_style():
        if isinstance(results, NullStudyResults):
            return null_figure(results)
        if results.study == "features":
            return table_figure(results)
        return panel_figure(results)


def study_csv(results: StudyResults | NullStudyResults) -> str:
    """One line per setting; an interval is three columns, curves are left out."""
    if isinstance(results, NullStudyResults):
        return csv_table([flat(rate) for rate in results.rates])
    return csv_table(
        [
            {"target": target.target, **flat(row)}
            for target in results.targets
            for row in (*target.points, *target.curves)
        ]
    )

"""Tables, figures and pages of an audit, drawn from `results.json`; no statistic is computed here."""

from jaxaudit.reports.audit_page import render_html
from jaxaudit.reports.figures import draw_figures
from jaxaudit.reports.table import print_results

__all__ = ["draw_figures", "print_results", "render_html"]

"""Tables, figures and pages, drawn from the records of `jaxaudit.results`; no statistic is computed here.

audit         verdict, membership, dataset inference      answer     the same for an owner, in plain words
extraction, localization, mitigation, studies             comparison several audits side by side
files         what is written where                       kit        what all of them are made of
"""

from jaxaudit.reports.audit.figures import draw_figures
from jaxaudit.reports.audit.page import render_html
from jaxaudit.reports.audit.terminal import print_results

__all__ = ["draw_figures", "print_results", "render_html"]

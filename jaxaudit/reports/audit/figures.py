"""All figures of an audit, as files or as matplotlib figures."""

from matplotlib.figure import Figure

from jaxaudit.paths import Location, Place, as_place, make_folder
from jaxaudit.reports.audit import auc_figure, membership_figures, power_figure
from jaxaudit.reports.kit import style
from jaxaudit.results import AuditResults


def draw_figures(results: AuditResults, directory: Location) -> list[Place]:
    """Writes each figure as PNG (200 dpi) and SVG; the same results give the same bytes.

    Returns:
      The files written to `directory`, which is created if missing. There is no p-value figure where the
      sets could not be tested.
    """
    directory = make_folder(as_place(directory))
    return [
        path for name, figure in make_figures(results).items() for path in style.save(figure, directory, name)
    ]


def make_figures(results: AuditResults) -> dict[str, Figure]:
    """{name: figure} of what there is to draw: "roc", "scores", "auc", "p_value"."""
    with style.house_style():
        figures = {
            "roc": membership_figures.roc(results),
            "scores": membership_figures.scores(results),
            "auc": auc_figure.auc(results),
        }
        if results.power_curves:
            figures["p_value"] = power_figure.p_value(results)
    return figures

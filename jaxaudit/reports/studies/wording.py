"""What the figures of studies are called."""

from __future__ import annotations

from jaxaudit.reports.kit import formats
from jaxaudit.results import StudyResults

TITLES = {
    "p_value": "How many images it takes to identify P",
    "contamination": "P with nonmembers in it",
    "imbalance": "More or fewer images of U than of P",
    "access": "What access to the model is worth",
    "features": "Which attacks carry the test",
    "set_membership": "Identifying a set: CDI against single scores",
    "roc": "Sets of members against sets of nonmembers",
    "false_positives": "How often P is identified where nothing was learned",
}


def subtitle(results: StudyResults) -> str:
    """What is drawn, and on how many draws by which test."""
    what = {
        "features": "% of draws that identify P, by features used (number of them)",
        "roc": "1 − p as the score of a set",
        "set_membership": "maximum (dotted) and mean of the best scores, thresholds from nonmember sets",
        "imbalance": "dotted: P of nonmembers",
    }.get(results.study, "")
    draws = (
        f"{formats.count(results.repetitions)} draws each, procedure {results.procedure!r}, "
        f"α = {formats.level(results.alpha)}"
    )
    return f"{what}; {draws}" if what else draws

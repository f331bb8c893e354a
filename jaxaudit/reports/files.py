"""What the programs leave behind: every file of results, tables, figures and pages is written here.

A page, a table and the results are there whole or not at all. The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxaudit.files import write_atomically
from jaxaudit.paths import Location, Place, as_place, make_folder
from jaxaudit.reports.answer.page import render_answer
from jaxaudit.reports.audit.decision import member_lines
from jaxaudit.reports.audit.figures import draw_figures
from jaxaudit.reports.audit.page import render_html
from jaxaudit.reports.benchmark.figure import suite_figure
from jaxaudit.reports.benchmark.table import suite_markdown
from jaxaudit.reports.comparison.figure import leakage_figure
from jaxaudit.reports.comparison.page import render_comparison
from jaxaudit.reports.comparison.rows import comparison_csv, comparison_latex
from jaxaudit.reports.comparison.scaling import scaling_figure
from jaxaudit.reports.defence.figure import defence_curves
from jaxaudit.reports.defence.page import render_defences
from jaxaudit.reports.defence.rows import defences_csv
from jaxaudit.reports.epsilon.figure import shown_epsilon
from jaxaudit.reports.epsilon.page import render_epsilon
from jaxaudit.reports.epsilon.study import study_csv as epsilon_csv
from jaxaudit.reports.epsilon.study import study_figure as epsilon_figure
from jaxaudit.reports.exhibit.page import render_exhibit
from jaxaudit.reports.extraction.figures import make_extraction_figures
from jaxaudit.reports.extraction.gallery import gallery
from jaxaudit.reports.extraction.page import render_extraction
from jaxaudit.reports.fair_sets.figures import balance_figure, odds_figure
from jaxaudit.reports.fair_sets.page import render_fair_sets
from jaxaudit.reports.kit import style
from jaxaudit.reports.kit.rows import csv_table, flat
from jaxaudit.reports.leaderboard.figure import frontier_figure
from jaxaudit.reports.leaderboard.page import render_leaderboard
from jaxaudit.reports.leaderboard.rows import leaderboard_csv
from jaxaudit.reports.localization.figures import draw_localization
from jaxaudit.reports.localization.page import render_localization
from jaxaudit.reports.mitigation.figure import trade_off
from jaxaudit.reports.mitigation.page import render_mitigation
from jaxaudit.reports.mitigation.rows import mitigation_csv
from jaxaudit.reports.precision.table import precision_markdown
from jaxaudit.reports.provenance.confusion import confusion, study_markdown
from jaxaudit.reports.provenance.figure import origins
from jaxaudit.reports.provenance.page import render_provenance
from jaxaudit.reports.regeneration.figure import expected_back
from jaxaudit.reports.regeneration.page import render_regeneration
from jaxaudit.reports.reliability.table import reliability_markdown
from jaxaudit.reports.reliability.usage import usage_figure
from jaxaudit.reports.schedules.figure import leakage_by_schedule
from jaxaudit.reports.schedules.page import render_schedules
from jaxaudit.reports.studies.figure import study_csv, study_figure
from jaxaudit.results import (
    AuditResults,
    ComparisonResults,
    DefenceResults,
    EpsilonResults,
    EpsilonStudyResults,
    Exhibit,
    ExtractionResults,
    FairSets,
    LeaderboardResults,
    LocalizationResults,
    MitigationResults,
    NullStudyResults,
    OwnersAnswer,
    PrecisionStudy,
    ProvenanceResults,
    ProvenanceStudy,
    RegenerationResults,
    ReliabilityResults,
    ScheduleResults,
    StudyResults,
    SuiteResults,
    replace,
    write_results,
)

Directory = Location


def write_audit(results: AuditResults, directory: Directory) -> list[Place]:
    """Writes results.json, members.csv (of images tested singly), figures/ and report.html; returns them."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    members = _members(results, directory)
    figures = draw_figures(results, directory / "figures")
    page = _page(directory / "report.html", render_html(results))
    return [directory / "results.json", *members, *figures, page]


def write_answer(
    answer: OwnersAnswer, directory: Directory, pictures: Sequence[Mapping[str, bytes]] = ()
) -> list[Place]:
    """Writes answer.json, members.csv (of pictures tested singly) and answer.html; returns the files.

    Args:
      answer: what was found.
      directory: created if missing.
      pictures: {id: PNG file} of some of P and of some of U, to be shown.
    """
    directory = _made(directory)
    write_results(directory / "answer.json", answer)
    audit = answer.audit
    if answer.status == "generated":  # nobody is to be named as trained on
        audit = replace(audit, individuals=None)
    members = _members(audit, directory)
    return [
        directory / "answer.json",
        *members,
        _page(directory / "answer.html", render_answer(answer, pictures)),
    ]


def write_exhibit(
    exhibit: Exhibit | None, thumbnails: Mapping[str, bytes], directory: Directory
) -> list[Place]:
    """Writes exhibit.json, exhibit.csv (all pictures) and exhibit.html; without one, none is left.

    Args:
      exhibit: the pictures that can be named; None if none can.
      thumbnails: {id: PNG file} of those that the page shows.
      directory: created if missing.
    """
    directory = _made(directory)
    if exhibit is None:
        for name in ("exhibit.json", "exhibit.csv", "exhibit.html"):
            (directory / name).unlink(missing_ok=True)
        return []
    write_results(directory / "exhibit.json", exhibit)
    return [
        directory / "exhibit.json",
        _page(directory / "exhibit.csv", csv_table([flat(picture) for picture in exhibit.pictures])),
        _page(directory / "exhibit.html", render_exhibit(exhibit, thumbnails)),
    ]


def write_comparison(results: ComparisonResults, directory: Directory) -> list[Place]:
    """Writes comparison.json, .csv (numbers) and .tex (booktabs), figures, report.html; returns the files."""
    directory, targets = _made(directory), results.targets
    write_results(directory / "comparison.json", results)
    texts = {
        "comparison.csv": comparison_csv(targets),
        "comparison.tex": comparison_latex(targets),
        "report.html": render_comparison(results),
    }
    files = [_page(directory / name, text) for name, text in texts.items()]
    with style.house_style():
        figures = {"comparison": leakage_figure(targets)}
    if results.correlations:
        figures["scaling"] = scaling_figure(results)
    drawn = [path for name, figure in figures.items() for path in style.save(figure, directory, name)]
    return [directory / "comparison.json", *files, *drawn]


def write_extraction(
    results: ExtractionResults,
    extracted: Mapping[str, Any],
    pictures: tuple[Float[np.ndarray, "N H W 3"], Float[np.ndarray, "N H W 3"]],
    directory: Directory,
) -> list[Place]:
    """Writes results.json, figures/ with the gallery, and report.html; returns the files.

    Args:
      results: what was found.
      extracted: {column: [E]}, the table of extracted pictures.
      pictures: originals and completions of the pictures that the gallery names, float32 in [0,1].
      directory: created if missing.
    """
    directory = _made(directory)
    write_results(directory / "results.json", results)
    figures = _made(directory / "figures")
    files = [
        path
        for name, figure in make_extraction_figures(results).items()
        for path in style.save(figure, figures, name)
    ]
    shown = style.save(gallery(results, *pictures), figures, "gallery")
    page = render_extraction(results, extracted, shown[0].read_bytes())
    return [directory / "results.json", *files, *shown, _page(directory / "report.html", page)]


def write_regeneration(results: RegenerationResults, directory: Directory) -> list[Place]:
    """Writes results.json, the figure and report.html; returns them."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    figure = style.save(expected_back(results), directory, "expected")
    return [
        directory / "results.json",
        *figure,
        _page(directory / "report.html", render_regeneration(results)),
    ]


def write_leaderboard(results: LeaderboardResults, directory: Directory) -> list[Place]:
    """Writes results.json, leaderboard.csv (a line per target and score), the figure and report.html."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    table = _page(directory / "leaderboard.csv", leaderboard_csv(results))
    figure = style.save(frontier_figure(results), directory, "leaderboard")
    page = _page(directory / "report.html", render_leaderboard(results))
    return [directory / "results.json", table, *figure, page]


def write_fair_sets(results: FairSets, directory: Directory) -> list[Place]:
    """Writes results.json, the figures and report.html; returns them."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    figures = [
        path
        for name, figure in (("odds", odds_figure(results)), ("balance", balance_figure(results)))
        for path in style.save(figure, directory, name)
    ]
    return [
        directory / "results.json",
        *figures,
        _page(directory / "report.html", render_fair_sets(results)),
    ]


def write_provenance(results: ProvenanceResults, directory: Directory) -> list[Place]:
    """Writes results.json, the figure and report.html; returns them."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    figure = style.save(origins(results), directory, "origins")
    page = _page(directory / "report.html", render_provenance(results))
    return [directory / "results.json", *figure, page]


def write_provenance_study(results: ProvenanceStudy, directory: Directory) -> list[Place]:
    """Writes provenance.json, provenance.md and the figure; returns them."""
    directory = _made(directory)
    write_results(directory / "provenance.json", results)
    table = _page(directory / "provenance.md", study_markdown(results))
    figure = style.save(confusion(results), directory, "confusion") if results.targets else []
    return [directory / "provenance.json", table, *figure]


def write_epsilon(results: EpsilonResults, directory: Directory) -> list[Place]:
    """Writes results.json, the figure and report.html; returns them."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    figure = style.save(shown_epsilon(results), directory, "epsilon")
    return [directory / "results.json", *figure, _page(directory / "report.html", render_epsilon(results))]


def write_epsilon_study(results: EpsilonStudyResults, directory: Directory) -> list[Place]:
    """Writes study.json, study.csv (a line per setting) and the figure; returns the files."""
    directory = _made(directory)
    write_results(directory / "study.json", results)
    table = _page(directory / "study.csv", epsilon_csv(results))
    return [directory / "study.json", table, *style.save(epsilon_figure(results), directory, "study")]


def write_localization(
    results: LocalizationResults, pictures: Mapping[str, bytes], directory: Directory
) -> list[Place]:
    """Writes results.json, pictures/, figures/ and report.html; returns the files.

    Args:
      results: what was found.
      pictures: {id: PNG file} of the pictures it names, in order.
      directory: created if missing.
    """
    directory = _made(directory)
    write_results(directory / "results.json", results)
    thumbnails = [_made(directory / "pictures") / f"{i:02d}.png" for i in range(len(pictures))]
    for path, png in zip(thumbnails, pictures.values(), strict=True):
        write_atomically(path, png)
    figures = draw_localization(results, directory / "figures")
    page = _page(directory / "report.html", render_localization(results, pictures))
    return [directory / "results.json", *thumbnails, *figures, page]


def write_mitigation(results: MitigationResults, directory: Directory) -> list[Place]:
    """Writes results.json, mitigation.csv, figures/trade_off and report.html; returns the files."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    table = _page(directory / "mitigation.csv", mitigation_csv(results))
    figures = style.save(trade_off(results), _made(directory / "figures"), "trade_off")
    page = _page(directory / "report.html", render_mitigation(results))
    return [directory / "results.json", table, *figures, page]


def write_defences(results: DefenceResults, directory: Directory) -> list[Place]:
    """Writes results.json, defences.csv, the figure and report.html; returns the files."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    table = _page(directory / "defences.csv", defences_csv(results))
    figure = style.save(defence_curves(results), directory, "defences")
    page = _page(directory / "report.html", render_defences(results))
    return [directory / "results.json", table, *figure, page]


def write_study(results: StudyResults | NullStudyResults, directory: Directory) -> list[Place]:
    """Writes STUDY.json, STUDY.csv (a line per setting) and the figure; returns the files."""
    directory, name = _made(directory), results.study
    write_results(directory / f"{name}.json", results)
    table = _page(directory / f"{name}.csv", study_csv(results))
    return [directory / f"{name}.json", table, *style.save(study_figure(results), directory, name)]


def write_schedules(results: ScheduleResults, directory: Directory) -> list[Place]:
    """Writes results.json, the figure and report.html; returns the files."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    return [
        directory / "results.json",
        *style.save(leakage_by_schedule(results), directory, "schedules"),
        _page(directory / "report.html", render_schedules(results)),
    ]


def write_reliability(results: ReliabilityResults, directory: Directory) -> list[Place]:
    """Writes reliability.json, reliability.md, and the figure of shares if there are any; returns them."""
    directory = _made(directory)
    write_results(directory / "reliability.json", results)
    figure = style.save(usage_figure(results.usage), directory, "usage") if results.usage else []
    return [
        directory / "reliability.json",
        _page(directory / "reliability.md", reliability_markdown(results)),
        *figure,
    ]


def write_suite(results: SuiteResults, directory: Directory) -> list[Place]:
    """Writes results.json, benchmarks.md and the figure; returns the files."""
    directory = _made(directory)
    write_results(directory / "results.json", results)
    table = _page(directory / "benchmarks.md", suite_markdown(results))
    return [directory / "results.json", table, *style.save(suite_figure(results), directory, "benchmarks")]


def write_precision(results: PrecisionStudy, directory: Directory) -> list[Place]:
    """Writes precision.json and precision.md; returns them."""
    directory = _made(directory)
    write_results(directory / "precision.json", results)
    return [directory / "precision.json", _page(directory / "precision.md", precision_markdown(results))]


def _members(results: AuditResults, directory: Place) -> list[Place]:
    """members.csv, a line per image of P, the most likely member first; none of an earlier run is left."""
    path, found = directory / "members.csv", results.individuals
    if found is None:
        path.unlink(missing_ok=True)
        return []
    return [_page(path, csv_table(member_lines(found)))]


def _made(directory: Directory) -> Place:
    return make_folder(as_place(directory))


def _page(path: Place, text: str) -> Place:
    write_atomically(path, text.encode())
    return path

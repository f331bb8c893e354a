"""What the programs leave behind: every file of results, tables, figures and pages is written here.

A page, a table and the results are there whole or not at all. The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

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
Render = Callable[[Any], str]
"""Makes a text of results."""
Draw = Callable[[Any], Figure]
"""Makes a figure of results."""


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
    figures: dict[str, Draw] = {"comparison": lambda found: leakage_figure(found.targets)}
    if results.correlations:
        figures["scaling"] = scaling_figure
    tables: dict[str, Render] = {
        "comparison.csv": lambda found: comparison_csv(found.targets),
        "comparison.tex": lambda found: comparison_latex(found.targets),
    }
    return _written(
        results, directory, "comparison.json", tables=tables, figures=figures, page=render_comparison
    )


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
    """Writes results.json, report.html and the figure; returns the files."""
    figures = {"expected": expected_back}
    return _written(results, directory, "results.json", figures=figures, page=render_regeneration)


def write_leaderboard(results: LeaderboardResults, directory: Directory) -> list[Place]:
    """Writes results.json, leaderboard.csv (a line per target and score), report.html and the figure."""
    return _written(
        results,
        directory,
        "results.json",
        tables={"leaderboard.csv": leaderboard_csv},
        figures={"leaderboard": frontier_figure},
        page=render_leaderboard,
    )


def write_fair_sets(results: FairSets, directory: Directory) -> list[Place]:
    """Writes results.json, report.html and the figures; returns the files."""
    figures = {"odds": odds_figure, "balance": balance_figure}
    return _written(results, directory, "results.json", figures=figures, page=render_fair_sets)


def write_provenance(results: ProvenanceResults, directory: Directory) -> list[Place]:
    """Writes results.json, report.html and the figure; returns the files."""
    return _written(results, directory, "results.json", figures={"origins": origins}, page=render_provenance)


def write_provenance_study(results: ProvenanceStudy, directory: Directory) -> list[Place]:
    """Writes provenance.json, provenance.md and the figure, if there are targets; returns the files."""
    figures = {"confusion": confusion} if results.targets else {}
    tables = {"provenance.md": study_markdown}
    return _written(results, directory, "provenance.json", tables=tables, figures=figures)


def write_epsilon(results: EpsilonResults, directory: Directory) -> list[Place]:
    """Writes results.json, report.html and the figure; returns the files."""
    figures = {"epsilon": shown_epsilon}
    return _written(results, directory, "results.json", figures=figures, page=render_epsilon)


def write_epsilon_study(results: EpsilonStudyResults, directory: Directory) -> list[Place]:
    """Writes study.json, study.csv (a line per setting) and the figure; returns the files."""
    tables, figures = {"study.csv": epsilon_csv}, {"study": epsilon_figure}
    return _written(results, directory, "study.json", tables=tables, figures=figures)


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
    """Writes results.json, mitigation.csv, report.html and figures/trade_off; returns the files."""
    return _written(
        results,
        directory,
        "results.json",
        tables={"mitigation.csv": mitigation_csv},
        figures={"figures/trade_off": trade_off},
        page=render_mitigation,
    )


def write_defences(results: DefenceResults, directory: Directory) -> list[Place]:
    """Writes results.json, defences.csv, report.html and the figure; returns the files."""
    return _written(
        results,
        directory,
        "results.json",
        tables={"defences.csv": defences_csv},
        figures={"defences": defence_curves},
        page=render_defences,
    )


def write_study(results: StudyResults | NullStudyResults, directory: Directory) -> list[Place]:
    """Writes STUDY.json, STUDY.csv (a line per setting) and the figure; returns the files."""
    name = results.study
    tables, figures = {f"{name}.csv": study_csv}, {name: study_figure}
    return _written(results, directory, f"{name}.json", tables=tables, figures=figures)


def write_schedules(results: ScheduleResults, directory: Directory) -> list[Place]:
    """Writes results.json, report.html and the figure; returns the files."""
    figures = {"schedules": leakage_by_schedule}
    return _written(results, directory, "results.json", figures=figures, page=render_schedules)


def write_reliability(results: ReliabilityResults, directory: Directory) -> list[Place]:
    """Writes reliability.json, reliability.md, and the figure of shares where there are any; returns all."""
    figures: dict[str, Draw] = {"usage": lambda found: usage_figure(found.usage)} if results.usage else {}
    tables = {"reliability.md": reliability_markdown}
    return _written(results, directory, "reliability.json", tables=tables, figures=figures)


def write_suite(results: SuiteResults, directory: Directory) -> list[Place]:
    """Writes results.json, benchmarks.md and the figure; returns the files."""
    tables, figures = {"benchmarks.md": suite_markdown}, {"benchmarks": suite_figure}
    return _written(results, directory, "results.json", tables=tables, figures=figures)


def write_precision(results: PrecisionStudy, directory: Directory) -> list[Place]:
    """Writes precision.json and precision.md; returns the files."""
    tables = {"precision.md": precision_markdown}
    return _written(results, directory, "precision.json", tables=tables)


def _written(
    results: Any,
    directory: Directory,
    record: str,
    *,
    tables: Mapping[str, Render] = MappingProxyType({}),
    figures: Mapping[str, Draw] = MappingProxyType({}),
    page: Render | None = None,
) -> list[Place]:
    """Writes the record before anything is made of it, then the rest, report.html last; returns the files."""
    directory = _made(directory)
    write_results(directory / record, results)
    files = [_page(directory / name, render(results)) for name, render in tables.items()]
    for name, draw in figures.items():
        path = directory / name
        files += style.save(draw(results), _made(path.parent), path.name)
    if page is not None:
        files.append(_page(directory / "report.html", page(results)))
    return [directory / record, *files]


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

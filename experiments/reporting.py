"""Results to files and screen, for every program that ends in a verdict."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxaudit.evidence import write_atomically
from jaxaudit.reports import draw_figures, print_results, render_html


def write_report(results: dict[str, Any], directory: Path) -> None:
    """Writes results.json, the figures and report.html to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "results.json", json.dumps(results, indent=1).encode())
    draw_figures(results, directory / "figures")
    write_atomically(directory / "report.html", render_html(results).encode())


def show(results: dict[str, Any], directory: Path, console: Console) -> None:
    """Writes the report and prints the tables."""
    write_report(results, directory)
    print_results(results, console)
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

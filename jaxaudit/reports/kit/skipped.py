"""The pictures that a program could not use and left out: how many, which, and why, for page and terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, bullets, details, join

Skipped = Mapping[str, Mapping[str, str]]
"""{which set: {id: reason}}."""


def print_skipped(skipped: Skipped, console: Console) -> None:
    """A sentence for each set of which something was left out, and a line for each picture."""
    for sentence, lines in _said(skipped):
        console.print(sentence, markup=False, highlight=False)
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def skipped_list(skipped: Skipped) -> Html:
    """The same for a page, closed at first; nothing if nothing was left out."""
    return join([details(sentence, bullets(lines)) for sentence, lines in _said(skipped)])


def _said(skipped: Skipped) -> Iterator[tuple[str, list[str]]]:
    for which, reasons in skipped.items():
        if reasons:
            lines = [f"{sample_id}: {reason}" for sample_id, reason in reasons.items()]
            yield f"Left out of the {which}, for they cannot be used: {formats.count(len(lines))}", lines

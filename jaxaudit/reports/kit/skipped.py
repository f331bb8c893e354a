"""The pictures that a program left out: how many, which, and why, for page and terminal.

Those it could not use are skipped; copies are altered ones of pictures of the other side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, bullets, details, join

Skipped = Mapping[str, Mapping[str, str]]
"""{which set: {id: reason}}."""
Copies = Mapping[str, Mapping[str, str]]
"""{which set: {id: the picture of the other set that it is a copy of}}."""

_CANNOT_BE_USED = "they cannot be used"
_COPIES = "they are altered copies of pictures of the other side, which can stand for neither"


def print_skipped(skipped: Skipped, console: Console) -> None:
    """A sentence for each set of which something was left out, and a line for each picture."""
    _print(skipped, _CANNOT_BE_USED, console)


def print_copies(copies: Copies, console: Console) -> None:
    """The same for copies."""
    _print(_of(copies), _COPIES, console)


def _print(left_out: Skipped, why: str, console: Console) -> None:
    for sentence, lines in _said(left_out, why):
        console.print(sentence, markup=False, highlight=False)
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def skipped_list(skipped: Skipped) -> Html:
    """The same for a page, closed at first; nothing if nothing was left out."""
    return _list(skipped, _CANNOT_BE_USED)


def copies_list(copies: Copies) -> Html:
    """The same for copies."""
    return _list(_of(copies), _COPIES)


def _list(left_out: Skipped, why: str) -> Html:
    return join([details(sentence, bullets(lines)) for sentence, lines in _said(left_out, why)])


def _of(copies: Copies) -> Skipped:
    return {
        which: {sample_id: f"a copy of {other}" for sample_id, other in each.items()}
        for which, each in copies.items()
    }


def _said(left_out: Skipped, why: str) -> Iterator[tuple[str, list[str]]]:
    for which, reasons in left_out.items():
        if reasons:
            lines = [f"{sample_id}: {reason}" for sample_id, reason in reasons.items()]
            yield f"Left out of the {which}, for {why}: {formats.count(len(lines))}", lines

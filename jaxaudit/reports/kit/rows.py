"""A table as data: one row says what it is called and how it reads; terminal, page, LaTeX and CSV follow.

ROWS = (
    Row("AUC", lambda metrics: formats.spread(metrics.auc, formats.area)),
    Row("threshold", lambda metrics: f"{metrics.threshold:.3g}"),
)
read(ROWS, [metrics_of_one, metrics_of_another])    # [("AUC", ["0.71 …", "0.69 …"]), ...]
"""

from __future__ import annotations

import csv
import dataclasses
import io
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from jaxaudit.errors import one_line
from jaxaudit.results import Record

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Row(Generic[T]):
    """One quantity of a record.

    Attributes:
      label: what it is called, of the first record where it depends on one.
      text: how it reads; None where it does not apply.
      short: the same in a narrow place; None where it is left out there.
    """

    label: str | Callable[[T], str]
    text: Callable[[T], str | None]
    short: Callable[[T], str] | None = None


def read(rows: Iterable[Row[T]], records: Sequence[T]) -> list[tuple[str, list[str]]]:
    """(label, a text per record) of the rows that apply to some record; empty where one does not apply."""
    found = []
    for row in rows:
        texts = [row.text(record) for record in records]
        if any(text is not None for text in texts):
            label = row.label if isinstance(row.label, str) else row.label(records[0])
            found.append((label, [text or "" for text in texts]))
    return found


def shortened(rows: Iterable[Row[T]]) -> list[Row[T]]:
    """The rows that are shown in a narrow place, as they read there."""
    return [Row(row.label, row.short) for row in rows if row.short is not None]


def turned(read_rows: Sequence[tuple[str, list[str]]]) -> tuple[list[str], list[list[str]]]:
    """The labels as a heading, and a line per record."""
    return [label for label, _ in read_rows], [
        list(line) for line in zip(*(texts for _, texts in read_rows), strict=True)
    ]


def terminal_table(
    title: str | None, heading: Sequence[str], lines: Iterable[Sequence[str]], *, caption: str | None = None
) -> Table:
    """A table of plain text for a terminal."""
    table = Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        pad_edge=False,
    )
    for text in heading:
        table.add_column(Text(text), overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def latex_table(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A booktabs table, the first column flush left."""
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}",
            r"\toprule",
            " & ".join(map(_latex, heading)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_latex, line)) + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def csv_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of named values as CSV; a name that a line lacks is empty there.

    Text stays on its line; what a spreadsheet would take for a formula begins with an apostrophe, as it is
    typed there.
    """
    buffer = io.StringIO()
    names = dict.fromkeys(name for line in lines for name in line)
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
    return buffer.getvalue()


def flat(record: Record, *, prefix: str = "") -> dict[str, Any]:
    """The single values of a record by name, None where there is none; series are left out.

    A record or a mapping within gives NAME_FIELD for each of its fields.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        name, value = f"{prefix}{field.name}", getattr(record, field.name)
        within = [kind for kind in typing.get_args(field.type) if _is_record(kind)]
        if isinstance(value, Record):
            values |= flat(value, prefix=f"{name}_")
        elif isinstance(value, Mapping):
            values |= {f"{name}_{key}": item for key, item in value.items()}
        elif value is None and within:
            values |= {f"{name}_{key}": None for key in within[0].__struct_fields__}
        elif not isinstance(value, tuple):
            values[name] = value
    return values


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _latex(text: str) -> str:
    return one_line(text).translate(_LATEX)


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"<": "$<$", ">": "$>$", "±": r"$\pm$", "−": "$-$"}
)

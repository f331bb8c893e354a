"""HTML from Python values. Text is escaped unless it is `Html` already, so that nothing slips through.

Attributes are keywords: a trailing underscore is dropped (`class_`), other underscores become hyphens.
"""

import html
from collections.abc import Iterable, Sequence

_VOID = {"br", "meta"}


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """<name attributes>children</name>; an attribute that is True stands alone, False or None is left out."""
    opening = name
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            opening += f" {attribute}"
        elif value is not None and value is not False:
            opening += f' {attribute}="{html.escape(value)}"'
    if name in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{join(children)}</{name}>")


def join(parts: Iterable[str], *, separator: str = "") -> Html:
    """The parts, those that are not HTML escaped."""
    return Html(separator.join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def paragraph(*children: str, class_: str | None = None) -> Html:
    """<p>."""
    return element("p", *children, class_=class_)


def bullets(items: Iterable[str]) -> Html:
    """<ul>."""
    return element("ul", *(element("li", item) for item in items))


def definitions(rows: Iterable[tuple[str, str]]) -> Html:
    """<dl> of (term, description)."""
    return element("dl", *(element("div", element("dt", term), element("dd", text)) for term, text in rows))


def table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], *, marked: int | None = None, dense: bool = False
) -> Html:
    """<table>; the first cell of a row is its heading, row number `marked` is set off."""
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in heading)))
    body = element(
        "tbody",
        *(
            element(
                "tr",
                element("th", row[0], scope="row"),
                *(element("td", cell) for cell in row[1:]),
                class_="marked" if number == marked else None,
            )
            for number, row in enumerate(rows)
        ),
    )
    return element("div", element("table", head, body), class_="scroll dense" if dense else "scroll")


def key_numbers(tiles: Sequence[tuple[str, str, str]]) -> Html:
    """Large numbers, each with what it is and a remark."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", label),
                element("dd", number, element("small", remark)),
                class_="tile",
            )
            for label, number, remark in tiles
        ),
        class_="tiles",
    )


def details(summary: str, *children: str) -> Html:
    """<details>, closed at first."""
    return element("details", element("summary", summary), *children)


def code(text: str) -> Html:
    """<code>."""
    return element("code", text)


def section(anchor: str, heading: str, *children: str) -> Html:
    """<section> with an <h2>."""
    return element("section", element("h2", heading), *children, id=anchor)

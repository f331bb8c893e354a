"""A self-contained HTML page: no script, nothing loaded, the same bytes every time."""

from jaxaudit.reports.kit.markup import Html, element
from jaxaudit.reports.kit.stylesheet import stylesheet


def page(title: str, body: Html) -> str:
    """A self-contained HTML page in the house style."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(stylesheet())),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}\n"

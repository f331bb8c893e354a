"""MkDocs hook: the fields of every kind of results file, from the records themselves."""

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import msgspec

log = logging.getLogger("mkdocs.hooks.documents")
PAGE = "formats/results.md"


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Adds a section per document, and misses those that the page does not name."""
    del kwargs
    if page.file.src_uri != PAGE:
        return markdown
    sections = []
    for document in documents():
        if f"[{document.__name__}]" not in markdown:
            log.warning("%s does not say where %s is written.", PAGE, document.__name__)
        sections.append(_section(document))
    return "\n\n".join([markdown, *sections])


def documents() -> Iterator[type]:
    """Every record that is a file of its own, in the order of the modules."""
    package = importlib.import_module("jaxaudit.results")
    base = importlib.import_module("jaxaudit.results.codec").Document
    for module in pkgutil.iter_modules(package.__path__, "jaxaudit.results."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                inspect.isclass(value)
                and issubclass(value, base)
                and value.__module__ == module.name != base.__module__
            ):
                yield value


def _section(document: Any) -> str:
    """Name, format, words, fields."""
    records = importlib.import_module(document.__module__)
    words = (inspect.getdoc(document) or "").partition("\n\n")[0]
    rows = [
        f"| `{field.name}` | {_linked(document.__annotations__[field.name], records)} |"
        for field in msgspec.structs.fields(document)
        if field.name in document.__annotations__
    ]
    number = importlib.import_module("jaxaudit.results.codec").format_of(document)
    address = f"../reference/jaxaudit.results.md#{document.__module__}.{document.__name__}"
    return "\n".join(
        [
            f"## {document.__name__}",
            "",
            f"Format {number}. {words} [What each field means]({address}).",
            "",
            "| field | type |",
            "|---|---|",
            *rows,
        ]
    )


def _linked(annotation: str, module: Any) -> str:
    """A type as text, its records as links to the reference."""

    def link(match: re.Match[str]) -> str:
        found = getattr(module, match.group(), None)
        if not (inspect.isclass(found) and issubclass(found, msgspec.Struct)):
            return match.group()
        return f"[{match.group()}](../reference/jaxaudit.results.md#{found.__module__}.{found.__name__})"

    return re.sub(r"\b[A-Za-z_]\w*\b", link, annotation.replace("|", "\\|"))

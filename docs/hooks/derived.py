"""MkDocs hook: the pages that are made from the code: scores, programs, and the documents of the root."""

import functools
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    pages = {"scores.md": scores(), "programs.md": programs()}
    pages |= {page: _document(name) for name, page in DOCUMENTS.items()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def scores() -> str:
    """Every score that is registered, with the formulas of its module and the words of its function."""
    from jaxaudit.attacks.registry import VIEWS

    parts = [
        "# Scores",
        "Every score of every kind of target, as the registry knows them: one number per image, **higher = "
        "more likely a member**. `jaxaudit audit --list_scores` prints the same list; `--scores` takes "
        "names, patterns and the words `default` (the literature), `paper` (the published code) and `all`. "
        "A name that ends in `_ref` reproduces published code where that departs from the literature.",
    ]
    for kind in VIEWS:
        parts.append(f"## {kind.capitalize()} targets")
        seen = None
        for functions in _by_function(kind):
            function, members = functions
            module = inspect.getmodule(function)
            if module is not seen:
                seen = module
                title, _, words = (inspect.getdoc(module) or "").partition("\n")
                parts += [f"### {title.rstrip('.')}", words.strip("\n")]
            parts.append(_score(function, members))
    return "\n\n".join(parts)


def _by_function(kind: Any) -> Iterator[tuple[Any, list[Any]]]:
    """The scores of a kind by the function that declares them, in the order of the modules."""
    from jaxaudit.attacks.registry import declared_scores

    found: dict[Any, list[Any]] = {}
    for score in declared_scores(kind):
        function = score.function
        while isinstance(function, functools.partial):
            function = function.func
        found.setdefault(inspect.unwrap(function), []).append(score)
    by_module: dict[str, list[tuple[Any, list[Any]]]] = {}
    for function, members in found.items():
        by_module.setdefault(function.__module__, []).append((function, members))
    for group in by_module.values():
        yield from group


def _score(function: Any, members: list[Any]) -> str:
    """Names, words, needs and source of what one function declares."""
    summary, _, words = (inspect.getdoc(function) or "").partition("\n")
    first = members[0]
    facts = [f"*{first.access}*", _cite(first.source)]
    if all(score.published for score in members):
        facts.insert(1, "*as published*")
    lines = [
        f"#### {', '.join(_families([score.name for score in members]))}",
        f"**{summary}** {' '.join(words.split())}",
        " · ".join(facts),
    ]
    return "\n\n".join(lines)


def _families(names: list[str]) -> list[str]:
    """The names with their numbers as a range: min_k_10, min_k_20 → min_k_{10,20}."""
    shapes: dict[str, list[list[str]]] = {}
    for name in names:
        view, slash, score = name.rpartition("/")
        numbers = re.findall(r"(?<=_)\d+(?=_|$)", score)
        shape = re.sub(r"(?<=_)\d+(?=_|$)", "{}", score)
        shapes.setdefault(shape, []).append([f"{view}{slash}", *numbers])
    found = []
    for shape, values in shapes.items():
        views, *numbers = (list(dict.fromkeys(column)) for column in zip(*values, strict=True))
        text = shape.format(
            *("{" + ",".join(column) + "}" if len(column) > 1 else column[0] for column in numbers)
        )
        found += [f"`{view}{text}`" for view in views]
    return found


def _cite(source: str) -> str:
    return re.sub(r"arXiv:? ?(\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


def programs() -> str:
    """What --help of every program prints."""
    sys.path.insert(0, str(ROOT))  # the console script of mkdocs does not know the checkout
    experiments = importlib.import_module("experiments.__main__")
    parts = [
        "# Programs and flags",
        "One command, `jaxaudit`, runs all of them; `jaxaudit PROGRAM --help` prints what stands here. In a "
        "checkout `python -m experiments.PROGRAM` is the same, and `python -m checkpoints_convert` is "
        "`jaxaudit convert`.",
        f"```text\n{_run()}\n```",
    ]
    for name in experiments.PROGRAMS:
        parts += [f"## jaxaudit {name}", f"```text\n{_run(name, '--help')}\n```"]
    return "\n\n".join(parts)


def _run(*arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-m", "experiments", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.rstrip()


def _document(name: str) -> str:
    """A document of the root, its links to the others and into docs/ turned into those of the site."""
    text = (ROOT / name).read_text()
    for document, page in DOCUMENTS.items():
        text = text.replace(f"]({document}", f"]({page}")
    return text.replace("](docs/", "](")

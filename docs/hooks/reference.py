"""MkDocs hook: a reference page for every room, and proof that no public name is missing from it.

A room is a package of the library, or `jaxaudit` itself with the modules that stand in no room; its page
holds all its modules. The build fails if a name in some `__all__`, a public function or a public class has no
docstring or no entry in the finished reference, or if a page loads anything from another host.
"""

import functools
import importlib
import itertools
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "jaxaudit", ROOT / "kernels" / "jaxaudit_kernels", ROOT / "checkpoints_convert")
FEWEST = 300  # public names; if fewer are found, the check has lost its eyes
log = logging.getLogger("mkdocs.hooks.reference")


def on_config(config: Any) -> Any:
    """Puts the rooms into the navigation."""
    (reference,) = (entry for entry in config.nav if "Reference" in entry)
    reference["Reference"] = [{room: f"reference/{room}.md"} for room in rooms()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds a page per room."""
    for room, modules in rooms().items():
        text = "\n\n".join([f"# {room}", *map(_directive, modules)])
        files.append(File.generated(config, f"reference/{room}.md", content=text))
    return files


def on_post_build(config: Any) -> None:
    """Compares the finished site with the code, and looks for what is loaded from elsewhere."""
    site, public = Path(config.site_dir), set(public_names())
    if len(public) < FEWEST:
        log.warning("Only %d public names were found; there should be more than %d.", len(public), FEWEST)
    entries = _inventory(site / "objects.inv")
    for name in sorted(public):
        if name not in entries:
            log.warning("%s is public, but has no entry in the reference.", name)
        if not _find(name).has_docstring:
            log.warning("%s is public, but has no docstring.", name)
    for page in site.rglob("*.html"):
        for address in _loaded(page.read_text()):
            log.warning("%s loads %s from another host.", page.relative_to(site), address)


def rooms() -> dict[str, list[str]]:
    """{room: its modules}, a package before what it holds."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        files = [path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")]
        modules = sorted(tuple(part for part in file if part != "__init__") for file in files)
        for module in modules:
            if not module[-1].startswith("_"):
                in_room = package.name == "jaxaudit" and (package / Path(*module[1:2])).is_dir()
                found.setdefault(".".join(module[:2] if in_room else module[:1]), []).append(".".join(module))
    return found


def public_names() -> Iterator[str]:
    """Where everything public is defined: what an `__all__` names, and every public function and class."""
    for module in itertools.chain.from_iterable(rooms().values()):
        for name, member in _own(module).items():
            if member.is_function or member.is_class:
                yield f"{module}.{name}"
        for name in getattr(importlib.import_module(module), "__all__", ()):
            if name.startswith("__"):
                continue
            found = _find(_home(module, name))
            yield found.final_target.path if found.is_alias else found.path


def _home(module: str, name: str) -> str:
    """Where `module` has a name from; those of `jaxaudit` are imported when they are first used."""
    homes = importlib.import_module(module)._HOME if module == "jaxaudit" else {}
    return f"{homes.get(name, module)}.{name}"


def _directive(module: str) -> str:
    """What mkdocstrings turns into the entries of a module, but not of what it imports."""
    members = list(_own(module))
    return f"::: {module}\n    options:\n      members: {members or 'false'}"


def _own(module: str) -> dict[str, Any]:
    """The public members that a module defines."""
    members = _find(module).members.items()
    return {
        name: member
        for name, member in members
        if not name.startswith("_") and not member.is_alias and not member.is_module
    }


@functools.cache
def _tree(package: str) -> Any:
    return griffe.load(package, search_paths=[path.parent for path in PACKAGES])


def _find(path: str) -> Any:
    """What stands under a dotted path."""
    package, _, inside = path.partition(".")
    return _tree(package)[inside] if inside else _tree(package)


def _inventory(path: Path) -> set[str]:
    """The names in a Sphinx inventory, version 2."""
    content = path.read_bytes().split(b"\n", 4)[4]
    return {line.split(" ", 1)[0] for line in zlib.decompress(content).decode().splitlines()}


def _loaded(html: str) -> list[str]:
    """Addresses on other hosts that a browser fetches to show the page."""
    links = [tag for tag in re.findall(r"<link\b[^>]*>", html) if 'rel="canonical"' not in tag]
    tags = [*links, *re.findall(r"<(?:script|img|iframe|source)\b[^>]*>", html)]
    return [address for tag in tags for address in re.findall(r'(?:src|href)="((?:https?:)?//[^"]+)"', tag)]

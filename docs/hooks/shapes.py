"""Griffe extension: docstrings speak of arrays [B,L] [L], which Markdown would take for links."""

import re
from typing import Any

import griffe


class Shapes(griffe.Extension):
    """Escapes the second bracket of `] [` outside code."""

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        """Rewrites the docstring of everything that has one."""
        del kwargs
        if not obj.is_alias and obj.docstring is not None:
            lines = obj.docstring.value.split("\n")
            # Indented lines of a module are examples and equations, elsewhere they continue an argument.
            verbatim = "    " if obj.is_module else "\0"
            lines = [line if line.startswith(verbatim) else _escaped(line) for line in lines]
            obj.docstring.value = "\n".join(lines)


def _escaped(line: str) -> str:
    parts = line.split("`")
    parts[::2] = [re.sub(r"\]( ?)\[", r"]\1\\[", part) for part in parts[::2]]
    return "`".join(parts)

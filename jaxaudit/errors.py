"""The one exception that people, rather than programmers, are meant to read."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A request that cannot be met: one sentence with the offending value and what would be right.

    The programs in `experiments` print it and exit with code 2.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a `name` that is not among the `known` names of that `kind`, with the nearest ones."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(near)}?"
        if near
        else f"known: {', '.join(known[:12])}" + (f" and {len(known) - 12} more." if len(known) > 12 else ".")
    )
    return InputError(f"Unknown {kind} {name!r}; {hint}")

"""The exceptions that people, rather than programmers, are meant to read."""

import difflib
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """A request that cannot be met: one sentence with the offending value and what would be right.

    The programs print it and exit with code 2.

    Attributes:
      sentence: the sentence.
      details: lines below it, where one sentence cannot hold all that is wrong.
    """

    def __init__(self, sentence: str, details: Sequence[str] = ()):
        super().__init__("\n".join([sentence, *details]))
        self.sentence, self.details = sentence, tuple(details)


class DamagedFileError(InputError):
    """A file was read, and does not hold what was written there."""


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


def reason(error: BaseException) -> str:
    """What a library says of an error, without its last full stop: the first line, or the error's name."""
    return str(error).strip().partition("\n")[0].rstrip(". ") or type(error).__name__


def one_line(text: str) -> str:
    """The text with line breaks and control characters, which names of files may hold, spelt out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )

"""How long work tells whoever started it how far it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """What long work calls now and then."""

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """`done` of `total` (0: nobody knows) of `what` is being done; a `note` goes with it, as the loss."""


def silent(done: int, total: int, what: str, note: str = "") -> None:
    """Tells nobody."""

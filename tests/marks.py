"""Parameters of tests of which some are enough for every day."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *quick: Any) -> list[Any]:
    """All of the values; those that are not among the quick ones are of the slow part."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]

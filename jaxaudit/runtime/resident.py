"""How much memory this process has taken."""

from __future__ import annotations

import resource
import sys


def peak_resident() -> int:
    """Bytes of the largest resident set since the process began."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

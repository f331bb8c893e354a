"""Where that is kept, for a user, which can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """$XDG_CACHE_HOME/jaxaudit, by default below ~/.cache; it need not be there.

    Raises:
      RuntimeError: if nobody knows the user's home.
    """
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (chosen if chosen.is_absolute() else Path.home() / ".cache") / "jaxaudit"

"""Compiled programs, kept between runs: what JAX compiled once it takes from here at the next start.

    $XDG_CACHE_HOME/jaxaudit/programs/PROCESSOR/     by default below ~/.cache

JAX's own variables come first: JAX_COMPILATION_CACHE_DIR is another folder, or none if it is empty, and
JAX_COMPILATION_CACHE_MAX_SIZE another bound. The least recently used programs go when the bound is reached.
Programs for one processor do not run on every other, and hosts may share a home, so each kind has a folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import sys
from pathlib import Path

from jaxaudit.user_cache import user_cache

_SETTINGS = {
    "compilation_cache_max_size": 8 * 2**30,  # bytes
    "persistent_cache_min_compile_time_secs": 0.2,
}


def keep_programs() -> Path | None:
    """Tells JAX to keep compiled programs, whether it is imported yet or not.

    Returns:
      The folder; None if somebody has chosen another already, or nothing can be kept there.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    try:
        folder = user_cache() / "programs" / _processor()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _try_lock(folder)
    except (OSError, RuntimeError):  # no home, or nothing can be written or locked in it
        return None
    settings = {"compilation_cache_dir": str(folder), **_SETTINGS}
    for name, value in settings.items():
        if os.environ.setdefault(f"JAX_{name.upper()}", str(value)) == str(value) and "jax" in sys.modules:
            import jax

            jax.config.update(f"jax_{name}", value)
    return folder


def _processor() -> str:
    """A word for processors that understand the same instructions."""
    features = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def _try_lock(folder: Path) -> None:
    """Raises OSError where JAX could not write, or not lock, which some network file systems cannot."""
    with open(folder / ".writable", "wb") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

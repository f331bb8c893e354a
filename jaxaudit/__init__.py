"""jaxaudit audits image generators for what they leak about their training images.

    target = jaxaudit.load_target("digits_var")
    scores = jaxaudit.score(target, images, labels, names=["diff/loss"])  # {name: [B]}, higher = member

Names are imported when they are first used, so that the statistics (`jaxaudit.stats`) and reports can be
rerun from saved evidence without loading JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "load_target": "jaxaudit.checkpoint",
    "load_extractor": "jaxaudit.feature_extractors",
    "save_target": "jaxaudit.checkpoint",
    "random_target": "jaxaudit.checkpoint",
    "score": "jaxaudit.attacks.runner",
    "collect_evidence": "jaxaudit.audits.collect",
    "rank_candidates": "jaxaudit.audits.extraction",
    "extract": "jaxaudit.audits.extraction",
    "assess": "jaxaudit.audits.assess",
    "open_source": "jaxaudit.data",
    "InputError": "jaxaudit.errors",
}
_SUBMODULES = ("stats",)
__all__ = ["__version__", *_HOME, *_SUBMODULES]  # pyright: ignore[reportUnsupportedDunderAll]  # one list


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"jaxaudit.{name}")
    raise AttributeError(f"module 'jaxaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

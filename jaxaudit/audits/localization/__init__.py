"""UnitMem of every hidden unit: from a target and its training pictures to a map of units."""

from jaxaudit.audits.localization.pipeline import LocalizeConfig, localize
from jaxaudit.audits.localization.running import pool

__all__ = ["LocalizeConfig", "localize", "pool"]

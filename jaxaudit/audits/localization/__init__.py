"""UnitMem of every hidden unit: from a target and its training pictures to a map of units and its meaning."""

from jaxaudit.audits.localization.assess import localize_memorization
from jaxaudit.audits.localization.pipeline import LocalizeConfig, localize
from jaxaudit.audits.localization.running import pool

__all__ = ["LocalizeConfig", "localize", "localize_memorization", "pool"]

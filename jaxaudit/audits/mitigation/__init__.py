"""Mitigations: targets are changed, attacked again and compared."""

from jaxaudit.audits.mitigation.changes import Change, save_mitigated
from jaxaudit.audits.mitigation.measure import MitigateConfig, measure
from jaxaudit.audits.mitigation.pipeline import measure_changes

__all__ = ["Change", "MitigateConfig", "measure", "measure_changes", "save_mitigated"]

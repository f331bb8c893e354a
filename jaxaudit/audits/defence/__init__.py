"""Defences under an attacker who adapts: what they cost, and what they leave."""

from jaxaudit.audits.defence.config import NOISE, SCORES, DefendConfig
from jaxaudit.audits.defence.defences import UNIT_CRITERIA, Defence, Variant
from jaxaudit.audits.defence.pipeline import check_target, compare_defences

__all__ = [
    "NOISE",
    "SCORES",
    "UNIT_CRITERIA",
    "Defence",
    "DefendConfig",
    "Variant",
    "check_target",
    "compare_defences",
]

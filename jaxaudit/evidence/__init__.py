"""What an audit has measured, on disk: the score table, the map of hidden units, and files that are whole."""

from jaxaudit.evidence.files import write_arrays, write_atomically
from jaxaudit.evidence.table import BLIND_PREFIX, SPLITS, Evidence, Shard, Table
from jaxaudit.evidence.units import UnitAxis, UnitMap, top_units

__all__ = [
    "BLIND_PREFIX",
    "SPLITS",
    "Evidence",
    "Shard",
    "Table",
    "UnitAxis",
    "UnitMap",
    "top_units",
    "write_arrays",
    "write_atomically",
]

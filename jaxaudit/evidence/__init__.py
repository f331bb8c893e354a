"""What an audit has measured, on disk: the score table, the map of hidden units, and files that are whole."""

from jaxaudit.evidence.claims import Contents, Manifest, claim, read_manifest
from jaxaudit.evidence.files import read_arrays, write_arrays, write_atomically
from jaxaudit.evidence.picture_index import PictureIndex
from jaxaudit.evidence.shards import Shard, ShardFolder, check_finite, claim_shards, joined
from jaxaudit.evidence.table import SPLITS, Columns, Evidence, Table
from jaxaudit.evidence.units import UNITS, UnitAxis, UnitMap, top_units

__all__ = [
    "SPLITS",
    "UNITS",
    "Columns",
    "Contents",
    "Evidence",
    "Manifest",
    "PictureIndex",
    "Shard",
    "ShardFolder",
    "Table",
    "UnitAxis",
    "UnitMap",
    "check_finite",
    "claim",
    "claim_shards",
    "joined",
    "read_arrays",
    "read_manifest",
    "top_units",
    "write_arrays",
    "write_atomically",
]

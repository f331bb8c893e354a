"""Targets on disk.

    DIRECTORY/target.json    what it is: format, family, config, preprocessing, provenance, fingerprint, files
    DIRECTORY/params-1a2b/   the parameters, one Orbax checkpoint
    DIRECTORY/vocabulary-1a2b/   vocab.json and merges.txt of the text encoder, where there is one

A directory is a target if and only if it has `target.json`, which says where the others are, with a sha256 of
every file and of itself: what was changed since it was written is not loaded.

Saving writes and syncs them under names of their own, and then renames `target.json` into its
place, the one step by which the target becomes another. Whatever kills a save, the target is the old one or
the new one, and the next save removes what it left.
"""

from jaxaudit.checkpoint.finding import builtin_names
from jaxaudit.checkpoint.load import find_vocabulary, load_target, random_target, read_record
from jaxaudit.checkpoint.save import check_writable, reseal_target, save_target
from jaxaudit.checkpoint.shapes import abstract_target, check_known

__all__ = [
    "abstract_target",
    "builtin_names",
    "check_known",
    "check_writable",
    "find_vocabulary",
    "load_target",
    "random_target",
    "read_record",
    "reseal_target",
    "save_target",
]

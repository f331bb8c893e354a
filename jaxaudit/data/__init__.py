"""Pictures in: sources, preprocessing for a target, loading in order, and what pictures give away alone.

source = resolve_labels(open_source("folder:/data/train?shuffle=0[:1000]"), target.num_classes)
for batch in batches(source, range(len(source)), target.preprocessing, 64):
    batch.images, batch.labels, batch.ids, batch.blind, batch.digests
"""

from jaxaudit.data.blind import BLIND_NAMES, blind_features
from jaxaudit.data.duplicates import (
    check_disjoint,
    difference_hash,
    fingerprints,
    near_duplicate_ids,
    near_duplicates,
)
from jaxaudit.data.images import UnusableImageError, decode_image
from jaxaudit.data.loading import Batch, Scan, batches, scan
from jaxaudit.data.preprocessing import Preprocessing, preprocess, resize_crop, to_range
from jaxaudit.data.source import UNKNOWN_LABEL, Sample, Source, resolve_labels
from jaxaudit.data.spec import SCHEMES, open_source

__all__ = [
    "BLIND_NAMES",
    "SCHEMES",
    "UNKNOWN_LABEL",
    "Batch",
    "Preprocessing",
    "Sample",
    "Scan",
    "Source",
    "UnusableImageError",
    "batches",
    "blind_features",
    "check_disjoint",
    "decode_image",
    "difference_hash",
    "fingerprints",
    "near_duplicate_ids",
    "near_duplicates",
    "open_source",
    "preprocess",
    "resize_crop",
    "resolve_labels",
    "scan",
    "to_range",
]

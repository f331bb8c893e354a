"""Pictures in: sources, preprocessing for a target, loading in order, and what pictures give away alone.

source = resolve_labels(open_source("folder:/data/train?shuffle=0[:1000]"), target.num_classes)
for batch in batches(source, range(len(source)), target.preprocessing, 64):
    batch.images, batch.labels, batch.embeddings, batch.ids, batch.blind, batch.digests
"""

from jaxaudit.data.blind import BLIND_NAMES, blind_features
from jaxaudit.data.clusters import Clusters, Seen, find_clusters
from jaxaudit.data.conditions import (
    check_labelled_alike,
    condition_digest,
    resolve_captions,
    resolve_labels,
)
from jaxaudit.data.duplicates import (
    Fingerprints,
    check_disjoint,
    difference_hash,
    fingerprint,
    near_duplicates,
)
from jaxaudit.data.embeddings import NULL_EMBEDDING, Embeddings, open_embeddings
from jaxaudit.data.images import UnusableImageError, decode_image, pixel_digest
from jaxaudit.data.loading import PictureBatch, batches
from jaxaudit.data.origin import Origin
from jaxaudit.data.preprocessing import Preprocessing, preprocess, resize_crop, to_range, to_unit
from jaxaudit.data.scan import Scan, scan
from jaxaudit.data.source import UNKNOWN_LABEL, Picture, Sample, Source
from jaxaudit.data.spec import SCHEMES, open_source
from jaxaudit.data.traits import Traits, join_traits, read_traits

__all__ = [
    "BLIND_NAMES",
    "NULL_EMBEDDING",
    "SCHEMES",
    "UNKNOWN_LABEL",
    "Clusters",
    "Embeddings",
    "Fingerprints",
    "Origin",
    "Picture",
    "PictureBatch",
    "Preprocessing",
    "Sample",
    "Scan",
    "Seen",
    "Source",
    "Traits",
    "UnusableImageError",
    "batches",
    "blind_features",
    "check_disjoint",
    "check_labelled_alike",
    "condition_digest",
    "decode_image",
    "difference_hash",
    "find_clusters",
    "fingerprint",
    "join_traits",
    "near_duplicates",
    "open_embeddings",
    "open_source",
    "pixel_digest",
    "preprocess",
    "read_traits",
    "resize_crop",
    "resolve_captions",
    "resolve_labels",
    "scan",
    "to_range",
    "to_unit",
]

"""The extraction attack from end to end: sources of pictures in, counts of extracted pictures out.

rank every candidate ──► best k per class ──► complete from prefixes ──► compare with the originals
the same for held-out pictures: what passes there is a false positive

target = jaxaudit.load_target("digits_var")
found = jaxaudit.extract(target, open_source("digits:members"), open_source("digits:nonmembers"))
found.results.counts.longest.extracted
"""

from jaxaudit.audits.extraction.assess import assess_extraction
from jaxaudit.audits.extraction.completion import Completions, complete_candidates, complete_images
from jaxaudit.audits.extraction.config import ExtractionConfig
from jaxaudit.audits.extraction.pipeline import Extraction, extract
from jaxaudit.audits.extraction.ranking import Candidates, best_per_class, rank_candidates
from jaxaudit.audits.extraction.reference import Reference, embed_reference
from jaxaudit.audits.extraction.regeneration import ImageProbabilities, image_probabilities, regenerate
from jaxaudit.audits.extraction.tables import write_probabilities, write_tables

__all__ = [
    "Candidates",
    "Completions",
    "Extraction",
    "ExtractionConfig",
    "ImageProbabilities",
    "Reference",
    "assess_extraction",
    "best_per_class",
    "complete_candidates",
    "complete_images",
    "embed_reference",
    "extract",
    "image_probabilities",
    "rank_candidates",
    "regenerate",
    "write_probabilities",
    "write_tables",
]

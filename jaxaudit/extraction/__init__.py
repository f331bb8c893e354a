"""The extraction attack from end to end: sources of pictures in, counts of extracted pictures out.

    rank every candidate ──► best k per class ──► complete from prefixes ──► compare with the originals
    the same for held-out pictures: what passes there is a false positive

target = jaxaudit.load_target("digits_var")
found = jaxaudit.extract(target, open_source("digits:members"), open_source("digits:nonmembers"))
found.results["prefixes"][-1]["extracted"]
"""

from jaxaudit.extraction.assess import RESULTS_FORMAT, assess_extraction
from jaxaudit.extraction.completion import Completions, complete_candidates, complete_images
from jaxaudit.extraction.config import ExtractionConfig
from jaxaudit.extraction.pipeline import Extraction, extract
from jaxaudit.extraction.ranking import Candidates, best_per_class, rank_candidates
from jaxaudit.extraction.reference import Reference, embed_reference

__all__ = [
    "RESULTS_FORMAT",
    "Candidates",
    "Completions",
    "Extraction",
    "ExtractionConfig",
    "Reference",
    "assess_extraction",
    "best_per_class",
    "complete_candidates",
    "complete_images",
    "embed_reference",
    "extract",
    "rank_candidates",
]

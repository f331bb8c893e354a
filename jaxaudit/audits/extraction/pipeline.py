"""The whole attack: rank, choose, complete, compare, count."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxaudit.attacks.completion import check_prefixes, check_score
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.attacks.similarity import Similarity, get_similarity
from jaxaudit.audits.extraction.alike import choose_alike, class_counts, independent_ids
from jaxaudit.audits.extraction.assess import assess_extraction
from jaxaudit.audits.extraction.completion import Completions, complete_candidates
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.ranking import Candidates, rank_pictures
from jaxaudit.audits.extraction.reference import Reference, embed_reference
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.audits.request import precision
from jaxaudit.data import Source, check_disjoint, find_clusters
from jaxaudit.paths import Location, Place, as_place
from jaxaudit.results.extraction import CompletedTarget, ExtractionRequest, ExtractionResults
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_ASKED = tuple(name for name in ExtractionRequest.__struct_fields__ if name != "precision")


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What an extraction attack found.

    Attributes:
      results: counts, rates, intervals and what was asked for.
      extracted: {column: [E]}, a row per picture and prefix that was extracted, longest prefix and highest
        similarity first.
      candidates: completions of training pictures.
      validation: those of held-out pictures, or None.
      reference: training pictures that the threshold was put into context with.
    """

    results: ExtractionResults
    extracted: dict[str, np.ndarray]
    candidates: Completions
    validation: Completions | None
    reference: Reference


def extract(
    target: Target,
    candidates: Source,
    validation: Source | None = None,
    config: ExtractionConfig = DEFAULTS,
    *,
    similarity: Similarity | None = None,
    directory: Location | None = None,
    progress: Progress = silent,
) -> Extraction:
    """Tries to extract the candidates from a model, and held-out pictures in the same way.

    Args:
      target: from `jaxaudit.load_target`: a model of tokens, discrete or continuous.
      candidates: pictures the model was trained on.
      validation: pictures of the same kind that it was not trained on; they say how often a completion
        passes by mistake. Without them an extraction is a claim without a control.
      config: see `ExtractionConfig`.
      similarity: what completions are compared by; default `get_similarity("pixels")`.
      directory: where results of single pictures are kept, so that a killed run is continued and ends with
        the same files; None keeps nothing.
      progress: hears of pictures of this process.

    Raises:
      InputError: if the target, a prefix or score does not fit, pictures cannot be used, labels do not mean
        the target's classes, the sources share pictures, or `directory` holds results of another request.
    """
    attack = config.attack(target)  # what does not fit should show before a night of ranking
    check_prefixes(config.prefixes, target.tokens_per_step)
    check_score(config.score or attack.scores[0], attack.scores)
    similarity = similarity or get_similarity("pixels")
    sources = {"candidates": candidates}
    if validation is not None:
        sources["validation"] = validation

    pictures = {
        split: look(resolve_condition(source, target), target.preprocessing, progress)
        for split, source in sources.items()
    }
    independent = _independent(pictures, config.seed)

    def within(*parts: str) -> Place | None:
        return None if directory is None else as_place(directory).joinpath(*parts)

    def about(split: str) -> Progress:
        return lambda done, total, what, note="": progress(done, total, f"{what} {split}", note)

    def rank(split: str, top_k: int, most: int | Mapping[int, int]) -> tuple[Candidates, Candidates]:
        return rank_pictures(
            target,
            pictures[split],
            dataclasses.replace(config, top_k=top_k),
            directory=within("ranking", split),
            progress=about(split),
            independent=independent[split],
            most=most,
        )

    ranked, alike = {}, {}
    if validation is not None:
        ranked["validation"], held_out = rank("validation", config.validation_top_k, 0)
        ranked["candidates"], drawn = rank("candidates", config.top_k, class_counts(held_out.labels))
        chosen = choose_alike(drawn, held_out, top_k=config.top_k, seed=config.seed)
        alike = dict(zip(("candidates", "validation"), chosen, strict=True))
    else:
        ranked["candidates"], _ = rank("candidates", config.top_k, 0)
    reference = embed_reference(
        target,
        candidates,
        similarity,
        config,
        directory=within("reference"),
        progress=progress,
    )

    def complete(split: str, which: Candidates, *folder: str) -> Completions:
        return complete_candidates(
            target,
            sources[split],
            which,
            similarity,
            reference,
            config,
            directory=within(*folder, split),
            progress=about(split),
        )

    completed = {split: complete(split, ranked[split], "completions") for split in sources}
    compared = {}
    for split, which in alike.items():
        known = completed[split].by_id
        more = which.take(np.flatnonzero([name not in known for name in which.sample_ids.tolist()]))
        if len(more):
            known |= complete(split, more, "completions", "alike").by_id
        compared[split] = np.array([known[name] for name in which.sample_ids.tolist()])
    counts, extracted = assess_extraction(
        completed["candidates"],
        completed.get("validation"),
        reference,
        similarity,
        target.tokens_per_step,
        config,
        alike=(compared["candidates"], compared["validation"]) if compared else None,
    )
    results = ExtractionResults(
        target=CompletedTarget(
            name=target.name,
            family=target.family,
            num_params=target.num_params,
            fingerprint=target.provenance.get("fingerprint"),
            steps=len(target.tokens_per_step),
            tokens=target.num_tokens,
        ),
        sources={split: source.spec for split, source in sources.items()},
        skipped={split: source.skipped for split, source in sources.items()},
        request=ExtractionRequest(
            **{name: getattr(config, name) for name in _ASKED}, precision=precision(target)
        ),
        counts=counts,
    )
    return Extraction(results, extracted, completed["candidates"], completed.get("validation"), reference)


def _independent(pictures: Mapping[str, Pictures], seed: int) -> dict[str, set[str]]:
    """{split: ids of those that are drawn from to be compared}; none without held-out pictures.

    Raises:
      InputError: if the sides share pictures.
    """
    if "validation" not in pictures:
        return {"candidates": set()}
    sides = pictures["candidates"], pictures["validation"]
    check_disjoint(*(each.digests for each in sides))
    clusters = find_clusters(*(each.seen for each in sides))
    return {
        split: independent_ids(of_side, each.source.ids, seed)
        for split, of_side, each in zip(("candidates", "validation"), clusters, sides, strict=True)
    }

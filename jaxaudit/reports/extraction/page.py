"""The report of an extraction attack as one HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaudit.reports.extraction.figures import make_extraction_figures
from jaxaudit.reports.extraction.rows import HEADLINES, ROWS, sentence
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_png, inline_svg
from jaxaudit.reports.kit.markup import (
    Html,
    code,
    details,
    element,
    key_numbers,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.results import ExtractionResults, to_plain

_CLASSES = {
    "extracted": "trained_on",
    "indistinguishable": "not_testable",
    "unchecked": "not_testable",
    "none": "no_evidence",
}
_ROWS = 100  # extracted pictures listed
_CAPTIONS = {
    "gallery": "Originals and their completions, the most similar first, one of each cluster.",
    "extracted": (
        "How many completions reach the threshold when the model is given more of the original. What "
        "held-out images reach is no memory: the prefix and the class give it away."
    ),
    "similarity": (
        "The threshold among three distributions: completions of candidates, completions of images the model "
        "has not seen, and pairs of different training images."
    ),
}


def render_extraction(results: ExtractionResults, extracted: Mapping[str, Any], gallery_png: bytes) -> str:
    """The report as one HTML page with its figures inside.

    Args:
      results: what was found.
      extracted: {column: [E]}, the table of extracted pictures.
      gallery_png: the gallery.
    """
    figures = {
        name: inline_svg(style.to_svg(figure, name), name, _CAPTIONS[name])
        for name, figure in make_extraction_figures(results).items()
    }
    title = f"Extraction from {results.target.name}"
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, extraction attack"), element("h1", title)),
        _finding(results),
        section("gallery", "The pictures", inline_png(gallery_png, "gallery", _CAPTIONS["gallery"])),
        _counts(results, figures["extracted"]),
        _threshold(results, figures["similarity"]),
        _listing(results, extracted),
        _method(results),
        skipped_list(results.skipped),
    )
    return page(title, body)


def _finding(results: ExtractionResults) -> Html:
    quote = element(
        "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
    )
    counts, main = results.counts, results.counts.longest
    tiles = [
        (
            "Distinct images extracted",
            formats.count(main.distinct),
            f"of {formats.count(counts.num_completed.candidates)} completed",
        ),
        (
            "Candidates ranked",
            formats.count(counts.num_ranked.candidates),
            f"{formats.count(counts.num_classes)} classes, by {counts.score}",
        ),
    ]
    if main.false_positives:
        bound = main.false_positives.all
        tiles.append(
            (
                "False positives",
                f"{formats.count(bound.count)} of {formats.count(bound.trials)}",
                f"rate at most {formats.percent(bound.high)}",
            )
        )
    tiles.append(
        (
            "Threshold",
            f"{counts.similarity.threshold:g}",
            f"{formats.percent(counts.reference.reaching_threshold.estimate)} of training images have "
            "another one as similar",
        )
    )
    return element(
        "section",
        element("h2", HEADLINES[counts.status]),
        paragraph(_plain_words(counts.status)),
        quote,
        key_numbers(tiles),
        id="verdict",
        class_=f"verdict {_CLASSES[counts.status]}",
    )


def _plain_words(status: str) -> str:
    return {
        "extracted": (
            "Given the beginning of some training images, the model produces the rest of them. It does so "
            "more often than for images it has not seen, where only the prefix and the class could tell."
        ),
        "indistinguishable": (
            "Some completions are as similar to the original as the threshold asks, but the same happens "
            "with images the model has not seen. The prefix gives too much away, or the threshold is too "
            "low, for this to be called memory."
        ),
        "unchecked": (
            "Some completions are as similar to the original as the threshold asks. Without held-out images "
            "there is no telling memory from what the prefix and the class give away."
        ),
        "none": (
            "No completion was as similar to its original as the threshold asks. This does not show that "
            "nothing is memorised: a longer prefix or more candidates may find something."
        ),
    }[status]


def _counts(results: ExtractionResults, figure: Html) -> Html:
    heading, lines = turned(read(ROWS, results.counts.prefixes))
    parts = [figure, table(heading, lines, marked=len(lines) - 1)]
    level = formats.level(results.counts.confidence)
    if results.counts.longest.false_positives:
        parts.append(
            paragraph(
                "Held-out images went through the same procedure. "
                f"“At most” is the exact one-sided {level} bound of their rate. "
                "“Chosen alike” are the best ranked of equally many images of each class and side, drawn at "
                "random (near-duplicates count as one), for the best of many are easier than the best of "
                "few; the p-value (Fisher's exact test, one-sided) compares these two.",
                class_="small",
            )
        )
    parts.append(
        paragraph(
            "“Distinct” counts extracted images that are as similar to each other as the threshold once. "
            "“Closest to own original”: no other reference image is more similar to the completion.",
            class_="small",
        )
    )
    return section("counts", "How much of the image the model must be given", *parts)


def _threshold(results: ExtractionResults, figure: Html) -> Html:
    similarity, reference = results.counts.similarity, results.counts.reference
    chosen = similarity.threshold != similarity.default_threshold
    rate = formats.spread(reference.reaching_threshold, formats.percent)
    words = (
        f"{similarity.meaning} "
        + (
            f"Its usual threshold is {similarity.default_threshold:g}; this run used another. "
            if chosen
            else ""
        )
        + f"Of {formats.count(reference.size)} training images, {rate} have another one at "
        f"{similarity.threshold:g} or above; half of them have one above "
        f"{formats.decimal(reference.quantiles[0.5], 3)}, 1% one above "
        f"{formats.decimal(reference.quantiles[0.99], 3)}."
    )
    return section("threshold", "What the threshold means", paragraph(words), figure)


def _listing(results: ExtractionResults, extracted: Mapping[str, Any]) -> Html:
    count = len(extracted["sample_id"])
    if not count:
        return Html()
    heading = [
        "image",
        "class",
        "tokens given",
        results.counts.score,
        "similarity",
        "nearest other",
        "cluster",
    ]
    rows = [
        [
            code(str(extracted["sample_id"][i])),
            str(extracted["label"][i]),
            str(extracted["prefix_tokens"][i]),
            formats.decimal(float(extracted[results.counts.score][i]), 3),
            formats.decimal(float(np.floor(1000 * extracted["similarity"][i]) / 1000), 3),
            formats.decimal(float(extracted["nearest_other"][i]), 3),
            str(extracted["cluster"][i]),
        ]
        for i in range(min(count, _ROWS))
    ]
    some = (
        f"the first {formats.count(_ROWS)} of {formats.count(count)}"
        if count > _ROWS
        else formats.count(count)
    )
    note = "All are in extracted.csv. Images of one cluster are near-duplicates of each other."
    return section(
        "extracted",
        "The extracted images",
        details(f"List ({some})", table(heading, rows, dense=True)),
        paragraph(note, class_="small"),
    )


def _method(results: ExtractionResults) -> Html:
    asked = json.dumps(
        {name: to_plain(getattr(results, name)) for name in ("target", "sources", "request")}, indent=1
    )
    return section(
        "method",
        "What was done",
        paragraph(
            "One teacher-forced pass over every candidate measures how much of it the model predicts. The "
            "best of each class are completed from a prefix of their own tokens, given their class, without "
            "guidance; discrete tokens greedily. The completion is decoded and compared with the original "
            "image, not with its reconstruction. Training images must be independent of the held-out ones: "
            "near-duplicates on both sides would be counted as false positives."
        ),
        paragraph(
            "Source: Kowalczuk, Dubiński, Boenisch, Dziedzic, Privacy Attacks on Image AutoRegressive "
            "Models, ICML 2025, arXiv 2502.02514; prefix extraction: Carlini et al., Extracting Training "
            "Data from Large Language Models, USENIX Security 2021."
        ),
        details("Everything that was asked for", element("pre", asked)),
    )

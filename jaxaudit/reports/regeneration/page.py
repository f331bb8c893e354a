"""What sampling would bring back, as one HTML file."""

from __future__ import annotations

import json

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, details, element, key_numbers, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.reports.regeneration.figure import expected_back
from jaxaudit.reports.regeneration.rows import ROWS, headline, sampled, sentence
from jaxaudit.results import RegenerationResults, to_plain


def render_regeneration(results: RegenerationResults) -> str:
    """The report as one HTML page with its figure inside."""
    heading, lines = turned(read(ROWS, results.prefixes))
    figure = inline_svg(
        style.to_svg(expected_back(results), "expected"),
        "expected",
        "Images expected back within so many tries, if each is sampled with its own condition and prefix.",
    )
    body = element(
        "main",
        element(
            "header",
            element("p", "jaxaudit report, probable extraction"),
            element("h1", f"What sampling {results.target} would bring back"),
        ),
        _finding(results),
        section(
            "prefixes", "How much of the image is given", figure, table(heading, lines, marked=len(lines) - 1)
        ),
        _method(results),
        skipped_list(results.skipped),
    )
    return page(f"What sampling {results.target} would bring back", body)


def _finding(results: RegenerationResults) -> Html:
    found = results.prefixes[-1].found
    return element(
        "section",
        element("h2", headline(results)),
        paragraph(
            "How likely the model is to draw an image again follows from one look at it: nothing was sampled."
        ),
        element(
            "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
        ),
        key_numbers(
            [
                ("Images extracted", formats.count(found.extracted), f"of {formats.count(found.num_images)}"),
                (
                    "Held-out, would come back",
                    formats.count(found.held_out_discoverable),
                    f"of {formats.count(found.num_held_out)}",
                ),
                ("Sampled with", sampled(results), f"at most {formats.count(found.most_tries)} tries"),
            ]
        ),
        id="verdict",
        class_=f"verdict {'trained_on' if found.extracted else 'no_evidence'}",
    )


def _method(results: RegenerationResults) -> Html:
    asked = {name: value for name, value in to_plain(results).items() if name not in ("prefixes", "skipped")}
    return section(
        "method",
        "What was done",
        paragraph(
            "A teacher-forced pass gives the probability with which the sampler, after guidance, "
            "temperature, top-k and top-p, draws each token of an image given the true ones before it. Their "
            "product after the prefix is the chance of one try; within n tries an image comes back with "
            "probability 1 - (1 - p)^n. “Would come back” are images whose chance within the allowed tries "
            "reaches the one given; “extracted” are those of them that are more probable than every held-out "
            "image. Other tokens may decode to the same picture, so more may come back than is counted here."
        ),
        paragraph(
            "Source: Hayes et al., Measuring memorization through probabilistic discoverable extraction, "
            "NAACL 2025, arXiv 2410.19482."
        ),
        details("Everything that was asked for", element("pre", json.dumps(asked, indent=1))),
    )

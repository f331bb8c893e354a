"""The report of an extraction attack: a page and a table for the terminal."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jaxaudit.reports.extraction_figures import make_extraction_figures
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_png, inline_svg
from jaxaudit.reports.kit.markup import Html, code, details, element, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.wording import Results

HEADLINES = {
    "extracted": "Training images can be extracted from the model",
    "indistinguishable": "Completions pass, but not more often than those of unseen images",
    "unchecked": "Completions pass; how often unseen images would is not known",
    "none": "No training image was extracted",
}
_CLASSES = {
    "extracted": "trained_on",
    "indistinguishable": "not_testable",
    "unchecked": "not_testable",
    "none": "no_evidence",
}
_COLOURS = {"extracted": "red", "indistinguishable": "yellow", "unchecked": "yellow", "none": "cyan"}
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


def sentence(results: Results) -> str:
    """The finding, to quote."""
    main, given = results["prefixes"][-1], results["target"]
    tokens = f"{formats.count(main['tokens'])} of {formats.count(given['tokens'])} tokens"
    found = (
        f"Given the class and {tokens}, {given['name']} completed {formats.count(main['extracted'])} of "
        f"{formats.count(results['num_completed']['candidates'])} candidates, the best ranked of "
        f"{formats.count(results['num_ranked']['candidates'])} training images, to a copy of the original "
        f"({formats.count(main['distinct'])} distinct; {results['similarity']['name']} similarity at least "
        f"{results['similarity']['threshold']:g})."
    )
    if not main["false_positives"]:
        return f"{found} No held-out images were tried."
    bound = main["false_positives"]["all"]
    passed = f"{formats.count(bound['count'])} passed"
    return (
        f"{found} Of {formats.count(bound['trials'])} held-out images {passed}: a false-positive rate of at "
        f"most {formats.percent(bound['high'])} ({formats.level(results['confidence'])} confidence)."
    )


def prefix_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Heading and one row per prefix."""
    heading = ["tokens given", "extracted", "distinct", "closest to own original", "share of candidates"]
    checked = all(entry["false_positives"] for entry in results["prefixes"])
    if checked:
        heading += ["held-out, all", "at most", "held-out, chosen alike", "p-value"]
    rows = []
    for entry in results["prefixes"]:
        row = [
            f"{formats.count(entry['tokens'])} ({formats.percent(entry['share'])})",
            formats.count(entry["extracted"]),
            formats.count(entry["distinct"]),
            formats.count(entry["closest_to_own"]),
            formats.spread(entry["rate"], formats.percent),
        ]
        if checked:
            every, chosen = (entry["false_positives"][which] for which in ("all", "chosen"))
            row += [
                f"{formats.count(every['count'])} of {formats.count(every['trials'])}",
                formats.percent(every["high"]),
                f"{formats.count(chosen['count'])} of {formats.count(chosen['trials'])}",
                formats.p_value(entry["p_value"]),
            ]
        rows.append(row)
    return heading, rows


def print_extraction(results: Results, console: Console) -> None:
    """Prints the finding and the counts per prefix.

    Args:
      results: what `results.json` holds.
      console: where to.
    """
    status = results["status"]
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(HEADLINES[status], style="bold"),
            title_align="left",
            border_style=_COLOURS[status],
            padding=(1, 2),
        )
    )
    heading, rows = prefix_rows(results)
    grid = Table(
        box=box.SIMPLE_HEAD, title="Completions at the threshold, by tokens given", title_justify="left"
    )
    grid.add_column("")
    for row in rows:
        grid.add_column(row[0], overflow="fold")
    for name, *cells in zip(heading[1:], *(row[1:] for row in rows), strict=True):
        grid.add_row(name, *cells)
    console.print(grid)


def render_extraction(results: Results, extracted: Mapping[str, Sequence], gallery_png: bytes) -> str:
    """The report as one HTML page with its figures inside.

    Args:
      results: what `results.json` holds.
      extracted: {column: [E]}, the table of extracted pictures.
      gallery_png: the gallery.
    """
    figures = {
        name: inline_svg(style.to_svg(figure, name), name, _CAPTIONS[name])
        for name, figure in make_extraction_figures(results).items()
    }
    title = f"Extraction from {results['target']['name']}"
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, extraction attack"), element("h1", title)),
        _finding(results),
        section("gallery", "The pictures", inline_png(gallery_png, "gallery", _CAPTIONS["gallery"])),
        _counts(results, figures["extracted"]),
        _threshold(results, figures["similarity"]),
        _listing(results, extracted),
        _method(results),
    )
    return page(title, body)


def _finding(results: Results) -> Html:
    quote = element(
        "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
    )
    main = results["prefixes"][-1]
    tiles = [
        (
            "Distinct images extracted",
            formats.count(main["distinct"]),
            f"of {formats.count(results['num_completed']['candidates'])} completed",
        ),
        (
            "Candidates ranked",
            formats.count(results["num_ranked"]["candidates"]),
            f"{formats.count(results['num_classes'])} classes, by {results['score']}",
        ),
    ]
    if main["false_positives"]:
        bound = main["false_positives"]["all"]
        tiles.append(
            (
                "False positives",
                f"{formats.count(bound['count'])} of {formats.count(bound['trials'])}",
                f"rate at most {formats.percent(bound['high'])}",
            )
        )
    reference = results["reference"]
    tiles.append(
        (
            "Threshold",
            f"{results['similarity']['threshold']:g}",
            f"{formats.percent(reference['reaching_threshold']['estimate'])} of training images have another "
            "one as similar",
        )
    )
    return element(
        "section",
        element("h2", HEADLINES[results["status"]]),
        paragraph(_plain_words(results)),
        quote,
        element(
            "dl",
            *(
                element(
                    "div", element("dt", name), element("dd", number, element("small", note)), class_="tile"
                )
                for name, number, note in tiles
            ),
            class_="tiles",
        ),
        id="verdict",
        class_=f"verdict {_CLASSES[results['status']]}",
    )


def _plain_words(results: Results) -> str:
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
    }[results["status"]]


def _counts(results: Results, figure: Html) -> Html:
    heading, rows = prefix_rows(results)
    parts = [figure, table(heading, rows, marked=len(rows) - 1)]
    level = formats.level(results["confidence"])
    if results["prefixes"][-1]["false_positives"]:
        parts.append(
            paragraph(
                "Held-out images went through the same procedure. "
                f"“At most” is the exact one-sided {level} bound of their rate. "
                "“Chosen alike” are the best ranked held-out images of each class, as candidates are; "
                "the p-value (Fisher's exact test, one-sided) compares the two.",
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


def _threshold(results: Results, figure: Html) -> Html:
    similarity, reference = results["similarity"], results["reference"]
    chosen = similarity["threshold"] != similarity["default_threshold"]
    rate = formats.spread(reference["reaching_threshold"], formats.percent)
    words = (
        f"{similarity['meaning']} "
        + (
            f"Its usual threshold is {similarity['default_threshold']:g}; this run used another. "
            if chosen
            else ""
        )
        + f"Of {formats.count(reference['size'])} training images, {rate} have another one at "
        f"{similarity['threshold']:g} or above; half of them have one above "
        f"{formats.decimal(reference['quantiles']['0.5'], 3)}, 1% one above "
        f"{formats.decimal(reference['quantiles']['0.99'], 3)}."
    )
    return section("threshold", "What the threshold means", paragraph(words), figure)


def _listing(results: Results, extracted: Mapping[str, Sequence]) -> Html:
    count = len(extracted["sample_id"])
    if not count:
        return Html()
    heading = ["image", "class", "tokens given", results["score"], "similarity", "nearest other", "cluster"]
    rows = [
        [
            code(str(extracted["sample_id"][i])),
            str(extracted["label"][i]),
            str(extracted["prefix_tokens"][i]),
            formats.decimal(float(extracted[results["score"]][i]), 3),
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


def _method(results: Results) -> Html:
    asked = json.dumps({key: results[key] for key in ("target", "sources", "config")}, indent=1)
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

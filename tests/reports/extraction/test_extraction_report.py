import io
import re

import numpy as np
import pytest
from rich.console import Console

from jaxaudit.audits.extraction import ExtractionConfig
from jaxaudit.reports.extraction.figures import make_extraction_figures
from jaxaudit.reports.extraction.gallery import gallery
from jaxaudit.reports.extraction.page import render_extraction
from jaxaudit.reports.extraction.rows import HEADLINES, print_extraction, sentence
from jaxaudit.reports.kit import style
from jaxaudit.results import ExtractionResults, replace
from jaxaudit.results.extraction import CompletedTarget, ExtractionRequest
from tests.audits.extraction.synthetic import assessed, completions


def report(extracted=4, passed=0, *, validation=True, prefixes=3):
    """(results, table) where the longest prefix reaches the threshold that often."""

    def similarities(count, reached):
        rng = np.random.default_rng(count)
        values = rng.uniform(0.2, 0.89, (count, prefixes))
        values[:reached, -1] = rng.uniform(0.9, 1.0, reached)
        return values

    config = ExtractionConfig(top_k=12)
    counts, table = assessed(
        completions(similarities(12, extracted)),
        completions(similarities(60, passed), prefix="v") if validation else None,
        config,
    )
    results = ExtractionResults(
        target=CompletedTarget(
            name="<tiny>", family="var", num_params=10, fingerprint=None, steps=4, tokens=85
        ),
        sources={"candidates": "npz:a&b"},
        request=ExtractionRequest(
            top_k=12,
            validation_top_k=0,
            score="",
            prefixes=(),
            threshold=None,
            reference_size=5000,
            alpha=0.01,
            seed=0,
            precision="float32",
            shard_size=512,
        ),
        counts=counts,
    )
    return results, table


def pictures(results, size=8):
    shape = (len(results.counts.gallery), size, size, 3)
    return np.random.default_rng(0).random(shape), np.random.default_rng(1).random(shape)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"extracted": 8}, "extracted"),
        ({"extracted": 0}, "none"),
        ({"extracted": 4, "passed": 6}, "indistinguishable"),
        ({"extracted": 4, "validation": False}, "unchecked"),
    ],
)
def test_the_page_says_what_was_found(options, status):
    results, table = report(**options)
    results = replace(results, skipped={"candidates": {"x.png": "it is torn"}})
    html = render_extraction(results, table, b"PNG")
    assert "x.png: it is torn" in html
    assert HEADLINES[status] in html
    assert "Extraction from &lt;tiny&gt;" in html
    assert "<tiny>" not in html
    assert "data:image/png;base64,UE5H" in html
    assert "npz:a&amp;b" in html
    assert html.count("<svg") == 2
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    console = Console(width=80, record=True, file=io.StringIO())
    print_extraction(results, console)
    text = console.export_text()
    assert HEADLINES[status] in text
    assert "x.png: it is torn" in text


def test_the_finding_can_be_quoted():
    results, _ = report(8)
    assert sentence(results) == (
        "Given the class and 21 of 85 tokens, <tiny> completed 8 of 12 candidates, the best ranked of 120 "
        "training images, to a copy of the original (8 distinct; pixels similarity at least 0.9). Of 60 "
        "held-out images 0 passed: a false-positive rate of at most 4.9% (95% confidence)."
    )
    assert sentence(report(8, validation=False)[0]).endswith("No held-out images were tried.")


def test_figures_show_the_counts_and_are_the_same_every_time():
    results, _ = report(8, passed=1)
    figures = make_extraction_figures(results)
    assert list(figures) == ["extracted", "similarity"]
    svg = {name: style.to_svg(figure, name) for name, figure in figures.items()}
    assert "8 of 12 candidates completed to a copy from 21 tokens" in svg["extracted"]
    assert "held-out images and their completions (60)" in svg["similarity"]
    again = make_extraction_figures(results)
    assert svg == {name: style.to_svg(figure, name) for name, figure in again.items()}
    unchecked = make_extraction_figures(report(8, validation=False)[0])
    assert "held-out" not in style.to_svg(unchecked["extracted"], "extracted")
    assert "held-out" not in style.to_svg(unchecked["similarity"], "similarity")


@pytest.mark.parametrize(
    ("extracted", "title"),
    [
        (4, "4 distinct extracted training images, and what came closest"),
        (12, "12 distinct extracted training images<"),
        (0, "No completion reached the threshold; the most similar ones"),
    ],
)
def test_the_gallery_shows_originals_beside_completions(extracted, title):
    results, _ = report(extracted)
    figure = gallery(results, *pictures(results))
    assert len(figure.axes) == 2 * len(results.counts.gallery) == 24
    svg = style.to_svg(figure, "gallery")
    assert title in svg
    best = results.counts.gallery[0]
    assert best.sample_id in svg
    drawn = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(drawn, pictures(results)[1][0])


def test_similarities_below_the_threshold_are_not_rounded_up_to_it():
    results, _ = report(0)
    shown = tuple(replace(picture, similarity=0.89999) for picture in results.counts.gallery)
    results = replace(results, counts=replace(results.counts, gallery=shown))
    svg = style.to_svg(gallery(results, *pictures(results)), "gallery")
    assert "0.899 " in svg
    assert "0.900" not in svg

"""The report of a localisation as one HTML file: no script, nothing loaded, the same bytes every time."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import (
    Html,
    bullets,
    code,
    definitions,
    element,
    join,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.reports.localization.figures import localization_figures
from jaxaudit.reports.localization.rows import UNIT_ROWS, facts
from jaxaudit.results import Localization, LocalizationResults

_CAPTIONS = {
    "map": (
        "Left: UnitMem, averaged over the units of a hidden layer. Right: how many of them are among the top "
        "units of the whole model. UnitMem is 0 for a unit that answers to all pictures alike, and near 1 "
        "for one that answers to a single picture; units that several pictures fire alike are no top units."
    ),
    "classes": "A bar beyond its mark: pictures of this class fire more than their share of the top units.",
    "agreement": "Whether a smaller, cheaper subset would have found the same units.",
}
_SOURCES = (
    (
        "UnitMem, ClassMem",
        "Wang, Kaleem, Dziedzic, Backes, Papernot, Boenisch: Localizing Memorization in SSL Vision Encoders. "
        "NeurIPS 2024, arXiv 2409.19069",
    ),
    (
        "UnitMem of image autoregressive models",
        "Kasliwal, Boenisch, Dziedzic: Localizing and Mitigating Memorization in Image Autoregressive "
        "Models. 2025, arXiv 2509.00488",
    ),
)
_THUMBNAIL = 84  # CSS pixels


def render_localization(results: LocalizationResults, pictures: Mapping[str, bytes]) -> str:
    """The whole report as an HTML page with its figures and pictures inside.

    Args:
      results: what was found.
      pictures: {id: PNG file} of the pictures it names.
    """
    figures = {
        name: inline_svg(style.to_svg(figure, name), name, _CAPTIONS[name])
        for name, figure in localization_figures(results).items()
    }
    body = element(
        "main",
        element(
            "header",
            element("p", "jaxaudit report, localisation of memorisation"),
            element("h1", f"Hidden units of {results.target.name}"),
        ),
        _finding(results.localization),
        section("map", "Where they are", figures["map"]),
        _units(results.localization),
        _pictures(results.localization, pictures, figures),
        *(
            [section("agreement", "Would fewer pictures do?", figures["agreement"])]
            if "agreement" in figures
            else []
        ),
        _limits(),
        _measured(results),
        skipped_list(results.skipped),
    )
    return page(f"Hidden units of {results.target.name}", body)


def _finding(found: Localization) -> Html:
    first, *_ = found.pictures
    return section(
        "finding",
        "What was found",
        paragraph(
            "A hidden unit that one picture activates strongly, and all others hardly, may have memorised "
            "it. UnitMem measures this for every unit of the model's MLPs."
        ),
        definitions(facts(found)),
        paragraph(f"One picture alone, {first.picture}, fires {formats.count(first.num_units)} top units."),
    )


def _units(found: Localization) -> Html:
    with_classes = found.class_mean is not None
    heading, lines = turned(read(UNIT_ROWS, found.top_units))
    column = heading.index("fired by")
    for line in lines:
        line[column] = code(line[column])
    return section(
        "units",
        "The units with the highest UnitMem",
        table(heading, lines, dense=True),
        paragraph(
            "On it, on others: mean activation on the picture that fires the unit most, and on all others. "
            + ("ClassMem is the same measure with class means in place of pictures." if with_classes else ""),
            class_="small",
        ),
    )


def _pictures(found: Localization, pictures: Mapping[str, bytes], figures: Mapping[str, Html]) -> Html:
    gallery = [
        element(
            "figure",
            Html(
                f'<img alt="" style="width: {_THUMBNAIL}px; height: {_THUMBNAIL}px; object-fit: cover; '
                f'image-rendering: pixelated" src="data:image/png;base64,'
                f'{base64.b64encode(pictures[row.picture]).decode()}">'
            ),
            element(
                "figcaption",
                f"{formats.count(row.num_units)} unit{'s' if row.num_units > 1 else ''}",
                element("br"),
                f"class {row.label}",
                element("br"),
                code(row.picture.rsplit("/", 1)[-1]),
            ),
            style=f"margin: 0; width: {_THUMBNAIL + 8}px; overflow-wrap: anywhere",
        )
        for row in found.pictures
    ]
    return section(
        "pictures",
        "The pictures that fire them",
        paragraph(
            f"{formats.count(found.num_firing)} of {formats.count(found.num_pictures)} pictures fire a "
            "top unit; these fire the most."
        ),
        element("div", *gallery, style="display: flex; flex-wrap: wrap; gap: 0.75rem; margin-bottom: 1rem"),
        figures.get("classes", Html()),
    )


def _limits() -> Html:
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                "A high UnitMem says that a unit singles out one picture, not that training made it so: an "
                "unusual picture stands out in models that have never seen it. The control pools training "
                "pictures with unseen ones, counts which of them fire a top unit, and deals the pictures of "
                "every class to the two sides again; only what goes beyond chance there speaks of "
                "memorisation.",
                "Units do not act alone. That scaling them down prevents extraction has to be measured, "
                "with random and merely active units for comparison.",
            ]
        ),
    )


def _measured(results: LocalizationResults) -> Html:
    views = results.views
    options = {"timestep": results.timestep, "mask_ratio": results.mask_ratio}
    return section(
        "measured",
        "How it was measured",
        definitions(
            [
                ("Target", code(results.target.name)),
                ("Fingerprint of its weights", code(str(results.target.fingerprint))),
                ("Pictures", join([code(results.source), f", subsets {_listed(results.subsets)}"])),
                (
                    "Views of a picture",
                    f"{views.num_views}, {'half' if views.flip else 'none'} mirrored",
                ),
                *((name, str(value)) for name, value in options.items() if value is not None),
                ("Seed, precision", f"{results.seed}, {results.precision}"),
                ("Versions", ", ".join(f"{name} {value}" for name, value in results.versions.items())),
                *((what, paper) for what, paper in _SOURCES),
            ]
        ),
    )


def _listed(shares: Sequence[float]) -> str:
    return ", ".join(formats.level(share) for share in shares)

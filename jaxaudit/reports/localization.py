"""The report of a localisation as one HTML file: no script, nothing loaded, the same bytes every time."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

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
from jaxaudit.reports.localization_figures import localization_figures
from jaxaudit.reports.wording import Results

_CAPTIONS = {
    "map": (
        "Left: UnitMem, averaged over the units of a hidden layer. Right: how many of them are among the top "
        "units of the whole model. UnitMem is 0 for a unit that answers to all pictures alike, and near 1 "
        "for one that answers to a single picture."
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


def render_localization(results: Results, pictures: Mapping[str, bytes]) -> str:
    """The whole report as an HTML page with its figures and pictures inside.

    Args:
      results: what `results.json` of a localisation holds.
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
            element("h1", f"Hidden units of {results['request']['target']['name']}"),
        ),
        _finding(results),
        section("map", "Where they are", figures["map"]),
        _units(results),
        _pictures(results, pictures, figures),
        *(
            [section("agreement", "Would fewer pictures do?", figures["agreement"])]
            if "agreement" in figures
            else []
        ),
        _limits(),
        _measured(results),
    )
    return page(f"Hidden units of {results['request']['target']['name']}", body)


def print_localization(results: Results, console: Console) -> None:
    """The main numbers in a terminal."""
    found = results["localization"]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    for row in _facts(results):
        grid.add_row(*row)
    console.print(grid)
    listed = Table("unit", "UnitMem", "fired by", "class", box=box.SIMPLE_HEAD, title_justify="left")
    for unit in found["top_units"][:5]:
        listed.add_row(
            _place(unit), formats.decimal(unit["unit_mem"], 3), unit["picture"], str(unit["label"])
        )
    console.print(listed)


def _facts(results: Results) -> list[tuple[str, str]]:
    found = results["localization"]
    total = sum(found["widths"]) * len(found["stages"])
    facts = [
        ("units", f"{formats.count(total)}, measured on {formats.count(found['num_pictures'])} pictures"),
        (
            f"top {formats.level(found['top'])} of them",
            f"UnitMem of {formats.decimal(found['threshold'], 3)} or more, "
            f"fired by {formats.count(found['num_firing'])} pictures",
        ),
    ]
    if found["faint"]:
        facts.append(
            (
                "faint ones",
                f"{formats.percent(found['faint'])} of the top units never reach 1% of what is usual for a "
                "unit: UnitMem is a ratio, and rises as well where hardly anything happens",
            )
        )
    if control := found["control"]:
        facts.append(("control", _control(control)))
    return facts


def _control(control: Results) -> str:
    expected = control["num_members"] / (control["num_members"] + control["num_nonmembers"])
    return (
        f"with {formats.count(control['num_nonmembers'])} unseen pictures in the pool, training pictures "
        f"fire {formats.percent(control['share'])} of the top units (by chance {formats.percent(expected)}; "
        f"95% of random deals {formats.percent(control['low'])} to {formats.percent(control['high'])}; "
        f"{formats.p_equals(control['p_value'])})"
    )


def _finding(results: Results) -> Html:
    found = results["localization"]
    first, *_ = found["pictures"]
    return section(
        "finding",
        "What was found",
        paragraph(
            "A hidden unit that one picture activates strongly, and all others hardly, may have memorised "
            "it. UnitMem measures this for every unit of the model's MLPs."
        ),
        definitions(_facts(results)),
        paragraph(
            f"One picture alone, {first['picture']}, fires {formats.count(first['num_units'])} top units."
        ),
    )


def _place(unit: Results) -> str:
    stage = "" if unit["stage"] == "all tokens" else f"{unit['stage']}, "
    return f"{stage}{unit['layer']}, unit {unit['unit']}"


def _units(results: Results) -> Html:
    found = results["localization"]
    with_classes = found["class_mean"] is not None
    heading = [
        "unit",
        "UnitMem",
        *(["ClassMem"] if with_classes else []),
        "on it",
        "on others",
        "fired by",
        "class",
    ]
    rows = [
        [
            _place(unit),
            formats.decimal(unit["unit_mem"], 3),
            *([formats.decimal(unit["class_mem"], 3)] if with_classes else []),
            f"{unit['maximum']:.3g}",
            f"{unit['rest']:.3g}",
            code(unit["picture"]),
            str(unit["label"]),
        ]
        for unit in found["top_units"]
    ]
    return section(
        "units",
        "The units with the highest UnitMem",
        table(heading, rows, dense=True),
        paragraph(
            "On it, on others: mean activation on the picture that fires the unit most, and on all others. "
            + ("ClassMem is the same measure with class means in place of pictures." if with_classes else ""),
            class_="small",
        ),
    )


def _pictures(results: Results, pictures: Mapping[str, bytes], figures: Mapping[str, Html]) -> Html:
    found = results["localization"]
    gallery = [
        element(
            "figure",
            Html(
                f'<img alt="" style="width: {_THUMBNAIL}px; height: {_THUMBNAIL}px; object-fit: cover; '
                f'image-rendering: pixelated" src="data:image/png;base64,'
                f'{base64.b64encode(pictures[row["picture"]]).decode()}">'
            ),
            element(
                "figcaption",
                f"{formats.count(row['num_units'])} unit{'s' if row['num_units'] > 1 else ''}",
                element("br"),
                f"class {row['label']}",
                element("br"),
                code(row["picture"].rsplit("/", 1)[-1]),
            ),
            style=f"margin: 0; width: {_THUMBNAIL + 8}px; overflow-wrap: anywhere",
        )
        for row in found["pictures"]
    ]
    return section(
        "pictures",
        "The pictures that fire them",
        paragraph(
            f"{formats.count(found['num_firing'])} of {formats.count(found['num_pictures'])} pictures fire a "
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
                "pictures with unseen ones and counts which of them fire the top units; only what goes "
                "beyond chance there speaks of memorisation.",
                "Units do not act alone. That scaling them down prevents extraction has to be measured, "
                "with random and merely active units for comparison.",
            ]
        ),
    )


def _measured(results: Results) -> Html:
    request = results["request"]
    target = request["target"]
    views = request["views"]
    options = {name: request[name] for name in ("timestep", "mask_ratio") if request[name] is not None}
    return section(
        "measured",
        "How it was measured",
        definitions(
            [
                ("Target", code(target["name"])),
                ("Fingerprint of its weights", code(str(target["fingerprint"]))),
                ("Pictures", join([code(request["source"]), f", subsets {_listed(request['subsets'])}"])),
                (
                    "Views of a picture",
                    f"{views['num_views']}, {'half' if views['flip'] else 'none'} mirrored",
                ),
                *((name, str(value)) for name, value in options.items()),
                ("Seed, precision", f"{request['seed']}, {request['precision']}"),
                ("Versions", ", ".join(f"{name} {value}" for name, value in request["versions"].items())),
                *((what, paper) for what, paper in _SOURCES),
            ]
        ),
    )


def _listed(shares: list[float]) -> str:
    return ", ".join(formats.level(share) for share in shares)

"""The report of defences as one HTML file."""

from __future__ import annotations

import json

from jaxaudit.reports.defence.figure import defence_curves
from jaxaudit.reports.defence.rows import ROWS, headline, sentence
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import (
    Html,
    bullets,
    definitions,
    details,
    element,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import Row, read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.results import DefenceResults, DefendedTarget, to_plain

_CAPTION = (
    "Each point is the target under one defence at one strength: how many members an attacker finds (up) "
    "against the loss on held-out images (right is worse). Lines lead from the undefended target through "
    "growing strengths, bars are 95% intervals, over seeds from the lowest limit to the highest."
)
_LEVELS = (
    ("A0", "score, weights and threshold were fixed on the undefended target"),
    (
        "A1",
        "chosen and fitted anew on the defended target, on the half of the pictures that is not measured on",
    ),
    (
        "A2",
        "knows the defence as well: averages answers against noise, to the same question if it is fresh and "
        "to similar ones if it is keyed, scales the lightest units up again, and samples instead of "
        "completing greedily",
    ),
)


def render_defences(results: DefenceResults) -> str:
    """The whole report as an HTML page with its figure inside."""
    heading = f"Defences of {results.target.name}"
    svg = style.to_svg(defence_curves(results), "defences")
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, defences"), element("h1", heading)),
        section(
            "finding",
            headline(results),
            element(
                "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
            ),
            inline_svg(svg, "defences", _CAPTION),
        ),
        section("numbers", "All numbers", table(*turned(read(ROWS, results.points)), dense=True)),
        section(
            "attacks",
            "What the attackers chose",
            table(*turned(read(_ATTACKS, results.measured)), dense=True),
        ),
        _limits(),
        _method(results),
        skipped_list(results.skipped),
    )
    return page(heading, body)


def _name(one: DefendedTarget) -> str:
    facts = one.defence
    return facts.name if facts.kind == "undefended" else f"{facts.name} {facts.strength:g}, seed {facts.seed}"


_ATTACKS: tuple[Row[DefendedTarget], ...] = (
    Row("defence", _name),
    *(
        Row(level, lambda one, place=place: one.levels[place].attack)
        for place, level in enumerate(("A0", "A1", "A2"))
    ),
    Row("FPR of A0", lambda one: formats.percent(one.levels[0].fpr)),
    Row(
        "TPR of the difference",
        lambda one: None if one.difference is None else formats.spread(one.difference, formats.percent),
    ),
)


def _limits() -> Html:
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                "The attacks are those that are there. A stronger one may find more; no number here is an "
                "upper limit, as differential privacy has one.",
                "Whoever still has the undefended target attacks that one. What the difference of both tells "
                "is in the table of attacks.",
                "Keyed noise cannot be averaged by asking again. Where questions are noised latents or "
                "embeddings, A2 averages over similar ones, as if they had the same answer but for the "
                "noise; tokens and classes have no similar ones.",
                "Intervals are of one point each; of many some miss.",
            ]
        ),
    )


def _method(results: DefenceResults) -> Html:
    plain = to_plain(results)
    asked = {name: value for name, value in plain.items() if name not in ("measured", "points", "skipped")}
    return section(
        "method",
        "How it was measured",
        definitions([(level, text) for level, text in _LEVELS]),
        paragraph(
            "Attacks are chosen and fitted on one half of the pictures and measured on the other, "
            f"{formats.count(results.measured_on[0])} members and {formats.count(results.measured_on[1])} "
            "nonmembers. “Protects”: the limits at A2 lie below those without a defence. “None”: only "
            "those at A0 do."
        ),
        paragraph(
            "Sources: Tramèr, Carlini, Brendel, Madry: On adaptive attacks to adversarial example defenses. "
            "NeurIPS 2020. Aerni, Zhang, Tramèr: Evaluations of machine learning privacy defenses are "
            "misleading. CCS 2024. Scaling units: Kasliwal, Boenisch, Dziedzic 2025, arXiv 2509.00488."
        ),
        details("Everything that was asked for", element("pre", json.dumps(asked, indent=1))),
    )

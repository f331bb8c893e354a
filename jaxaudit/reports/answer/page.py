"""The answer to an owner's question, on one page of plain language and in a few lines of a terminal."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.answer.share import share_section
from jaxaudit.reports.answer.wording import (
    HEADLINES,
    assumptions,
    changes,
    e_value,
    plain_words,
    quotation,
    what_e_allows,
)
from jaxaudit.reports.audit import background
from jaxaudit.reports.audit.checks import checks
from jaxaudit.reports.audit.decision import decision
from jaxaudit.reports.audit.power_figure import p_value as p_value_figure
from jaxaudit.reports.audit.verdict import tested_tiles
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, bullets, code, element, key_numbers, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import OwnersAnswer

_BOX = {
    "identified": "trained_on",
    "not_identified": "no_evidence",
    "contradicted": "contradicted",
    "too_few": "not_testable",
    "not_testable": "not_testable",
    "generated": "not_testable",
}
_COLOURS = {
    "identified": "red",
    "not_identified": "cyan",
    "contradicted": "yellow",
    "too_few": "yellow",
    "not_testable": "yellow",
    "generated": "yellow",
}
_CAPTION = (
    "How certain one test becomes with the number of pictures. Above: the p-value of random draws. Middle: "
    "how many of them identify. Below: how many pictures are needed."
)


def print_answer(answer: OwnersAnswer, console: Console) -> None:
    """Headline and plain words."""
    status = answer.status
    console.print(
        Panel(
            Text("\n\n".join(plain_words(answer))),
            title=Text(HEADLINES[status], style="bold"),
            title_align="left",
            border_style=_COLOURS[status],
            padding=(1, 2),
        )
    )
    print_skipped(answer.audit.skipped, console)


def render_answer(answer: OwnersAnswer, pictures: Sequence[Mapping[str, bytes]] = ()) -> str:
    """The whole page as HTML.

    Args:
      answer: what was found.
      pictures: {id: PNG file} of some of P and of some of U, to be shown.
    """
    audit = answer.audit
    heading = f"Was {audit.target.name} trained on these pictures?"
    body = element(
        "main",
        element(
            "header",
            element("p", "jaxaudit, identification of copyrighted data"),
            element("h1", heading),
        ),
        _answer(answer),
        share_section(answer),
        _named(answer),
        _pictures(pictures),
        section("assumed", "What was assumed", bullets(assumptions(answer))),
        background.limits(),
        section("change", "What would change the answer", bullets(changes(answer))),
        _asked(answer),
        *(() if answer.status == "generated" else (decision(audit),)),
        checks(audit),
        _numbers(answer),
        background.tested(audit),
        background.reproduction(audit, _scoring(answer)),
        background.sources(audit),
    )
    return page(heading, body)


def _answer(answer: OwnersAnswer) -> Html:
    """Headline, plain words, the sentence to quote, key numbers."""
    asked, audit = answer.asked, answer.audit
    p_value, *others = tested_tiles(audit)
    needed = f"1/α = {e_value(1 / asked.alpha)} if asked again"
    label = "The finding, to quote"
    if len(asked.questions) > 1:
        label = "What was found in these pictures alone, to quote with the answer above"
    return element(
        "section",
        element("h2", HEADLINES[answer.status]),
        *(paragraph(text) for text in plain_words(answer)),
        element("blockquote", paragraph(label, class_="label"), paragraph(quotation(answer))),
        key_numbers([p_value, ("e-value", e_value(asked.e_value), needed), *others]),
        id="answer",
        class_=f"verdict {_BOX[answer.status]}",
    )


def _named(answer: OwnersAnswer) -> Html:
    """Where the pictures are shown that can be named; nothing where none can."""
    found = answer.audit.individuals
    if answer.status != "identified" or found is None or not found.discovered:
        return Html()
    return section(
        "named",
        "Which of the pictures were used?",
        paragraph(
            f"{formats.count(len(found.discovered))} of {formats.count(found.num_p)} can be named singly; "
            f"such lists have at most {formats.level(found.q)} of errors on average. They are shown, with "
            "hashes to check them by, in ",
            element("a", "exhibit.html", href="exhibit.html"),
            "; others may have been used as well, and leave too little trace to be told.",
        ),
    )


def _pictures(pictures: Sequence[Mapping[str, bytes]]) -> Html:
    """Some of each side; nothing if none are at hand."""
    if not pictures:
        return Html()
    shown = []
    for title, some in zip(("P, published", "U, unpublished"), pictures, strict=True):
        images = [
            Html(f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">')
            for png in some.values()
        ]
        shown += [element("h3", title), element("div", *images, class_="gallery")]
    return section("pictures", "Some of the pictures", *shown)


def _asked(answer: OwnersAnswer) -> Html:
    """Every question so far, and what the e-value beside the p-value allows."""
    asked = answer.asked
    lines = [
        [str(number), formats.count(len(one.pictures)), formats.p_value(one.p_value), *map(e_value, values)]
        for number, (one, wealth) in enumerate(zip(asked.questions, asked.wealth, strict=True), 1)
        for values in [(one.e_value, wealth)]
    ]
    return section(
        "asked",
        "What was asked so far",
        paragraph(what_e_allows(answer)),
        table(["question", "pictures", "p-value that counts", "e-value", "all so far"], lines),
        paragraph(
            "The p-value that counts is 1 where the sets cannot be compared, the direction is not that of "
            "training, or the model made the pictures. To ask again, with new pictures, give this answer "
            "along: ",
            code("--previous=answer.json"),
            ". The first question began with ",
            *([code(asked.plan), " as its plan."] if asked.plan != "unplanned" else ["no plan."]),
            class_="small",
        ),
    )


def _scoring(answer: OwnersAnswer) -> tuple[str, dict[str, str]]:
    """The program that asked, and the flags it alone has."""
    audit = answer.audit
    before = {"previous": "ANSWER_BEFORE"} if len(answer.asked.questions) > 1 else {}
    return "identify_data", {
        "published": audit.members.source,
        "unpublished": audit.nonmembers.source,
        **({"known_members": audit.known.source} if audit.known else {}),
        **before,
    }


def _numbers(answer: OwnersAnswer) -> Html:
    if not answer.audit.power_curves:
        return Html()
    with style.house_style():
        figure = p_value_figure(answer.audit)
    return section(
        "numbers",
        "How certain, with how many pictures?",
        paragraph(answer.required.sentence) if answer.required else Html(),
        inline_svg(style.to_svg(figure, "p_value"), "p_value", _CAPTION),
        paragraph(
            "P are the published pictures, U the unpublished; in ",
            code("evidence/"),
            " members and nonmembers.",
            class_="small",
        ),
    )

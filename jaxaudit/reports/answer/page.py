"""The answer to an owner's question, on one page of plain language and in a few lines of a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.audit import background, wording
from jaxaudit.reports.audit.checks import checks
from jaxaudit.reports.audit.power_figure import p_value
from jaxaudit.reports.audit.verdict import tiles
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, bullets, code, element, paragraph, section
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import OwnersAnswer

HEADLINES = {
    "identified": "Yes: the model shows that it was trained on your published pictures",
    "not_identified": "Not shown that the model was trained on your published pictures",
    "too_few": "Too few pictures to tell",
    "not_testable": "Cannot be tested: your two sets of pictures differ",
}
_BOX = {
    "identified": "trained_on",
    "not_identified": "no_evidence",
    "too_few": "not_testable",
    "not_testable": "not_testable",
}
_COLOURS = {"identified": "red", "not_identified": "green", "too_few": "yellow", "not_testable": "yellow"}
_CAPTION = (
    "How certain the answer becomes with the number of pictures. Above: the p-value of random draws. Middle: "
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


def render_answer(answer: OwnersAnswer) -> str:
    """The whole page as HTML."""
    status = answer.status
    audit = answer.audit
    heading = f"Was {audit.target.name} trained on these pictures?"
    found = element(
        "section",
        element("h2", HEADLINES[status]),
        *(paragraph(text) for text in plain_words(answer)),
        element(
            "blockquote",
            paragraph("The finding, to quote", class_="label"),
            paragraph(audit.finding.sentence),
        ),
        tiles(audit),
        id="answer",
        class_=f"verdict {_BOX[status]}",
    )
    body = element(
        "main",
        element(
            "header",
            element("p", "jaxaudit, identification of copyrighted data"),
            element("h1", heading),
        ),
        found,
        section("assumed", "What was assumed", bullets(assumptions(answer))),
        section("change", "What would change the answer", bullets(changes(status))),
        _numbers(answer),
        checks(audit),
        background.tested(audit),
        background.reproduction(audit),
        background.sources(audit),
    )
    return page(heading, body)


def plain_words(answer: OwnersAnswer) -> list[str]:
    """The answer in paragraphs without a technical term."""
    status, audit = answer.status, answer.audit
    published, unpublished = (
        formats.count(images.num_images) for images in (audit.members, audit.nonmembers)
    )
    if status == "not_testable":
        return [
            f"Your {published} published and {unpublished} unpublished pictures can be told apart without "
            "looking at the model. Whatever difference the model makes between them may come from that, so "
            "no answer is given, in either direction."
        ]
    compared = (
        f"The model was asked about {published} published and {unpublished} unpublished pictures, and how it "
        "answered was compared."
    )
    if status == "identified":
        return [
            f"{compared} It handles the published ones more like pictures it has been trained on, by more "
            "than chance explains.",
            f"If it had seen neither, a result like this would come up in fewer than "
            f"{formats.level(audit.alpha)} of such tests. "
            "The answer is about the set: it does not say which of the pictures were used.",
        ]
    required = answer.required.sentence if answer.required else ""
    if status == "too_few":
        return [f"{compared} There are signs that it knows the published ones, but {required}"]
    return [
        f"{compared} No difference was found that chance does not explain. This does not show that the "
        "pictures were not used.",
        f"How many pictures it would take: {required}",
    ]


def assumptions(answer: OwnersAnswer) -> list[str]:
    """What the owner vouches for, and what was found of it."""
    copies, audit = answer.near_duplicates, answer.audit
    within = (
        "no near-duplicates were found within either set"
        if not (copies.published or copies.unpublished)
        else f"pairs of near-duplicates: {copies.published} published, {copies.unpublished} "
        "unpublished; every pair makes the result look a little more certain than it is"
    )
    gate = audit.gate
    state = "did not tell them apart" if gate.passed else "told them apart"
    return [
        "The model has not seen the unpublished pictures. Nobody but their owner can vouch for this.",
        "Published and unpublished pictures differ in nothing but having been published: same hand, "
        "subjects, years, camera, file format, size. A program that never saw the model "
        f"{state} ({wording.gate_numbers(gate)}).",
        "No picture is in both sets: checked, pixel by pixel and for altered copies.",
        f"Pictures are independent of each other: {within}.",
        "The model in the file is the model in question: its fingerprint is "
        f"{str(audit.target.fingerprint)[:16]}.",
        f"One question, asked once, at a significance level of {formats.level(audit.alpha)} fixed "
        "beforehand.",
    ]


def changes(status: str) -> list[str]:
    """What could turn an answer of this status."""
    sizes = "More pictures on both sides: with twice as many, weaker traces show."
    matched = (
        "Unpublished pictures that match the published ones better: if the two sets differ in some way that "
        "the check above did not notice, the answer may rest on that."
    )
    access = "White-box scores, which use the model's gradients, if only its outputs were used here."
    return {
        "identified": [
            matched,
            "Evidence that the model had seen the unpublished pictures as well: the difference would then be "
            "even harder to explain.",
            "An independent repetition, with other pictures from the same hand, that finds nothing.",
        ],
        "not_identified": [sizes, access, "A sharper attack than those that are known today."],
        "too_few": [sizes, access],
        "not_testable": [
            "Two sets from one source: for instance pictures of the same series, assigned to be published or "
            "not by something that has nothing to do with how they look.",
            "The same processing on both sides: size, compression, file format.",
        ],
    }[status]


def _numbers(answer: OwnersAnswer) -> Html:
    if not answer.audit.power_curves:
        return Html()
    with style.house_style():
        figure = p_value(answer.audit)
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

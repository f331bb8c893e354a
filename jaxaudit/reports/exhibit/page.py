"""The pictures that can be named, as one HTML file: what the list means, each picture, how to check it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import (
    Html,
    bullets,
    code,
    definitions,
    element,
    join,
    key_numbers,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.page import page
from jaxaudit.results import Exhibit, ExhibitPicture

MOST_SHOWN = 200
"""Pictures in a page; all are in the table beside it."""
_CHECK = """\
import hashlib
import numpy as np
from PIL import Image

pixels = np.asarray(Image.open("FILE").convert("RGB"))
print(hashlib.sha256(np.asarray(pixels.shape, "<u4").tobytes() + pixels.tobytes()).hexdigest())"""


def meaning(exhibit: Exhibit) -> list[str]:
    """What the list says, and what it does not, in a sentence each."""
    share = formats.level(exhibit.q)
    return [
        f"The model treats each of these {formats.count(len(exhibit.named))} pictures so much like pictures "
        "it was trained on that, in lists made like this one, on average at most "
        f"{share} of the pictures named were not trained on.",
        f"This is said of the list and not of any one picture in it: no picture is certain, and that "
        f"{share} holds only if those that were not trained on are like the {formats.count(exhibit.num_u)} "
        "unpublished pictures that they were compared with.",
    ]


def render_exhibit(exhibit: Exhibit, thumbnails: Mapping[str, bytes]) -> str:
    """The page.

    Args:
      exhibit: what was found.
      thumbnails: {id: PNG file} of the pictures that are shown.
    """
    heading = f"Pictures named as training pictures of {exhibit.target.name}"
    body = element(
        "main",
        element("header", element("p", "jaxaudit, exhibit"), element("h1", heading)),
        _meaning(exhibit),
        _pictures(exhibit, thumbnails),
        _check(exhibit),
        _limits(exhibit),
    )
    return page(heading, body)


def _meaning(exhibit: Exhibit) -> Html:
    named, all_of_them = len(exhibit.named), len(exhibit.pictures)
    weakest = max(picture.adjusted_p_value for picture in exhibit.named)
    return element(
        "section",
        element("h2", f"{formats.count(named)} of {formats.count(all_of_them)} pictures can be named"),
        *map(paragraph, meaning(exhibit)),
        element("blockquote", paragraph("Of the set as a whole", class_="label"), paragraph(exhibit.finding)),
        key_numbers(
            [
                ("Named", formats.count(named), f"of {formats.count(all_of_them)} published"),
                ("Not trained on among them", f"≤ {formats.level(exhibit.q)}", "expected share"),
                ("Weakest picture named", formats.p_value(weakest), "adjusted p-value"),
            ]
        ),
        definitions(
            [
                (
                    "Model",
                    join([code(exhibit.target.name), element("br"), code(str(exhibit.target.fingerprint))]),
                ),
                ("Published pictures", code(exhibit.source)),
                ("Unpublished pictures", code(exhibit.unpublished)),
                ("Question", code(exhibit.question)),
            ]
        ),
        id="meaning",
        class_="verdict trained_on",
    )


def _pictures(exhibit: Exhibit, thumbnails: Mapping[str, bytes]) -> Html:
    shown = exhibit.named[:MOST_SHOWN]
    more = len(exhibit.named) - len(shown)
    rows = [_row(number, picture, thumbnails) for number, picture in enumerate(shown, 1)]
    return section(
        "pictures",
        "The pictures, the strongest first",
        table(["", "picture", "p-value", "adjusted"], rows),
        paragraph(f"And {formats.count(more)} more, in exhibit.csv.") if more else Html(),
        paragraph(
            "p-value: the share of unpublished pictures that the model treats at least as much like training "
            "pictures, this one counted among them. Adjusted: the smallest share of errors at which the "
            "picture would be named (Benjamini and Hochberg). ",
            code("exhibit.csv"),
            " has all published pictures that were tested, named or not, with their scores and hashes.",
            class_="small",
        ),
    )


def _row(number: int, picture: ExhibitPicture, thumbnails: Mapping[str, bytes]) -> Sequence[str]:
    png = thumbnails.get(picture.id)
    image = Html()
    if png is not None:
        image = Html(f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">')
    told = {
        "file": picture.file_sha256 or "none of its own",
        "pixels": picture.pixels_sha256,
        "shown": picture.shown_sha256,
    }
    lines = [
        element("tr", element("th", name, scope="row"), element("td", code(digest)))
        for name, digest in told.items()
    ]
    words = join([element("b", f"{number}. {picture.id}"), element("table", *lines, class_="hashes")])
    return (
        element("div", image, class_="gallery"),
        words,
        formats.p_value(picture.p_value),
        formats.p_value(picture.adjusted_p_value),
    )


def _check(exhibit: Exhibit) -> Html:
    with_files = any(picture.file_sha256 for picture in exhibit.named)
    return section(
        "check",
        "How to check it",
        bullets(
            [
                *(
                    [join(["A file is the one named here if ", code("sha256sum FILE"), " says its “file”."])]
                    if with_files
                    else []
                ),
                "Its “pixels” are the SHA-256 of height, width and 3, as little-endian 32-bit integers, and "
                "the RGB bytes of the decoded picture, row by row; this prints them:",
            ]
        ),
        element("pre", _CHECK),
        bullets(
            [
                "“Shown” is the same of what the model was shown: the picture resized and cropped as "
                "answer.json says (preprocessing).",
                join(
                    [
                        "The p-values follow from the scores alone, without the model: ",
                        code("jaxaudit verdict --evidence=evidence"),
                        " writes them again (members.csv). The scores follow from pictures and model: the "
                        "command is in answer.html.",
                    ]
                ),
            ]
        ),
    )


def _limits(exhibit: Exhibit) -> Html:
    share = formats.level(exhibit.q)
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                f"{share} is an average over lists made in this way. A single list may hold more pictures "
                "that were not trained on, or none.",
                "An adjusted p-value is not the probability that a picture was not trained on.",
                "Pictures that are not named may have been trained on all the same: most leave too little "
                "trace to be told singly.",
                "Whatever makes the pictures in question unlike the unpublished ones without the model "
                "would make the list wrong; a check found no such difference, which is no proof that there "
                "is none.",
                "Copies of a picture count as one, named by the first of them.",
            ]
        ),
    )

"""Figures inside a page: SVG in the page's colours and font, or a PNG of what is made of pixels."""

import base64
import html
import re

from jaxaudit.reports.kit.markup import Html, element
from jaxaudit.reports.kit.stylesheet import adapt_colours


def inline_svg(svg: str, name: str, caption: str) -> Html:
    """<figure> with the SVG of `style.to_svg`, its ids unlike those of other figures of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="|xlink:href="#|url\(#', lambda match: match[0] + f"{name}-", svg)

    def described(size: re.Match[str]) -> str:
        return f' style="max-width: {float(size[1]):.0f}pt" role="img" aria-label="{html.escape(caption)}"'

    svg = re.sub(r' width="([\d.]+)pt" height="[\d.]+pt"', described, svg, count=1)
    return _figure(Html(adapt_colours(svg)), name, caption)


def inline_png(png: bytes, name: str, caption: str) -> Html:
    """<figure> with a PNG."""
    data = base64.b64encode(png).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption)}" style="max-width: 100%">'
    return _figure(Html(image), name, caption)


def _figure(content: Html, name: str, caption: str) -> Html:
    return element("figure", content, element("figcaption", caption), id=f"figure-{name}")

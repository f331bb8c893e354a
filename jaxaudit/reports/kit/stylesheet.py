"""The stylesheet of HTML pages: light and dark, screen and paper, system fonts, no file beside the page."""

from collections.abc import Mapping

from jaxaudit.reports.kit import style

_DARK = {
    style.INK: "#e6eaf0",
    style.SOFT_INK: "#a3aebb",
    style.RULE: "#3a4451",
    style.PAPER: "#1a2028",
    style.NONMEMBERS: "#8b95a1",
    **dict(zip(style.VIEW_COLOURS, ("#56b4e9", "#f28a3c", "#3ecf9f", "#d98ad4"), strict=True)),
}
"""{colour of a figure: its counterpart on a dark page}."""


def adapt_colours(svg: str) -> str:
    """The SVG of a figure with its colours as variables of the stylesheet, which follow the page."""
    for colour in _DARK:
        svg = svg.replace(colour, f"var({_variable(colour)})")
    return svg


def stylesheet() -> str:
    """The CSS of a page."""
    light = _SHEET.replace("/* figures, light */", _declare({colour: colour for colour in _DARK}))
    return light.replace("/* figures, dark */", _declare(_DARK))


def _declare(colours: Mapping[str, str]) -> str:
    return " ".join(f"{_variable(name)}: {value};" for name, value in colours.items())


def _variable(colour: str) -> str:
    return f"--figure-{colour.removeprefix('#')}"


_SHEET = """
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --ink: #1f2a37; --soft: #5b6776; --rule: #dbe1e7; --tint: #f4f6f8;
  --link: #0b5cad;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --trained_on: #b42318; --no_evidence: #2f5f8a; --not_testable: #9a6700; --paper: #7a3e9d;
  --passed: #1a7f4b; --failed: #b42318;
  /* figures, light */
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #11161c; --card: #1a2028; --ink: #e6eaf0; --soft: #a3aebb; --rule: #303a46; --tint: #222a34;
    --link: #7ab8f5;
    --trained_on: #ff8a7a; --no_evidence: #8fc1ec; --not_testable: #e9b949; --paper: #cfa0ec;
    --passed: #5fd39a; --failed: #ff8a7a;
    /* figures, dark */
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 var(--sans);
}
main { max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header p { margin: 0; color: var(--soft); }
h1 {
  font-size: 1.9rem; line-height: 1.2; margin: 0.15rem 0 1.5rem; letter-spacing: -0.01em;
  overflow-wrap: anywhere;
}
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 0.75rem; letter-spacing: -0.005em; }
h3 { font-size: 1rem; margin: 1.75rem 0 0.5rem; }
p, ul, ol, dl { margin: 0 0 0.9rem; max-width: 46rem; }
li { margin-bottom: 0.45rem; }
a { color: var(--link); }
section {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 1.6rem 1.75rem 1.1rem; margin-top: 1.25rem;
}
.verdict { border-left: 6px solid var(--accent); }
.verdict h2 { font-size: 1.55rem; color: var(--accent); }
.verdict.trained_on { --accent: var(--trained_on); }
.verdict.no_evidence { --accent: var(--no_evidence); }
.verdict.not_testable, .verdict.contradicted { --accent: var(--not_testable); }
.verdict.paper { --accent: var(--paper); }
blockquote {
  margin: 1.1rem 0 1rem; padding: 0.9rem 1.1rem; background: var(--tint); border-radius: 8px; max-width: none;
}
blockquote p { margin: 0; max-width: none; }
.label, .tile dt { font-size: 0.8rem; color: var(--soft); }
blockquote .label { margin-bottom: 0.3rem; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.75rem; max-width: none;
}
.tile { border: 1px solid var(--rule); border-radius: 8px; padding: 0.65rem 0.9rem; }
.tile dd { margin: 0.1rem 0 0; font-size: 1.3rem; font-weight: 600; line-height: 1.3; }
.tile dd small { display: block; font-size: 0.8rem; font-weight: 400; color: var(--soft); }
.note {
  border-left: 4px solid var(--accent, var(--rule)); background: var(--tint); padding: 0.75rem 1rem;
  border-radius: 0 8px 8px 0; max-width: none; margin: 0 0 1rem;
}
.note > :last-child { margin-bottom: 0; }
.note h3 { margin-top: 0; }
.note.paper { --accent: var(--paper); }
.note.not_testable { --accent: var(--not_testable); }
dl:not(.tiles) > div {
  display: grid; grid-template-columns: 12rem 1fr; gap: 1rem; padding: 0.4rem 0;
  border-top: 1px solid var(--rule);
}
dl:not(.tiles) { max-width: none; }
dl:not(.tiles) > div:first-child { border-top: 0; }
dl:not(.tiles) dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; min-width: 60%; }
th, td {
  text-align: left; padding: 0.4rem 1.4rem 0.4rem 0; vertical-align: top; border-top: 1px solid var(--rule);
}
thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: 0.82rem; vertical-align: bottom; }
tbody th { font-weight: 400; }
td code, th code { white-space: nowrap; }
.dense table { font-size: 0.8rem; }
.dense :is(th, td) { white-space: nowrap; padding-right: 1rem; }
tr.marked > * { font-weight: 650; }
.small { font-size: 0.88rem; color: var(--soft); }
figure { margin: 0.5rem 0 1.25rem; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: var(--sans) !important; }
figcaption { font-size: 0.88rem; color: var(--soft); max-width: 46rem; margin-top: 0.5rem; }
code, pre {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.86em;
  overflow-wrap: anywhere;
}
pre {
  background: var(--tint); border-radius: 8px; padding: 0.9rem 1.1rem; white-space: pre-wrap;
  word-break: break-all; max-height: 24rem; overflow: auto; margin: 0 0 1rem;
}
.gallery { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0 0 1rem; }
.gallery img { height: 84px; image-rendering: pixelated; border-radius: 4px; }
td .gallery { margin: 0; min-width: 84px; }
table.hashes { min-width: 0; font-size: 0.78rem; margin-top: 0.2rem; }
table.hashes :is(th, td) { border: 0; padding: 0 0.6rem 0 0; color: var(--soft); font-weight: 400; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; color: var(--link); }
details[open] > summary { margin-bottom: 0.6rem; }
.state { font-weight: 650; }
.state.passed { color: var(--passed); }
.state.failed { color: var(--failed); }
@media (max-width: 40rem) {
  section { padding: 1.2rem 1.1rem 0.6rem; }
  dl:not(.tiles) > div { grid-template-columns: 1fr; gap: 0; }
}
@media print {
  @page { margin: 16mm; }
  :root { --page: #ffffff; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section { border: 0; border-radius: 0; padding: 0; margin-top: 1.6rem; }
  .verdict { padding-left: 1rem; }
  h2, h3, summary { break-after: avoid; }
  figure, tr, blockquote, .note, .tile { break-inside: avoid; }
  figure svg { max-height: 14cm; }
  .dense td { white-space: normal; }
  pre { max-height: none; overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""

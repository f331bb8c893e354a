"""A bound on epsilon, as one HTML file."""

from __future__ import annotations

import json

from jaxaudit.reports.epsilon.figure import shown_epsilon
from jaxaudit.reports.epsilon.rows import ROWS, epsilon, headline, sentence
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, details, element, key_numbers, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.results import EpsilonResults, to_plain


def render_epsilon(results: EpsilonResults) -> str:
    """The report as one HTML page with its figure inside."""
    name = f"How private the training of {results.target} was, at most"
    figure = inline_svg(
        style.to_svg(shown_epsilon(results), "epsilon"),
        "epsilon",
        "What guesses show, by how many canaries are guessed about.",
    )
    lines = [[label, *texts] for label, texts in read(ROWS, [results])]
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, privacy"), element("h1", name)),
        _finding(results),
        section("guesses", "What it rests on", figure, table(["", f"at δ = {results.bound.delta:g}"], lines)),
        _scope(),
        _method(results),
        skipped_list(results.skipped),
    )
    return page(name, body)


def _finding(results: EpsilonResults) -> Html:
    bound = results.bound
    upper = "unknown" if results.upper is None else epsilon(results.upper)
    return element(
        "section",
        element("h2", headline(results)),
        element(
            "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
        ),
        key_numbers(
            [
                ("Epsilon, at least", epsilon(bound.epsilon), f"at δ = {bound.delta:g}"),
                ("Epsilon, at most", upper, "by the noise that is recorded"),
                (
                    "Right guesses",
                    formats.count(bound.right),
                    f"of {formats.count(bound.guesses)}, about {formats.count(bound.num_guessed)} canaries",
                ),
            ]
        ),
        id="verdict",
        class_=f"verdict {'trained_on' if bound.epsilon > 0 else 'no_evidence'}",
    )


def _scope() -> Html:
    return section(
        "scope",
        "What the bound speaks of",
        paragraph(
            "Of the training procedure that made the target, data in and model out, and of adding or "
            "removing one picture: whoever promises a smaller epsilon for it promises too much. It holds "
            "whatever the score is, for what can be guessed from the model is no more than the training "
            "reveals."
        ),
        paragraph(
            "It is no bound from above: guesses that fail show no privacy, and another score, other "
            "canaries or more of them may show more. It says nothing of groups of pictures, or of what a "
            "base model knew before it was trained further."
        ),
    )


def _method(results: EpsilonResults) -> Html:
    asked = {name: value for name, value in to_plain(results).items() if name != "skipped"}
    return section(
        "method",
        "What was done",
        paragraph(
            "Each canary was put into the training set by a fair coin of its own, and nothing that scored "
            "them has seen the coins. On a random half of the canaries, the score and the number of guesses "
            "were chosen; of the other half, those that score highest were guessed to be in and as many "
            "that score lowest to be out. Under (ε, δ)-differential privacy the number of right guesses is "
            "no larger than that of coins which fall right with probability e^ε / (1 + e^ε), but for a term "
            "in δ; the bound is the largest ε that the guesses reject."
        ),
        paragraph(
            "Sources: Steinke, Nasr, Jagielski, Privacy auditing with one (1) training run, NeurIPS 2023, "
            "theorem 5.2; for the noise Abadi et al. 2016, arXiv 1607.00133, and Mironov, Talwar, Zhang "
            "2019, arXiv 1908.10530."
        ),
        details("Everything that was asked for", element("pre", json.dumps(asked, indent=1))),
    )

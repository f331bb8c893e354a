"""Matched sets, as one HTML file."""

from __future__ import annotations

import json

from jaxaudit.reports.fair_sets.figures import balance_figure, odds_figure
from jaxaudit.reports.fair_sets.rows import balance, classifiers, comparisons, headline, pools, sentence
from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, code, details, element, key_numbers, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.results import FairSets, to_plain

_CLASSES = {"equal": "no_evidence", "different": "trained_on", "too_few": "contradicted"}
_ASKED = ("image_size", "margin", "seed", "features", "left_out", "num_classes")


def render_fair_sets(results: FairSets) -> str:
    """The report as one HTML page with its figures inside."""
    odds = inline_svg(
        style.to_svg(odds_figure(results), "odds"),
        "odds",
        "Log-odds of being in P: where the two sides do not overlap there is nothing to match.",
    )
    differences = inline_svg(
        style.to_svg(balance_figure(results), "balance"),
        "balance",
        "Mean differences of the features that differed most.",
    )
    body = element(
        "main",
        element("header", element("p", "jaxaudit report, fair sets"), element("h1", "Matched sets")),
        _finding(results),
        section("pools", "What became of the pools", odds, table(*pools(results), marked=6)),
        section("alike", "How alike they are", table(*comparisons(results)), differences),
        details("Every feature", table(*balance(results), dense=True)),
        _method(results),
        skipped_list({side.upper(): pool.skipped for side, pool in results.pools.items()}),
    )
    return page("Matched sets", body)


def _finding(results: FairSets) -> Html:
    after, before = results.after, results.before
    return element(
        "section",
        element("h2", headline(results)),
        paragraph(
            "A verdict compares how a model treats P and U. It needs sets that differ in nothing else; these "
            "were matched so that nothing that can be seen without the model should tell them apart."
        ),
        element(
            "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
        ),
        key_numbers(
            [
                ("Pairs", formats.count(after.num_p), f"of {formats.count(before.num_p)} and "
                 f"{formats.count(before.num_u)} independent pictures"),
                ("AUC of trees", formats.area(after.auc.estimate),
                 f"{formats.area(before.auc.estimate)} before"),
                ("Blind gate", formats.p_equals(after.gate.p_value),
                 f"{formats.p_equals(before.gate.p_value)} before"),
            ]
        ),
        id="verdict",
        class_=f"verdict {_CLASSES[results.answer]}",
    )  # fmt: skip


def _method(results: FairSets) -> Html:
    asked = {name: value for name, value in to_plain(results).items() if name in _ASKED}
    return section(
        "method",
        "What was done",
        paragraph(
            "Copies and near-duplicates were left out: one picture of each cluster stays, and none with a "
            "copy in the other pool. The pools were cut at random into three parts; the pairs of a part were "
            "made by a rule learned on the other two: pictures of one class whose log-odds of being in P "
            "agree by every classifier that could still tell the sides apart. Of these pairs those were kept "
            "that balance the leading features."
        ),
        table(*classifiers(results)),
        paragraph(
            "The last classifier of a line was trained on the pairs that the others left, and is not in "
            "the rule unless there are three. Trees, which had no part in this, were trained on the pairs of "
            "two parts and asked about those of the third."
        ),
        paragraph(
            "Sources: LAION-mi (Dubiński et al., WACV 2024, arXiv 2306.12983), Algorithm 1; calipers as in "
            "Austin, Pharmaceutical Statistics 2011; balance as in Zubizarreta et al., Annals of Applied "
            "Statistics 2014."
        ),
        paragraph(
            "Use them with ", code("--members=matched:OUT#p --nonmembers=matched:OUT#u"), " in any program."
        ),
        details("Everything that was asked for", element("pre", json.dumps(asked, indent=1))),
    )

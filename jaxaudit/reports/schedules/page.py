"""What walks through a diffusion model give away, as one HTML file."""

from __future__ import annotations

import json

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.kit.inline import inline_svg
from jaxaudit.reports.kit.markup import Html, details, element, key_numbers, paragraph, section, table
from jaxaudit.reports.kit.page import page
from jaxaudit.reports.kit.rows import read, turned
from jaxaudit.reports.kit.skipped import skipped_list
from jaxaudit.reports.schedules.figure import leakage_by_schedule
from jaxaudit.reports.schedules.rows import (
    OTHER_ROWS,
    ROWS,
    Single,
    headline,
    named,
    optimism,
    other_lines,
    passes,
    schedule_lines,
    sentence,
)
from jaxaudit.results import ScheduleResults, to_plain


def render_schedules(results: ScheduleResults) -> str:
    """The report as one HTML page with its figure inside."""
    title = f"What walks through {results.target} give away"
    figure = inline_svg(
        style.to_svg(leakage_by_schedule(results), "schedules"),
        "schedules",
        "Every schedule and error at the step that was best on the other half of the pictures.",
    )
    others = [Single(line) for line in other_lines(results)]
    body = element(
        "main",
        element(
            "header", element("p", "jaxaudit report, schedules of a diffusion model"), element("h1", title)
        ),
        _finding(results),
        section(
            "schedules", "Schedule by schedule", figure, table(*turned(read(ROWS, schedule_lines(results))))
        ),
        section(
            "beside",
            "What they are compared to",
            table(*turned(read(OTHER_ROWS, others))),
            *([paragraph(text)] if (text := optimism(results)) else []),
        ),
        _method(results),
        skipped_list(results.skipped),
    )
    return page(title, body)


def _finding(results: ScheduleResults) -> Html:
    found = results.best.leakage
    sixteen, total = passes(results)
    return element(
        "section",
        element("h2", headline(results)),
        element(
            "blockquote", paragraph("The finding, to quote", class_="label"), paragraph(sentence(results))
        ),
        key_numbers(
            [
                ("AUC", formats.area(found.auc.estimate), formats.between(found.auc, formats.area)),
                (
                    f"Members found at {formats.level(results.fpr)}",
                    formats.percent(found.tpr.estimate),
                    formats.between(found.tpr, formats.percent),
                ),
                ("Passes per picture", formats.count(total), f"{formats.count(sixteen)} of the schedules"),
            ]
        ),
        id="verdict",
        class_=f"verdict {'trained_on' if results.told == 'told_apart' else 'no_evidence'}",
    )


def _method(results: ScheduleResults) -> Html:
    left_out = ("walks", "best", "schedules", "skipped", "classifier", "low_rank", "gate")
    asked = {name: value for name, value in to_plain(results).items() if name not in left_out}
    omitted = [paragraph(f"Left out: {name}, because {why}.") for name, why in results.omitted.items()]
    return section(
        "method",
        "What was done",
        paragraph(
            "Each picture is walked through the model along every schedule: noise is put in once and carried "
            "along by the sampler, or anew at every step, and at every step three errors are taken: of the "
            "noise the model sees, of the latents it would restore, and of the picture these decode to; the "
            f"mean of {formats.count(results.noises)} noises. The best step of every error was chosen on one "
            "half of the pictures and is measured on the other; so was the walk in the finding "
            f"({named(results.best, results)}), so it is one test, however many there are. “As published” is "
            "the mean and standard deviation over 100 random subsets, which is no interval."
        ),
        paragraph(
            "Whether members and nonmembers differ without the model: "
            f"{formats.p_equals(results.gate.p_value)}; they are compared if it is above "
            f"{formats.level(results.gate.level)}."
        ),
        *omitted,
        paragraph(
            "Source: Dubiński et al., Towards more realistic membership inference attacks on large diffusion "
            "models, WACV 2024, arXiv 2306.12983, and its extension."
        ),
        details("Everything that was asked for", element("pre", json.dumps(asked, indent=1))),
    )

"""What an extraction attack found: the sentence to quote and a line per prefix, for page and terminal."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, terminal_table
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import ExtractionResults
from jaxaudit.results.extraction import PrefixCounts

HEADLINES = {
    "extracted": "Training images can be extracted from the model",
    "indistinguishable": "Completions pass, but not more often than those of unseen images",
    "unchecked": "Completions pass; how often unseen images would is not known",
    "none": "No training image was extracted",
}
_COLOURS = {"extracted": "red", "indistinguishable": "yellow", "unchecked": "yellow", "none": "cyan"}


def sentence(results: ExtractionResults) -> str:
    """The finding, to quote."""
    counts, given = results.counts, results.target
    main = counts.longest
    tokens = f"{formats.count(main.tokens)} of {formats.count(given.tokens)} tokens"
    found = (
        f"Given the class and {tokens}, {given.name} completed {formats.count(main.extracted)} of "
        f"{formats.count(counts.num_completed.candidates)} candidates, the best ranked of "
        f"{formats.count(counts.num_ranked.candidates)} training images, to a copy of the original "
        f"({formats.count(main.distinct)} distinct; {counts.similarity.name} similarity at least "
        f"{counts.similarity.threshold:g})."
    )
    if not main.false_positives:
        return f"{found} No held-out images were tried."
    bound = main.false_positives.all
    passed = f"{formats.count(bound.count)} passed"
    return (
        f"{found} Of {formats.count(bound.trials)} held-out images {passed}: a false-positive rate of at "
        f"most {formats.percent(bound.high)} ({formats.level(counts.confidence)} confidence)."
    )


def _passed(which: str, entry: PrefixCounts) -> str | None:
    if entry.false_positives is None:
        return None
    bound = getattr(entry.false_positives, which)
    return f"{formats.count(bound.count)} of {formats.count(bound.trials)}"


ROWS: tuple[Row[PrefixCounts], ...] = (
    Row("tokens given", lambda entry: f"{formats.count(entry.tokens)} ({formats.percent(entry.share)})"),
    Row("extracted", lambda entry: formats.count(entry.extracted)),
    Row("distinct", lambda entry: formats.count(entry.distinct)),
    Row("closest to own original", lambda entry: formats.count(entry.closest_to_own)),
    Row("share of candidates", lambda entry: formats.spread(entry.rate, formats.percent)),
    Row("held-out, all", lambda entry: _passed("all", entry)),
    Row("at most", lambda entry: entry.false_positives and formats.percent(entry.false_positives.all.high)),
    Row("chosen alike, candidates", lambda entry: _passed("candidates", entry)),
    Row("chosen alike, held-out", lambda entry: _passed("chosen", entry)),
    Row("p-value", lambda entry: None if entry.p_value is None else formats.p_value(entry.p_value)),
)
"""What is said of each prefix."""


def print_extraction(results: ExtractionResults, console: Console) -> None:
    """Prints the finding and the counts per prefix."""
    status = results.counts.status
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(HEADLINES[status], style="bold"),
            title_align="left",
            border_style=_COLOURS[status],
            padding=(1, 2),
        )
    )
    heading, *lines = ([label, *texts] for label, texts in read(ROWS, results.counts.prefixes))
    title = "Completions at the threshold, by tokens given"
    console.print(terminal_table(title, ["", *heading[1:]], lines))
    print_skipped(results.skipped, console)

"""What sampling would bring back: the sentence to quote and a line per prefix, for page and terminal."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, terminal_table
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import PrefixRegeneration, RegenerationResults


def headline(results: RegenerationResults) -> str:
    """What was found, in a line."""
    if results.prefixes[-1].found.extracted:
        return "Sampling would bring training images back"
    return "Sampling would bring no training image back"


def sampled(results: RegenerationResults) -> str:
    """How the model is sampled."""
    parts = [f"temperature {results.temperature:g}"]
    if results.top_k:
        parts.append(f"top-k {results.top_k}")
    if results.top_p < 1:
        parts.append(f"top-p {results.top_p:g}")
    parts.append(f"guidance {results.guidance:g}" if results.guidance != 1 else "no guidance")
    return ", ".join(parts)


def sentence(results: RegenerationResults) -> str:
    """The finding, to quote."""
    last = results.prefixes[-1]
    found = last.found
    given = f"{formats.count(last.tokens)} of {formats.count(results.tokens)} tokens"
    return (
        f"Given the condition and {given}, {results.target} draws {formats.count(found.extracted)} of "
        f"{formats.count(found.num_images)} training images, token for token, within "
        f"{formats.count(found.most_tries)} tries with a chance of {formats.level(found.probability)} each, "
        f"and more readily than any of {formats.count(found.num_held_out)} held-out images, of which "
        f"{formats.count(found.held_out_discoverable)} would come back ({sampled(results)}). Fewer than "
        f"{formats.percent(found.held_out_limit)} of unseen images are as likely "
        f"({formats.level(found.confidence)} confidence)."
    )


def _tries(count: float | None) -> str:
    if count is None:
        return "never"
    return formats.count(round(count)) if count < 1e6 else f"{count:.1e}"


ROWS: tuple[Row[PrefixRegeneration], ...] = (
    Row("tokens given", lambda entry: formats.count(entry.tokens)),
    Row("extracted", lambda entry: formats.count(entry.found.extracted)),
    Row("would come back", lambda entry: formats.count(entry.found.discoverable)),
    Row("held-out, would come back", lambda entry: formats.count(entry.found.held_out_discoverable)),
    Row("fewest tries", lambda entry: _tries(entry.found.fewest_tries)),
    *(
        Row(
            f"expected in {tries:,} {'try' if tries == 1 else 'tries'}",
            lambda entry, tries=tries: f"{entry.found.expected[tries]:.3g}",
        )
        for tries in (1, 1_000, 1_000_000)
    ),
)
"""What is said of each prefix."""


def print_regeneration(results: RegenerationResults, console: Console) -> None:
    """Prints the finding and a line per prefix."""
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(headline(results), style="bold"),
            title_align="left",
            border_style="red" if results.prefixes[-1].found.extracted else "cyan",
            padding=(1, 2),
        )
    )
    heading, *lines = ([label, *texts] for label, texts in read(ROWS, results.prefixes))
    console.print(terminal_table("Training images, by tokens given", ["", *heading[1:]], lines))
    print_skipped(results.skipped, console)

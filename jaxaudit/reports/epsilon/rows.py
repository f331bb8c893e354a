"""A bound on epsilon: headline, the sentence to quote and what it rests on, for page and terminal."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, terminal_table
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import EpsilonResults, NoisyStage


def epsilon(value: float) -> str:
    """An epsilon: two decimals."""
    return formats.decimal(value, 2)


def headline(results: EpsilonResults) -> str:
    """What was found, in a line."""
    if results.contradicted:
        return "Contradiction: the run shows more than its noise allows"
    if results.bound.epsilon > 0:
        return f"Epsilon is at least {epsilon(results.bound.epsilon)}"
    return "Nothing was shown: the run is compatible with perfect privacy"


def sentence(results: EpsilonResults) -> str:
    """The finding, to quote."""
    bound = results.bound
    guessed = (
        f"Of {formats.count(bound.num_guessed)} canaries, each of which a fair coin had put into the "
        f"training set of {results.target} or kept out of it, {formats.count(bound.guesses)} were guessed "
        f"about, by {bound.score}, and {formats.count(bound.right)} guesses were right"
    )
    if results.contradicted and results.upper is not None:
        return (
            f"{guessed}. That takes an epsilon of {epsilon(bound.epsilon)} or more at δ = {bound.delta:g} "
            f"({formats.level(bound.confidence)} confidence), and the noise that is recorded guarantees "
            f"{epsilon(results.upper)}: the training did not do what is recorded, unless chance deceives."
        )
    if bound.epsilon > 0:
        return (
            f"{guessed}: the training is ({epsilon(bound.epsilon)}, {bound.delta:g})-differentially private "
            f"at best ({formats.level(bound.confidence)} confidence)."
        )
    return f"{guessed}, which chance explains. That shows no privacy: better guesses may be possible."


def noise_text(stages: tuple[NoisyStage, ...]) -> str:
    """What was added in training."""
    if not stages:
        return "none is recorded"
    return "; ".join(
        f"{formats.count(stage.steps)} steps, noise multiplier {stage.noise_multiplier:g}, each picture "
        f"taken with probability {stage.sampling_rate:.3g}"
        for stage in stages
    )


ROWS: tuple[Row[EpsilonResults], ...] = (
    Row("epsilon, at least", lambda results: epsilon(results.bound.epsilon)),
    Row(
        "epsilon, at most, by its noise",
        lambda results: "unknown" if results.upper is None else epsilon(results.upper),
    ),
    Row("had every guess been right", lambda results: epsilon(results.bound.most)),
    Row("guesses that were right", lambda results: _of(results.bound.right, results.bound.guesses)),
    Row("guessed by", lambda results: f"{results.bound.score}, one of {len(results.scores)} scores"),
    Row("canaries trained on", lambda results: _of(results.num_included, results.num_canaries)),
    Row("noise in training", lambda results: noise_text(results.noise)),
)
"""What is said of a run."""


def print_epsilon(results: EpsilonResults, console: Console) -> None:
    """Prints the finding and what it rests on."""
    shown = results.contradicted or results.bound.epsilon > 0
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(headline(results), style="bold"),
            title_align="left",
            border_style="red" if shown else "cyan",
            padding=(1, 2),
        )
    )
    lines = [[label, *texts] for label, texts in read(ROWS, [results])]
    console.print(terminal_table(None, ["", f"at δ = {results.bound.delta:g}"], lines))
    print_skipped(results.skipped, console)


def _of(part: int, whole: int) -> str:
    return f"{formats.count(part)} of {formats.count(whole)}"

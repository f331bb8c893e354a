"""Matched sets: the sentence to quote, what became of the pools, and a line per comparison."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, terminal_table, turned
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import FairSets, FeatureBalance, PoolUse, SetLikeness

_HEADLINES = {
    "equal": "The matched sets are alike",
    "different": "The matched sets still differ",
    "too_few": "The matched sets are too small to tell whether they are alike",
}
_COLOURS = {"equal": "green", "different": "red", "too_few": "yellow"}
_SHOWN = 12  # features in the terminal


def headline(results: FairSets) -> str:
    """What was found, in a line."""
    return _HEADLINES[results.answer]


def sentence(results: FairSets) -> str:
    """The finding, to quote."""
    after = results.after
    limit = formats.area(0.5 + results.margin)
    told = (
        f"{formats.count(after.num_p)} pairs were made of {formats.count(results.pools['p'].pictures)} "
        f"pictures of P and {formats.count(results.pools['u'].pictures)} of U. Without the model, trees that "
        f"had no part in matching tell P from U with an AUC of {formats.spread(after.auc, formats.area)} "
        f"({formats.area(results.before.auc.estimate)} before), and the blind gate finds "
        f"{'no' if after.gate.passed else 'a'} difference ({formats.p_equals(after.gate.p_value)})"
    )
    return {
        "equal": f"{told}: alike, within the margin of {limit}.",
        "different": f"{told}: they still differ, and a verdict should not rest on them.",
        "too_few": f"{told}. An AUC of at most {limit} is not shown: about "
        f"{formats.count(results.pairs_needed)} pairs would show it, were there no difference at all.",
    }[results.answer]


POOL_ROWS: tuple[Row[PoolUse], ...] = (
    Row("pictures", lambda pool: formats.count(pool.pictures)),
    Row("repeated within the pool", lambda pool: formats.count(pool.repeated)),
    Row("copies of the other pool's", lambda pool: formats.count(pool.copies)),
    Row("of a class the other has not", lambda pool: formats.count(pool.other_class)),
    Row("without a partner", lambda pool: formats.count(pool.unmatched)),
    Row("left out for balance", lambda pool: formats.count(pool.unbalanced)),
    Row("matched", lambda pool: formats.count(pool.matched)),
)
"""What became of the pictures of a pool."""

COMPARISON_ROWS: tuple[Row[SetLikeness], ...] = (
    Row("pictures of P and U", lambda sets: f"{formats.count(sets.num_p)}, {formats.count(sets.num_u)}"),
    Row("AUC of trees", lambda sets: formats.spread(sets.auc, formats.area)),
    Row("blind gate", lambda sets: formats.p_equals(sets.gate.p_value)),
    Row("Fréchet distance, P to U", lambda sets: _distance(sets.between)),
    Row("within P", lambda sets: _distance(sets.within_p)),
    Row("within U", lambda sets: _distance(sets.within_u)),
)
"""How alike two sets are."""

BALANCE_ROWS: tuple[Row[FeatureBalance], ...] = (
    Row("feature", lambda feature: readable(feature.feature)),
    Row("before", lambda feature: formats.effect(feature.before)),
    Row("after", lambda feature: formats.effect(feature.after)),
)
"""Differences of a feature in standard deviations."""


def comparisons(results: FairSets) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the comparison before and after."""
    found = read(COMPARISON_ROWS, [results.before, results.after])
    return ["", "pools", "matched sets"], [[label, *texts] for label, texts in found]


def pools(results: FairSets) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of what became of the pools."""
    found = read(POOL_ROWS, list(results.pools.values()))
    return ["", *(side.upper() for side in results.pools)], [[label, *texts] for label, texts in found]


def balance(results: FairSets, most: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the features that differed most."""
    return turned(read(BALANCE_ROWS, results.balance[:most]))


def classifiers(results: FairSets) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the AUC of every classifier, a line per part of the pools."""
    most = max(map(len, results.classifiers))
    heading = ["part", *(f"classifier {number + 1}" for number in range(most))]
    lines = [
        [str(part + 1), *(formats.spread(auc, formats.area) for auc in each), *[""] * (most - len(each))]
        for part, each in enumerate(results.classifiers)
    ]
    return heading, lines


def readable(feature: str) -> str:
    """The name of a feature as people read it."""
    return feature.replace("_", " ")


def _distance(distance: float | None) -> str:
    return "–" if distance is None else formats.decimal(distance, 3)


def print_fair_sets(results: FairSets, console: Console) -> None:
    """Prints the finding, what became of the pools, and how alike the sets are."""
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(headline(results), style="bold"),
            title_align="left",
            border_style=_COLOURS[results.answer],
            padding=(1, 2),
        )
    )
    console.print(terminal_table("What became of the pools", *pools(results)))
    console.print(terminal_table("Without the model, P and U", *comparisons(results)))
    console.print(terminal_table("Largest differences, standard deviations", *balance(results, _SHOWN)))
    for kind in results.left_out:
        console.print(f"Not compared: {kind}, which not all pictures of both pools have.")
    print_skipped({side.upper(): pool.skipped for side, pool in results.pools.items()}, console)

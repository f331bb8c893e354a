"""What walks give away: the sentence to quote, a line per schedule, and what each schedule is."""

from __future__ import annotations

import dataclasses

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.rows import Row, read, terminal_table
from jaxaudit.reports.kit.skipped import print_skipped
from jaxaudit.results import Leakage, ScheduleResults, WalkedSchedule, WalkLeakage

ERRORS = ("model", "latent", "pixel")


def headline(results: ScheduleResults) -> str:
    """What was found, in a line."""
    return {
        "told_apart": "Walks through the model tell its training pictures from others",
        "contradicted": "The pictures differ to the model, but not as training has it",
        "not_told_apart": "The walk that looked best tells nothing on other pictures",
        "not_testable": "The pictures differ without the model",
    }[results.told]


def sentence(results: ScheduleResults) -> str:
    """The finding, to quote."""
    best, tested = results.best, results.num_tested
    found = best.leakage
    text = (
        f"Of {formats.count(_chosen_from(results))} errors of walks through {results.target}, the one chosen "
        f"on one half of the pictures ({named(best, results)}) has, on the other half "
        f"({formats.count(tested['members'])} members, {formats.count(tested['nonmembers'])} nonmembers), an "
        f"AUC of {formats.spread(found.auc, formats.area)} and finds "
        f"{formats.spread(found.tpr, formats.percent)} of members at {formats.level(results.fpr)} false "
        f"positives ({formats.level(results.confidence)} confidence)."
    )
    if results.told == "not_testable":
        text += (
            f" But members and nonmembers differ in what never saw the model "
            f"({formats.p_equals(results.gate.p_value)}), so this is no sign of training."
        )
    if results.told == "contradicted":
        text += (
            " But the plain loss is lower on the nonmembers, so this is no sign of training on the members."
        )
    return text


def named(walk: WalkLeakage, results: ScheduleResults) -> str:
    """ "schedule 12, latent error at t = 300"."""
    times = {schedule.name: schedule.times for schedule in results.schedules}
    if walk.name not in times:
        return walk.name
    return f"schedule {walk.name}, {walk.error} error at t = {times[walk.name][walk.step]}"


def described(schedule: WalkedSchedule) -> str:
    """What a schedule does, in a few words: "900 to 0, fresh, g = 100"."""
    times, first = schedule.times, schedule.noised[0]
    words = [" to ".join(str(time) for time in dict.fromkeys((times[0], times[-1])))]
    if not schedule.fresh:
        words.append("from noise" if first >= 1000 else f"noised as {first}")
    elif len(set(schedule.noised)) == 1:
        words.append(f"fresh as {first}")
    else:
        words.append("fresh" if schedule.noised == times else "fresh, reversed")
    if schedule.jolt:
        words.append(f"+ noise at {schedule.jolt[0]}")
    if schedule.text_noise:
        words.append(f"caption + {schedule.text_noise:g}")
    words.append("no guidance" if schedule.guidance is None else f"g = {schedule.guidance:g}")
    return ", ".join(words)


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table: a schedule with its errors, or what it is compared to.

    Attributes:
      name: in a narrow place. words: what it does.
      found: {error: leakage}.
    """

    name: str
    words: str
    found: dict[str, Leakage]


def schedule_lines(results: ScheduleResults) -> list[Line]:
    """A line per schedule that was walked."""
    walks = {(walk.name, walk.error): walk.leakage for walk in results.walks}
    return [
        Line(
            schedule.name,
            described(schedule),
            {error: walks[schedule.name, error] for error in ERRORS},
        )
        for schedule in results.schedules
        if (schedule.name, "pixel") in walks
    ]


def other_lines(results: ScheduleResults) -> list[Line]:
    """What they are compared to, and what goes further."""
    words = {
        "baseline": "loss at t = 100, no guidance",
        "grey box": "generated from the condition, 50 steps",
        "black box": "generated from the condition, 50 steps",
    }
    lines = [
        Line(walk.name, words[walk.name], {walk.error: walk.leakage})
        for walk in results.walks
        if walk.name in words
    ]
    if results.low_rank is not None:
        what = f"one step at t = 100, rank {results.low_rank.rank}"
        lines.append(Line("low-rank step", what, {"model": results.low_rank.leakage}))
    if results.classifier is not None:
        what = f"nested, over {formats.count(results.classifier.num_features)} errors"
        lines.append(Line("classifier", what, {"all": results.classifier.leakage}))
    return lines


def _of(error: str, kind: str) -> Row[Line]:
    def text(line: Line) -> str | None:
        if error not in line.found:
            return None
        found = line.found[error]
        if kind == "AUC":
            return formats.spread(found.auc, formats.area)
        return formats.spread(found.tpr if kind == "TPR" else found.published, formats.percent)

    return Row(f"{error}, {kind}", text)


TPR_ROWS = (Row[Line]("schedule", lambda line: line.name), *(_of(error, "TPR") for error in ERRORS))
"""TPR of the three errors."""
ROWS = (
    Row[Line]("schedule", lambda line: line.name),
    Row[Line]("what it does", lambda line: line.words),
    *(_of(error, kind) for kind in ("TPR", "AUC", "TPR as published") for error in ERRORS),
)
"""Everything that is said of a schedule."""


@dataclasses.dataclass(frozen=True)
class Single:
    """A number that stands beside the schedules."""

    line: Line

    @property
    def leakage(self) -> Leakage:
        """Its one leakage."""
        (found,) = self.line.found.values()
        return found


OTHER_ROWS = (
    Row[Single]("beside them", lambda one: one.line.name),
    Row[Single]("what it does", lambda one: one.line.words),
    Row[Single]("TPR", lambda one: formats.spread(one.leakage.tpr, formats.percent)),
    Row[Single]("AUC", lambda one: formats.spread(one.leakage.auc, formats.area)),
    Row[Single]("TPR as published", lambda one: formats.spread(one.leakage.published, formats.percent)),
)
"""What is said of the others."""


def optimism(results: ScheduleResults) -> str | None:
    """What choosing the classifier on the pictures it is reported on would add; None without one."""
    if (found := results.classifier) is None:
        return None
    return (
        f"The best of the classifiers, chosen on the pictures it is reported on ({found.unnested}), would "
        f"have an AUC of {formats.area(found.unnested_auc)} and a TPR of "
        f"{formats.percent(found.unnested_tpr)}; chosen and fitted on others, the AUC is "
        f"{formats.spread(found.leakage.auc, formats.area)} and the TPR "
        f"{formats.spread(found.leakage.tpr, formats.percent)}."
    )


def passes(results: ScheduleResults) -> tuple[int, int]:
    """Passes of the network for one image: of the sixteen, and with what they are compared to."""
    sixteen = sum(each.passes for each in results.schedules if each.name not in ("baseline", "generation"))
    return sixteen * results.noises, sum(each.passes for each in results.schedules) * results.noises


def print_schedules(results: ScheduleResults, console: Console) -> None:
    """Prints the finding and the tables."""
    console.print(
        Panel(
            Text(sentence(results)),
            title=Text(headline(results), style="bold"),
            title_align="left",
            border_style="red" if results.told == "told_apart" else "cyan",
            padding=(1, 2),
        )
    )
    for texts in (
        read(TPR_ROWS, schedule_lines(results)),
        read(OTHER_ROWS, [Single(line) for line in other_lines(results)]),
    ):
        console.print(
            terminal_table(
                f"At {formats.level(results.fpr)} false positives, on the other half",
                [label for label, _ in texts],
                list(zip(*(column for _, column in texts), strict=True)),
            )
        )
    if (found := optimism(results)) is not None:
        console.print(Text(found))
    for name, why in results.omitted.items():
        console.print(Text(f"Left out: {name}, because {why}."))
    print_skipped(results.skipped, console)


def _chosen_from(results: ScheduleResults) -> int:
    """Errors of all steps of the schedules."""
    return sum(len(walk.auc_by_step) for walk in results.walks if walk.name.isdigit())

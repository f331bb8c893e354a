"""What bfloat16 changes, as Markdown: a line per target, and for scores that suffer or move most."""

from __future__ import annotations

from jaxaudit.reports.kit import formats
from jaxaudit.results import Interval, JudgedPrecision, PrecisionChange, PrecisionStudy, TargetPrecision

_SHOWN = 5


def precision_markdown(study: PrecisionStudy) -> str:
    """The verdicts, then of every target the scores that suffer, and those that move most."""
    heading = (
        f"{study.platform}; {formats.count(study.repetitions)} draws of the paired bootstrap. A score "
        f"suffers if the interval of its AUC's change excludes 0 and the change exceeds {study.bound:g}.\n"
    )
    return "\n".join(
        [
            heading,
            _row(
                "target", "images", "scores", "suffer", "largest change of an AUC", "of a TPR@1%", "verdict"
            ),
            _row(*["---"] * 7),
            *map(_target, study.targets),
            "",
            *map(_scores, study.targets),
        ]
    )


def _target(target: TargetPrecision) -> str:
    changes = target.scores.values()
    verdicts = [_judged(each) for each in target.verdicts.values()]
    return _row(
        target.target,
        f"{formats.count(target.num_members)} + {formats.count(target.num_nonmembers)}",
        formats.count(len(changes)),
        formats.count(sum(change.suffers for change in changes)),
        _signed(max((change.auc_change.estimate for change in changes), key=abs)),
        _signed(max((change.tpr_change.estimate for change in changes), key=abs)),
        " → ".join(dict.fromkeys(verdicts)),
    )


def _judged(verdict: JudgedPrecision) -> str:
    return verdict.status + ("" if verdict.p_value is None else f", {formats.p_equals(verdict.p_value)}")


def _scores(target: TargetPrecision) -> str:
    ordered = sorted(
        target.scores.items(), key=lambda item: (not item[1].suffers, -abs(item[1].auc_change.estimate))
    )
    shown = max(_SHOWN, sum(change.suffers for _, change in ordered))
    lines = [
        f"### {target.target}\n",
        _row("score", "AUC", "change", "TPR@1%", "change", "suffers"),
        _row(*["---"] * 6),
        *(_score(name, change) for name, change in ordered[:shown]),
    ]
    return "\n".join(lines) + "\n"


def _score(name: str, change: PrecisionChange) -> str:
    return _row(
        f"`{name}`",
        formats.area(change.auc),
        _interval(change.auc_change),
        formats.percent(change.tpr),
        _interval(change.tpr_change),
        "yes" if change.suffers else "",
    )


def _interval(change: Interval) -> str:
    return f"{_signed(change.estimate)} ({_signed(change.low)} to {_signed(change.high)})"


def _signed(number: float) -> str:
    text = formats.decimal(number, 4)
    return f"+{text}" if number > 0 and text.strip("0.") else text


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

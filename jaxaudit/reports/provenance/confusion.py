"""What is found of pictures whose origin is known: figure and table."""

from __future__ import annotations

from matplotlib.figure import Figure

from jaxaudit.reports.kit import formats, style
from jaxaudit.reports.provenance.figure import COLOURS
from jaxaudit.reports.provenance.rows import ORIGINS
from jaxaudit.results import KnownSet, Origin, ProvenanceStudy, StudiedProvenance

_ROW, _WIDTH = 0.26, 7.2  # inches


def confusion(results: ProvenanceStudy) -> Figure:
    """A bar per target and set: shares found generated, trained on, and neither."""
    rows = max(len(target.sets) for target in results.targets)
    panel = _ROW * rows + 0.5
    height = 0.95 + panel * len(results.targets)
    with style.house_style():
        figure = style.new_figure(_WIDTH, height)
        for place, target in enumerate(results.targets):
            bottom = (height - 0.95 - panel * (place + 1) + 0.2) / height
            axes = figure.add_axes((0.19, bottom, 0.78, _ROW * rows / height))
            _panel(axes, target)
            axes.set_title(target.target, fontweight="bold", pad=4)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0.005, 1 - 0.58 / height),
            ncols=3,
            frameon=False,
            fontsize=8.5,
        )
        style.title(
            figure,
            "What is found of pictures whose origin is known",
            f"share of each set; lists at a false-discovery rate of {formats.level(results.q)}",
        )
    return figure


def study_markdown(results: ProvenanceStudy) -> str:
    """The tables of docs/provenance.md."""
    parts = []
    for target in results.targets:
        scores = list(target.sets[0].auc)
        heading = [target.target, "pictures", "generated", "trained on", "p ≤ 1%", "at least"]
        heading += [f"AUC {score}" for score in scores]
        parts.append(_table([heading, *(_line(each, scores) for each in target.sets)]))
    null = [["unseen against unseen", "any generated", "any trained on", "set mostly generated"]]
    for target in results.targets:
        rates = (target.null.generated, target.null.member, target.null.mostly)
        null.append([target.target, *(formats.spread(rate, formats.percent) for rate in rates)])
    return "\n\n".join([*parts, _table(null), *results.refused.values()]) + "\n"


def _panel(axes, target: StudiedProvenance) -> None:
    names = [each.name.replace("_", " ") for each in target.sets]
    left = [0.0] * len(names)
    for origin, label in ORIGINS.items():
        shares = [_share(each, origin) for each in target.sets]
        axes.barh(names, shares, left=left, color=COLOURS[origin], height=0.72, label=label)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    style.quiet(axes, grid="x")


def _share(each: KnownSet, origin: Origin) -> float:
    shares = {"generated": each.generated.estimate, "member": each.member.estimate}
    return shares.get(origin, 1 - sum(shares.values()))


def _line(each: KnownSet, scores: list[str]) -> list[str]:
    shares = [formats.percent(rate.estimate) for rate in (each.generated, each.member, each.at_one_percent)]
    aucs = [formats.area(each.auc[score]) for score in scores]
    return [each.name.replace("_", " "), str(each.num_images), *shares, formats.percent(each.at_least), *aucs]


def _table(lines: list[list[str]]) -> str:
    heading, *rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([heading, "|" + "---|" * len(lines[0]), *rows])

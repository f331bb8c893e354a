"""Lists what every score finds in every target, and what it costs.

  jaxaudit leaderboard                                          the built-in targets, on digits
  jaxaudit leaderboard --targets=A,B --scores=default --access=gray \\
      --members='folder:/imagenet/train?classes=sorted' --nonmembers='folder:/imagenet/val?classes=sorted'

Every target is asked about the same pictures; its scores are kept in OUT/TARGET, so a killed run goes on
where it stopped. Writes results.json, leaderboard.csv, a figure and report.html.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.checkpoint import builtin_names

from . import machine_flags, shared_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _TARGETS = flags.DEFINE_list(
        "targets", None, "Targets, in the order to show; without it, all built-in ones."
    )
shared_flags.define_data()
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores, patterns such as diff/*, or default, paper, all.")
shared_flags.define_access()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "audits/leaderboard", "Where everything goes.")


def main(argv: Sequence[str]) -> None:
    """Collects the scores of the targets the flags name and lists them."""
    del argv
    from jaxaudit.attacks.step_by_kind import make_step
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.leaderboard import board_of, check_enough
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.checkpoint import abstract_target
    from jaxaudit.outputs import check_folder
    from jaxaudit.reports.files import write_leaderboard
    from jaxaudit.reports.kit.skipped import print_skipped
    from jaxaudit.reports.leaderboard.rows import print_leaderboard
    from jaxaudit.results import LeaderboardResults
    from jaxaudit.stats.intervals import CONFIDENCE

    flag, console = flags.FLAGS, cli.terminal()
    directory, paths = (
        check_folder(_OUT.value),
        shared_flags.several_targets(_TARGETS.value or builtin_names()),
    )
    config = CollectConfig(
        scores=tuple(_SCORES.value),
        access=shared_flags.access(),
        num_samples=flag.num_samples,
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    sides = shared_flags.open_sources(directory)
    for path in paths.values():  # what one of them does not fit should show before a night with another
        expected = abstract_target(path)
        check_sides(expected, *sides)
        make_step(expected, config.scores, access=config.access, null_context=True)
    check_enough(*sides, num_samples=config.num_samples)
    boards = []
    for name, path in paths.items():
        target = shared_flags.load(console, path)
        with reported(console, f"Preparing {name}", unit="images") as progress:
            board = board_of(target, *sides, directory / name / "evidence", config, progress=progress)
        print_skipped(board.skipped, console)
        boards.append(board)
    results = LeaderboardResults(
        members=sides[0].spec,
        nonmembers=sides[1].spec,
        asked=config.scores,
        num_samples=config.num_samples,
        confidence=CONFIDENCE,
        seed=config.seed,
        targets=tuple(boards),
    )
    write_leaderboard(results, directory)
    print_leaderboard(results, console)
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

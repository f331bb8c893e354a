"""Which of sixteen walks through a diffusion model tells its training pictures from others?

  jaxaudit schedules --target=digits_dit
  jaxaudit schedules --target=targets/tuned --schedules=1,12,16 --noises=2 \\
      --members='folder:mine' --nonmembers='folder:others'

Writes to --out: results.json, schedules.png, report.html, and the errors of every picture at every step
(walks/). A killed run goes on where it stopped.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
shared_flags.define_data()
with cli.flag_group("How they are walked"):
    _SCHEDULES = flags.DEFINE_list("schedules", ["all"], "Numbers of schedules, 1 to 16, or 'all'.")
    _NOISES = flags.DEFINE_integer("noises", 5, "Noises that errors are averaged over.", lower_bound=1)
shared_flags.define_seed()
machine_flags.define_devices(batch_size=16)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default schedules/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Walks the pictures that the flags name, and reports."""
    del argv
    from jaxaudit.attacks.schedules import SIXTEEN
    from jaxaudit.audits.schedules import WalkConfig, attack_by_schedules
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.reports.files import write_schedules
    from jaxaudit.reports.schedules.rows import print_schedules

    flag, console = flags.FLAGS, cli.terminal()
    config = WalkConfig(
        schedules=tuple(SIXTEEN) if _SCHEDULES.value == ["all"] else tuple(_SCHEDULES.value),
        num_noises=_NOISES.value,
        num_samples=flag.num_samples,
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    directory = shared_flags.out_folder(_OUT.value, "schedules")
    members, nonmembers = shared_flags.open_sources(directory)
    target = shared_flags.load(console)
    check_sides(target, members, nonmembers)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        results = attack_by_schedules(
            target, members, nonmembers, directory / "walks", config, progress=progress
        )

    def report() -> None:
        write_schedules(results, directory)
        print_schedules(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

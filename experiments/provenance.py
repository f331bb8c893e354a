"""Did this model make my pictures, or was it trained on them, or neither?

  jaxaudit provenance --target=DIR --published=folder:P --unpublished=folder:U
  jaxaudit provenance --target=digits_rar \\
      --published=digits:members --unpublished=digits:nonmembers

A model's pictures come through its decoder, which leaves a trace; pictures it was trained on come through
nothing. The unpublished pictures are comparable ones that it neither made nor saw, saved in the same way.
Writes to --out: results.json, origins.csv (a line per picture), origins.png and report.html. A killed run
goes on where it stopped.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _PUBLISHED = flags.DEFINE_string("published", None, "Pictures in question.", required=True)
    _UNPUBLISHED = flags.DEFINE_string(
        "unpublished", None, "Comparable pictures the model neither made nor saw.", required=True
    )
shared_flags.define_reading()
statistics_flags.define_provenance()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default provenance/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Answers the question the flags ask."""
    del argv
    from jaxaudit.audits.provenance import identify_provenance, write_origins
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.reports.files import write_provenance
    from jaxaudit.reports.provenance.rows import print_provenance

    console = cli.terminal()
    config = statistics_flags.provenance_config()
    directory = shared_flags.out_folder(_OUT.value, "provenance")
    published = shared_flags.open_pictures(_PUBLISHED.value, directory)
    sides = published, shared_flags.open_pictures(_UNPUBLISHED.value, directory)
    target = shared_flags.load(console)
    check_sides(target, *sides)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        results, measured = identify_provenance(
            target, *sides, directory / "scores", config, progress=progress
        )

    def report() -> None:
        write_origins(results.found, measured, directory)
        write_provenance(results, directory)
        print_provenance(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

"""Finds the hidden units of a target that answer to one training picture alone.

  jaxaudit localize                                          the built-in target, on digits
  jaxaudit localize --target=DIR --subsets=0.01,0.05,0.1,0.2 \\
      --members='folder:/imagenet/train?classes=sorted' --nonmembers='folder:/imagenet/val?classes=sorted'

Writes to --out: units.npz (UnitMem of every unit and the picture that fires it), results.json, pictures/,
figures/ and report.html. A killed run goes on where it stopped.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.data.thumbnails import thumbnails
from jaxaudit.errors import InputError
from jaxaudit.reports.files import write_localization
from jaxaudit.reports.localization.rows import print_localization

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _MEMBERS = flags.DEFINE_string("members", "digits:members", "Pictures the target was trained on.")
    _NONMEMBERS = flags.DEFINE_string(
        "nonmembers",
        "digits:nonmembers",
        "Control: pictures it was not trained on, as many; '' for no control.",
    )
shared_flags.define_reading()
with cli.flag_group("Measurement"):
    _SUBSETS = flags.DEFINE_list(
        "subsets",
        [],
        "Shares of the members, balanced over classes; UnitMem is that of the largest, the others show "
        "whether they agree. Default: all of up to 20,000 pictures, 1% of more.",
    )
    _NUM_VIEWS = flags.DEFINE_integer(
        "num_views",
        10,
        "Random crops (small pictures: shifts) a picture is averaged over; 1: the picture itself.",
        lower_bound=1,
    )
    _FLIP = flags.DEFINE_bool("flip", False, "Mirror half of the views.")
    _TIMESTEP = flags.DEFINE_integer(
        "timestep", None, "Diffusion: timestep of the noised latents; default 100."
    )
    _MASK_RATIO = flags.DEFINE_float(
        "mask_ratio", None, "MAR: share of hidden tokens; default 0.86, as in training."
    )
    _TOP = flags.DEFINE_float("top", 0.01, "Share of the units that are reported as the top ones.")
shared_flags.define_seed()
machine_flags.define_devices(batch_size=16)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default localizations/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Measures the units of the target that the flags name, and reports."""
    del argv
    from jaxaudit.attacks.localization import Views
    from jaxaudit.audits.localization import LocalizeConfig, localize_memorization
    from jaxaudit.audits.sides import check_sides

    flag, console = flags.FLAGS, cli.terminal()
    if not 0 < _TOP.value < 1:
        raise InputError(f"--top={_TOP.value} is not between 0 and 1.")
    config = LocalizeConfig(
        subsets=cli.numbers("subsets", _SUBSETS.value) or None,
        seed=flag.seed,
        views=Views(_NUM_VIEWS.value, _FLIP.value),
        timestep=_TIMESTEP.value,
        mask_ratio=_MASK_RATIO.value,
        placement=machine_flags.placement(),
    )
    directory = shared_flags.out_folder(_OUT.value, "localizations")
    members = shared_flags.open_pictures(_MEMBERS.value, directory)
    control = shared_flags.open_pictures(_NONMEMBERS.value, directory) if _NONMEMBERS.value else None
    target = shared_flags.load(console)
    if control is not None:
        check_sides(target, members, control)
        if len(control) < 2:
            raise InputError(f"{control.spec} is a single picture; UnitMem compares a picture with others.")
    with reported(console, "Preparing", unit="images") as progress:
        results = localize_memorization(
            target, members, control, directory, config, top=_TOP.value, progress=progress
        )

    def report() -> None:
        pictures = thumbnails(members, (shown.picture for shown in results.localization.pictures))
        write_localization(results, pictures, directory)
        print_localization(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

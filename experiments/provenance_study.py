"""How far can `provenance` be relied on? Asked of pictures whose origin is known.

  jaxaudit provenance_study --targets=digits_rar,digits_var

Every target generates pictures, which are altered, and asked about beside pictures it was trained on, those
it has not seen, unseen ones through its autoencoder, and what the other targets made. Writes to --out:
provenance.json, provenance.md, confusion.png; generated pictures (TARGET/pictures/generated.npz) and scores
are kept, so that a killed run goes on with them.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.data import open_source
from jaxaudit.outputs import check_folder

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

_BUILTIN = ("digits_var", "digits_var_memorised", "digits_rar", "digits_mar", "digits_dit")

with cli.flag_group("What is audited"):
    _TARGETS = flags.DEFINE_list(
        "targets",
        None,
        "Targets of pictures of one size; without it, the built-in ones of classes.",
    )
    _MEMBERS = flags.DEFINE_string("members", "digits:members?shuffle=0", "Pictures they were trained on.")
    _UNSEEN = flags.DEFINE_string(
        "unseen", "digits:nonmembers?shuffle=0", "Pictures they were not trained on."
    )
with cli.flag_group("How much"):
    _NUM_IMAGES = flags.DEFINE_integer("num_images", 200, "Pictures of every set.", lower_bound=20)
    _REPETITIONS = flags.DEFINE_integer(
        "repetitions", 1000, "Draws of unseen pictures against unseen ones.", lower_bound=1
    )
statistics_flags.define_provenance()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "provenance_study", "Where everything goes.")


def main(argv: Sequence[str]) -> None:
    """Measures what the flags ask for."""
    del argv
    from jaxaudit.audits.provenance import StudyConfig, study_provenance
    from jaxaudit.reports.files import write_provenance_study

    console, directory = cli.terminal(), check_folder(_OUT.value)
    config = StudyConfig(_NUM_IMAGES.value, _REPETITIONS.value, statistics_flags.provenance_config())
    sources = open_source(_MEMBERS.value), open_source(_UNSEEN.value)
    targets = [shared_flags.load(console, name) for name in _TARGETS.value or _BUILTIN]
    with reported(console, "Preparing", unit="images") as progress:
        results = study_provenance(targets, *sources, directory, config, progress=progress)
    for written in write_provenance_study(results, directory):
        console.print(str(written), soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

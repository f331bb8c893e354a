"""What bfloat16 changes: AUC, TPR at 1% FPR and verdict of every score, against float32 on the same pictures.

  jaxaudit precision --targets=digits_var,digits_rar,digits_mar,digits_dit,digits_uvit

Changes come with paired 95% intervals. OUT/precision.json, OUT/precision.md; evidence is kept, so that a
killed run goes on with it.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.outputs import check_folder
from jaxaudit.reports.files import write_precision

from . import shared_flags
from .progress import reported

_DIGITS = ("digits_var", "digits_rar", "digits_mar", "digits_dit", "digits_uvit")

with cli.flag_group("What is audited"):
    _TARGETS = flags.DEFINE_list(
        "targets",
        None,
        "Targets, each measured in both precisions; without it, one built-in target of every family.",
    )
    _MEMBERS = flags.DEFINE_string("members", "digits:members", "Pictures they were trained on.")
    _NONMEMBERS = flags.DEFINE_string("nonmembers", "digits:nonmembers", "Pictures they were not trained on.")
    _NUM_SAMPLES = flags.DEFINE_integer(
        "num_samples", 0, "Pictures drawn from each side; 0 means all.", lower_bound=0
    )
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "As for `jaxaudit audit`.")
shared_flags.define_access()
with cli.flag_group("Statistics"):
    _BOUND = flags.DEFINE_float(
        "bound", 0.005, "Changes of an AUC up to this do not matter.", lower_bound=0.0, upper_bound=1.0
    )
    _REPETITIONS = flags.DEFINE_integer("repetitions", 1000, "Draws of the bootstrap.", lower_bound=100)
shared_flags.define_seed()
with cli.flag_group("Machine"):
    _BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images per step, over all devices.", lower_bound=1)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "precision", "Where everything goes.")


def main(argv: Sequence[str]) -> None:
    """Measures what the flags ask for."""
    del argv
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.precision import PRECISIONS, PrecisionConfig, study_precision
    from jaxaudit.checkpoint import load_target
    from jaxaudit.data import open_source
    from jaxaudit.runtime.placement import Placement

    flag, console, directory = flags.FLAGS, cli.terminal(), check_folder(_OUT.value)
    config = PrecisionConfig(
        collect=CollectConfig(
            scores=tuple(_SCORES.value),
            access=shared_flags.access(),
            num_samples=_NUM_SAMPLES.value,
            seed=flag.seed,
            placement=Placement(batch_size=_BATCH_SIZE.value),
        ),
        seed=flag.seed,
        bound=_BOUND.value,
        repetitions=_REPETITIONS.value,
    )
    sources = open_source(_MEMBERS.value), open_source(_NONMEMBERS.value)
    full, half = PRECISIONS
    targets = [
        (load_target(name, dtype=full), load_target(name, dtype=half)) for name in _TARGETS.value or _DIGITS
    ]
    with reported(console, "Measuring", unit="images") as progress:
        results = study_precision(targets, *sources, directory, config, progress=progress)
    for written in write_precision(results, directory):
        console.print(str(written), soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

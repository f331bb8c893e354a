"""How far can a verdict be trusted? Measured on targets whose training pictures are known.

  jaxaudit reliability --targets=digits_var,digits_dit

False accusations where the model has seen neither set, but labels are wrong, classes mixed, easy pictures
preferred, pictures mirrored or moved, or the sets swapped; and how often members are found, with how many
pictures. OUT/reliability.json, OUT/reliability.md; evidence is kept, so that a killed run goes on with it.

  jaxaudit reliability --studies=usage --targets=digits_var_memorised,digits_var,digits_dit

How well the share of P that was trained on is told, and how many nonmembers are named; OUT/usage.png as well.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.errors import unknown_name
from jaxaudit.outputs import check_folder
from jaxaudit.reports.files import write_reliability

from . import machine_flags, shared_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _TARGETS = flags.DEFINE_list("targets", ["digits_var", "digits_dit"], "Targets of classes.")
    _MEMBERS = flags.DEFINE_string("members", "digits:members", "Pictures they were trained on.")
    _UNSEEN = flags.DEFINE_string("unseen", "digits:nonmembers", "Pictures they were not trained on.")
with cli.flag_group("Studies"):
    _STUDIES = flags.DEFINE_list(
        "studies",
        ["verdicts", "alternatives"],
        "verdicts, alternatives (power on simulated scores), unit_control (of UnitMem), usage (shares of P "
        "that were trained on, and pictures named).",
    )
    _SCENARIOS = flags.DEFINE_list("scenarios", ["all"], "How sets go wrong; 'none' for members only.")
    _SIZES = flags.DEFINE_list("sizes", [], "Images of P and of U; default those of each scenario.")
    _FOUND = flags.DEFINE_list(
        "found", ["30", "50", "100", "200", "300"], "Images with which members are to be found."
    )
    _REPETITIONS = flags.DEFINE_integer("repetitions", 200, "Draws of every setting.", lower_bound=1)
    _PERMUTATIONS = flags.DEFINE_integer("permutations", 999, "Relabellings of a test.", lower_bound=99)
with cli.flag_group("Statistics"):
    _ALPHA = flags.DEFINE_float("alpha", 0.01, "Significance level.", lower_bound=1e-6, upper_bound=0.5)
shared_flags.define_access()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "reliability", "Where everything goes.")


def main(argv: Sequence[str]) -> None:
    """Measures what the flags ask for."""
    del argv
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.reliability.scenarios import SCENARIOS
    from jaxaudit.audits.reliability.study import STUDIES, ReliabilityConfig, study_reliability
    from jaxaudit.data import open_source

    flag, console, directory = flags.FLAGS, cli.terminal(), check_folder(_OUT.value)
    names = {"all": list(SCENARIOS), "none": []}.get(",".join(_SCENARIOS.value), _SCENARIOS.value)
    for name in names:
        if name not in SCENARIOS:
            raise unknown_name("scenario", name, [*SCENARIOS, "all", "none"])
    for name in _STUDIES.value:
        if name not in STUDIES:
            raise unknown_name("study", name, STUDIES)
    config = ReliabilityConfig(
        studies=tuple(_STUDIES.value),
        scenarios=tuple(names),
        sizes=cli.whole_numbers("sizes", _SIZES.value),
        found=cli.whole_numbers("found", _FOUND.value),
        alpha=_ALPHA.value,
        repetitions=_REPETITIONS.value,
        permutations=_PERMUTATIONS.value,
        seed=flag.seed,
        collect=CollectConfig(
            access=shared_flags.access(), seed=flag.seed, placement=machine_flags.placement()
        ),
    )
    sources = open_source(_MEMBERS.value), open_source(_UNSEEN.value)
    with reported(console, "Preparing", unit="images") as progress:
        results = study_reliability(
            [shared_flags.load(console, path) for path in _TARGETS.value],
            *sources,
            directory,
            config,
            progress=progress,
        )
    for written in write_reliability(results, directory):
        console.print(str(written), soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

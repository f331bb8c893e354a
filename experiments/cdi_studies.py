"""The studies of the CDI paper on the evidence of audits; no model is loaded.

  jaxaudit cdi_studies --evidence=audits/digits_var/evidence,audits/digits_rar/evidence
  jaxaudit cdi_studies --study=contamination --sizes=20,50,100 --evidence=DIR
  jaxaudit cdi_studies --study=false_positives                  simulations, without evidence

  p_value          p-value and share of draws that identify P, against the number of images
  contamination    nonmembers in P
  imbalance        more or fewer images of U than of P
  access           gray-box against white-box scores
  features         every attack alone, all but one, all
  set_membership   single scores on whole sets against CDI
  roc              sets of members against sets of nonmembers
  false_positives  how often each procedure accuses where nothing was learned

Each writes STUDY.json, STUDY.csv (one line per setting) and STUDY.png (and .svg) to --out.
"""

from collections.abc import Callable, Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.audits.studies import STUDIES, StudiesConfig, run_null_study, run_study
from jaxaudit.errors import InputError, unknown_name
from jaxaudit.evidence import Evidence
from jaxaudit.outputs import check_folder
from jaxaudit.protocols import DRAWN_PROCEDURES, get_procedure
from jaxaudit.reports.files import write_study
from jaxaudit.results import NullStudyResults, StudyResults
from jaxaudit.stats.cdi.sampling import StudyConfig

from . import shared_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _EVIDENCE = flags.DEFINE_list("evidence", [], "Evidence folders of audits, one per target.")
with cli.flag_group("Studies"):
    _STUDY = flags.DEFINE_list("study", ["p_value"], "Studies, or 'all' of those that fit the evidence.")
    _SCORES = flags.DEFINE_list(
        "scores", [], "Features, patterns such as diff/*; default those fixed for dataset inference."
    )
    _SIZES = flags.DEFINE_list("sizes", [], "Images of P; default the published sizes.")
    _REPETITIONS = flags.DEFINE_integer("repetitions", 1_000, "Draws of every setting.", lower_bound=1)
with cli.flag_group("Statistics"):
    _PROCEDURE = flags.DEFINE_enum(
        "procedure",
        DRAWN_PROCEDURES[0],
        list(DRAWN_PROCEDURES),
        "'split' is calibrated, 'paper' the published 5-fold test.",
    )
    _ALPHA = flags.DEFINE_float("alpha", 0.01, "Significance level.", lower_bound=1e-6, upper_bound=0.5)
    _POWER = flags.DEFINE_float("power", 0.8, "Share of draws that must identify P for a size to be enough.")
shared_flags.define_seed()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "studies", "Where everything goes.")


_SIMULATED = "false_positives"
_KNOWN = (*STUDIES, _SIMULATED)


def main(argv: Sequence[str]) -> None:
    """Runs the studies the flags ask for."""
    del argv
    console, directory = cli.terminal(), check_folder(_OUT.value)
    config = StudiesConfig(
        StudyConfig(get_procedure(_PROCEDURE.value), _ALPHA.value, _REPETITIONS.value, seed=flags.FLAGS.seed),
        _POWER.value,
        tuple(_SCORES.value),
        tuple(_size(text) for text in _SIZES.value),
    )
    studies = _studies()
    evidence = [Evidence.open(folder) for folder in _EVIDENCE.value]
    everything = _STUDY.value == ["all"]
    for study in studies:
        with reported(console, study) as report:

            def progress(what: str, study: str = study) -> None:
                report(0, 0, f"{study}: {what}")

            try:
                results = _run(study, evidence, config, progress)
            except InputError as error:
                if not everything:
                    raise
                console.print(f"{study} left out: {error}")
                continue
        for path in write_study(results, directory):
            console.print(str(path), soft_wrap=True)


def _run(
    study: str, evidence: Sequence[Evidence], config: StudiesConfig, progress: Callable[[str], None]
) -> StudyResults | NullStudyResults:
    if study == _SIMULATED:
        return run_null_study(config, progress=progress)
    return run_study(study, evidence, config, progress=progress)


def _studies() -> list[str]:
    """The studies that the flag names, each known and able to run."""
    everything = _STUDY.value == ["all"]
    names = list(STUDIES) if everything else [name.strip() for name in _STUDY.value]
    if not any(names):
        raise InputError(f"--study= names no study; name some of {', '.join(_KNOWN)}, or all.")
    for name in names:
        if name not in _KNOWN:
            raise unknown_name("study", name, [*_KNOWN, "all"])
        if name != _SIMULATED and not _EVIDENCE.value:
            asked = "all" if everything else name
            raise InputError(f"--study={asked} needs --evidence=DIR, the evidence folder of an audit.")
    return names


def _size(text: str) -> int:
    if not (text.isascii() and text.strip().isdecimal() and len(text) < 10):
        raise InputError(f"--sizes={','.join(_SIZES.value)}: {text!r} is no number of images.")
    return int(text)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

"""How private was a training, at most? A lower bound on epsilon from one run.

  jaxaudit train_target --canaries=digits:members --data='digits:nonmembers[:450]' \\
      --held_out='digits:nonmembers[450:]' --generator_steps=1200 --out=targets/canaries
  jaxaudit epsilon --target=targets/canaries
  jaxaudit epsilon --study

Scores the canaries of the target, then opens their coins, chooses on one half of them by which score and how
often to guess, and guesses the other half: the better, the larger epsilon must be (Steinke, Nasr, Jagielski
2023). Writes to --out: scores/, results.json, epsilon.png and report.html; a killed run goes on where it
stopped. With --study, mechanisms whose epsilon is known instead: study.json, study.csv and study.png.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_folder

from . import machine_flags, shared_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _TARGET = flags.DEFINE_string("target", None, "A target that was trained with --canaries.")
    _CANARIES = flags.DEFINE_string(
        "canaries", None, "The pictures canaries were made of; default where they were at the training."
    )
    _COINS = flags.DEFINE_string(
        "coins", None, "Which canaries are in; default TARGET-canaries.json, beside the target."
    )
shared_flags.define_reading()
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["default"], "Scores, patterns such as diff/*, or default, all.")
shared_flags.define_access()
with cli.flag_group("Statistics"):
    _DELTA = flags.DEFINE_float("delta", 1e-5, "Of (epsilon, delta).", lower_bound=0, upper_bound=0.5)
    _CONFIDENCE = flags.DEFINE_float(
        "confidence", 0.95, "Of the bound.", lower_bound=0.5, upper_bound=1 - 1e-6
    )
    _STUDY = flags.DEFINE_bool("study", False, "Simulate mechanisms of known epsilon; no target is audited.")
    _SIZES = flags.DEFINE_list("sizes", ["100", "500", "2000"], "Canaries of a run of --study.")
    _RUNS = flags.DEFINE_integer("runs", 400, "Of every mechanism of --study.", lower_bound=1)
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default epsilons/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Scores, guesses and reports, or simulates."""
    del argv
    if _STUDY.value:
        _study()
        return
    from jaxaudit.audits.canaries import coins_path, read_coins, recorded_canaries
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.epsilon import audit_epsilon, recorded_noise, score_canaries
    from jaxaudit.reports.epsilon.rows import print_epsilon
    from jaxaudit.reports.files import write_epsilon

    flag, console = flags.FLAGS, cli.terminal()
    if _TARGET.value is None:
        raise InputError(
            "--target=DIR is missing: a target that was trained with --canaries; or say --study."
        )
    config = CollectConfig(
        scores=tuple(_SCORES.value),
        access=shared_flags.access(),
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    directory = shared_flags.out_folder(_OUT.value, "epsilons")
    target = shared_flags.load(console)
    source = shared_flags.open_pictures(_CANARIES.value or recorded_canaries(target)["source"], directory)
    coins = read_coins(_COINS.value or coins_path(_TARGET.value), target)
    if recorded_noise(target) and not _DELTA.value:
        raise InputError(
            "--delta=0 does not apply to a training with Gaussian noise, whose epsilon has none."
        )
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        pictures, scores = score_canaries(target, source, directory / "scores", config, progress=progress)

    def report() -> None:
        results = audit_epsilon(
            target,
            pictures,
            scores,
            coins,
            delta=_DELTA.value,
            confidence=_CONFIDENCE.value,
            seed=flag.seed,
        )
        write_epsilon(results, directory)
        print_epsilon(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def _study() -> None:
    from jaxaudit.audits.epsilon_study import EpsilonStudyConfig, study_epsilon
    from jaxaudit.reports.epsilon.study import print_study
    from jaxaudit.reports.files import write_epsilon_study

    console, directory = cli.terminal(), check_folder(_OUT.value or "epsilons/study")
    if _TARGET.value is not None:
        raise InputError(f"--target={_TARGET.value} does not apply to --study, which audits none.")
    if not _DELTA.value:
        raise InputError("--delta=0 does not apply to --study: no Gaussian mechanism has it.")
    config = EpsilonStudyConfig(
        sizes=cli.whole_numbers("sizes", _SIZES.value),
        runs=_RUNS.value,
        delta=_DELTA.value,
        confidence=_CONFIDENCE.value,
        seed=flags.FLAGS.seed,
    )
    with reported(console, "Simulating") as progress:
        results = study_epsilon(config, progress=lambda what: progress(0, 0, what))
    write_epsilon_study(results, directory)
    print_study(results, console)
    console.print(f"Written to {directory}.", soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

"""Changes a target so that it gives away less, attacks it again, and shows what that buys and what it costs.

  jaxaudit localize --target=TARGET && jaxaudit mitigate --target=TARGET
  jaxaudit mitigate --target=TARGET --criteria= --noise=0.1,0.3,1,3      output noise alone

Writes to --out: a folder per change (evidence, extraction), results.json, mitigation.csv, figures/ and
report.html. A killed run goes on where it stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from jaxaudit import cli
from jaxaudit.errors import InputError
from jaxaudit.paths import as_place, in_bucket

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

shared_flags.define_target()
shared_flags.define_data()
with cli.flag_group("Changes"):
    _UNITS = flags.DEFINE_string(
        "units", None, "The map of the target's units, the folder `units` that `jaxaudit localize` wrote."
    )
    _CRITERIA = flags.DEFINE_list(
        "criteria",
        ["unit_mem", "activation", "random"],
        "By what the units to scale are chosen; '' scales none.",
    )
    _SHARES = flags.DEFINE_list("shares", ["0.01", "0.05", "0.1"], "Shares of the units that are scaled.")
    _FACTOR = flags.DEFINE_float("factor", 0.5, "What the incoming weights of these units are multiplied by.")
    _NOISE = flags.DEFINE_list(
        "noise",
        ["0.5", "1", "2"],
        "Standard deviations of noise on logits (MAR: on tokens and losses); '' is none.",
    )
    _SEEDS = flags.DEFINE_integer(
        "seeds", 2, "Repetitions of what is random.", lower_bound=1, upper_bound=1000
    )
with cli.flag_group("What is measured of each change"):
    _SCORES = flags.DEFINE_list("scores", ["default"], "Membership scores, see `jaxaudit audit`.")
    _TOP_K = flags.DEFINE_integer(
        "top_k", 5, "Candidates of each class to extract; 0 means all.", lower_bound=0
    )
    _SIMILARITY = flags.DEFINE_enum(
        "similarity", "pixels", ["pixels", "sscd"], "What a completion is compared with its original by."
    )
    _SSCD = flags.DEFINE_string("sscd", None, "Weights of --similarity=sscd.")
    _INCEPTION = flags.DEFINE_string(
        "inception", None, "Weights of the Fréchet distance's features; default grey levels at 8x8 pixels."
    )
statistics_flags.define_test()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _SAVE = flags.DEFINE_bool("save", False, "Also write every changed target, to OUT/CHANGE/target.")
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default mitigations/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Measures the changes that the flags name, and reports."""
    del argv
    from jaxaudit.attacks.similarity import get_similarity
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.extraction import ExtractionConfig
    from jaxaudit.audits.mitigation import MitigateConfig, measure_changes, save_mitigated
    from jaxaudit.audits.sides import check_sides, check_sizes
    from jaxaudit.feature_extractors import load_extractor
    from jaxaudit.reports.files import write_mitigation
    from jaxaudit.reports.mitigation.rows import print_mitigation

    flag, console = flags.FLAGS, cli.terminal()
    placement = machine_flags.placement()
    config = MitigateConfig(
        CollectConfig(
            scores=tuple(_SCORES.value), num_samples=flag.num_samples, seed=flag.seed, placement=placement
        ),
        statistics_flags.assess_config(),
        ExtractionConfig(top_k=_TOP_K.value, seed=flag.seed, placement=placement),
    )
    changes = _changes()
    directory = shared_flags.out_folder(_OUT.value, "mitigations")
    if _SAVE.value and in_bucket(directory):
        raise InputError(f"--save writes targets to folders; --out={directory} is in a bucket.")
    members, nonmembers = shared_flags.open_sources(directory)
    target = shared_flags.load(console)
    check_sides(target, members, nonmembers)
    check_sizes(target, members, nonmembers, config.assess, num_samples=flag.num_samples)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        results = measure_changes(
            target,
            changes,
            members,
            nonmembers,
            directory,
            config,
            units=_units(target),
            similarity=get_similarity(
                _SIMILARITY.value, load_extractor(_SSCD.value) if _SSCD.value else None
            ),
            extractor=load_extractor(_INCEPTION.value) if _INCEPTION.value else None,
            progress=progress,
        )

    def report() -> None:
        if _SAVE.value:
            for change in changes[1:]:
                if not (saved := directory / change.name / "target").exists():
                    save_mitigated(saved, change.apply(target, _units(target)), original=flag.target)
        write_mitigation(results, directory)
        print_mitigation(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def _changes() -> list[Any]:
    """No change first, then those that the flags ask for."""
    from jaxaudit.audits.mitigation import Change

    changes, seeds = [Change()], range(flags.FLAGS.seed, flags.FLAGS.seed + _SEEDS.value)
    for criterion in filter(None, _CRITERIA.value):
        for share in cli.numbers("shares", _SHARES.value):
            for seed in seeds if criterion == "random" else [0]:
                changes.append(Change(criterion, share, _FACTOR.value, seed))
    for std in cli.numbers("noise", _NOISE.value):
        changes += [Change("noise", std, seed=seed) for seed in seeds]
    if len(changes) == 1:
        raise InputError("--criteria, --shares and --noise name no change to measure.")
    return changes


def _units(target: Any) -> Any:
    """The map that the flags name, of this very target; None if no units are scaled."""
    from jaxaudit.evidence import UNITS, UnitMap, read_manifest

    if not any(_CRITERIA.value):
        return None
    name = flags.FLAGS.target
    directory = as_place(_UNITS.value or Path("localizations") / Path(name).name / "units")
    if not directory.exists():
        raise InputError(
            f"{directory} holds no map of units; run `jaxaudit localize --target={name}`, or name "
            "one with --units."
        )
    measured = read_manifest(directory, UNITS).request["target"]["fingerprint"]
    if measured != target.provenance.get("fingerprint"):
        raise InputError(f"{directory} is the map of another target than {name}.")
    return UnitMap.load(directory)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

"""What does a defence leave to an attacker who knows it, and what does it cost? Defences side by side.

  jaxaudit defend --target=digits_var_memorised --variants='early stopping@400:digits_var'
  jaxaudit defend --target=digits_dit --noise=0.1 --criteria=random --shares=0.2

Writes to --out: a folder per way of asking, results.json, defences.csv, defences.png and report.html. A
killed run goes on where it stopped.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from absl import flags

from jaxaudit import cli
from jaxaudit.errors import InputError, unknown_name

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
shared_flags.define_data()
with cli.flag_group("Defences"):
    _NOISE = flags.DEFINE_list(
        "noise",
        None,
        "Standard deviations of noise on answers (logits, predicted noise), both new each time and following "
        "from the question; '' is none, default 1,4 of logits and 0.1,0.4 of predicted noise.",
    )
    _CRITERIA = flags.DEFINE_list(
        "criteria",
        ["unit_mem", "gradient", "random"],
        "By what the units to scale are chosen; '' scales none.",
    )
    _SHARES = flags.DEFINE_list("shares", ["0.1", "0.2"], "Shares of the units that are scaled.")
    _FACTOR = flags.DEFINE_float("factor", 0.5, "What the incoming weights of these units are multiplied by.")
    _VARIANTS = flags.DEFINE_list(
        "variants",
        [],
        "Other trainings as defences, NAME@STRENGTH:TARGET, such as 'early stopping@400:targets/early'; "
        "those of one name are a curve, in the order given.",
    )
    _SEEDS = flags.DEFINE_integer("seeds", 2, "Choices of random units.", lower_bound=1, upper_bound=1000)
with cli.flag_group("Attackers"):
    _SCORES = flags.DEFINE_list(
        "scores", [], "Scores to choose from, see `jaxaudit audit`; default few good ones."
    )
    _QUERIES = flags.DEFINE_integer(
        "most_queries", 16, "Answers that may be averaged, a power of 4.", lower_bound=1
    )
    _TRIES = flags.DEFINE_integer(
        "most_tries",
        1_000_000,
        "Draws within which an image comes back with a chance of a half.",
        lower_bound=1,
    )
    _ALPHA = flags.DEFINE_float(
        "alpha", 0.01, "Significance level of a verdict.", lower_bound=1e-6, upper_bound=0.5
    )
with cli.flag_group("Quality"):
    _INCEPTION = flags.DEFINE_string(
        "inception", None, "Weights of the features of drawn pictures; default grey levels at 8x8 pixels."
    )
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default defences/TARGET.")

_VARIANT = re.compile(r"(?P<name>[^@:/]+)@(?P<strength>[^@:]+):(?P<target>.+)")


def main(argv: Sequence[str]) -> None:
    """Compares the defences that the flags name, and reports."""
    del argv
    from jaxaudit.audits.defence import DefendConfig, check_target, compare_defences
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.feature_extractors import load_extractor
    from jaxaudit.reports.defence.rows import print_defences
    from jaxaudit.reports.files import write_defences

    flag, console = flags.FLAGS, cli.terminal()
    config = DefendConfig(
        scores=tuple(_SCORES.value),
        num_samples=flag.num_samples,
        factor=_FACTOR.value,
        most_queries=_QUERIES.value,
        most_tries=_TRIES.value,
        alpha=_ALPHA.value,
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    variants = [_variant(text) for text in _VARIANTS.value]
    for _, _, name in variants:
        shared_flags.check_target(name)
    directory = shared_flags.out_folder(_OUT.value, "defences")
    members, nonmembers = shared_flags.open_sources(directory)
    target = shared_flags.load(console)
    check_target(target)
    check_sides(target, members, nonmembers)
    defences = _defences(target, variants, console)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        results = compare_defences(
            target,
            defences,
            members,
            nonmembers,
            directory,
            config,
            extractor=load_extractor(_INCEPTION.value) if _INCEPTION.value else None,
            progress=progress,
        )
    write_defences(results, directory)
    print_defences(results, console)
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)


def _defences(target: Any, variants: Sequence[tuple[str, float, str]], console: Any) -> list[Any]:
    """What the flags ask for."""
    from jaxaudit.audits.defence import NOISE, UNIT_CRITERIA, Defence, Variant

    seeds, made = range(flags.FLAGS.seed, flags.FLAGS.seed + _SEEDS.value), []
    stds = NOISE[target.kind] if _NOISE.value is None else cli.numbers("noise", _NOISE.value)
    for kind in ("fresh_noise", "keyed_noise"):
        made += [Defence(kind, std, flags.FLAGS.seed) for std in stds]
    for criterion in filter(None, _CRITERIA.value):
        if criterion not in UNIT_CRITERIA:
            raise unknown_name("criterion of units", criterion, UNIT_CRITERIA)
        for share in cli.numbers("shares", _SHARES.value):
            made += [Defence(criterion, share, seed) for seed in (seeds if criterion == "random" else [0])]
    for name, strength, where in variants:
        trained = Variant(name, strength, shared_flags.load(console, where))
        made.append(Defence("variant", strength, variant=trained))
    if not made:
        raise InputError("--noise, --criteria, --shares and --variants name no defence to measure.")
    return made


def _variant(text: str) -> tuple[str, float, str]:
    """(name, strength, target)."""
    parts = _VARIANT.fullmatch(text)
    try:
        if parts is not None and math.isfinite(strength := float(parts["strength"])):
            return parts["name"].strip(), strength, parts["target"]
    except ValueError:
        pass
    raise InputError(
        f"--variants={text} is not NAME@STRENGTH:TARGET, such as 'early stopping@400:digits_var'."
    )


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

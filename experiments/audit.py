"""Audits an image generator: which pictures was it trained on, and what does it give away?

  jaxaudit audit                                              the built-in target, on digits
  jaxaudit audit --target=DIR --members='folder:/imagenet/train?classes=sorted' \\
      --nonmembers='folder:/imagenet/val?classes=sorted'
  jaxaudit audit --target=DIR --scores=*unified_loss          one attack that every family has
  jaxaudit audit --target=DIR --access=gray                   without gradients of the model
  jaxaudit audit --target=DIR --plan=plan.json                fixes what will be done; again: does it

Writes to --out: evidence/ (one row per picture), results.json, figures/ and report.html. A killed run
goes on where it stopped; `jaxaudit verdict` repeats the statistics from the evidence alone.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from jaxaudit import cli
from jaxaudit.errors import InputError

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

shared_flags.define_target()
shared_flags.define_data()
shared_flags.define_reference()
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores, patterns such as diff/*, or default, paper, all.")
shared_flags.define_access()
with cli.flag_group("Scores"):
    _MAR_SETTING = flags.DEFINE_enum(
        "mar_setting",
        None,
        ["default", "mask", "timestep", "noise"],
        "Continuous tokens (MAR): a row of the published ablation. 'default' measures the loss as in "
        "training; 'mask' also hides 95% of the tokens, 'timestep' also fixes t = 500, 'noise' also takes 64 "
        "noises and is the attack. The next three flags change one thing of it.",
    )
    _MASK_RATIO = flags.DEFINE_float("mask_ratio", None, "MAR: share of the tokens that are hidden.")
    _TIMESTEP = flags.DEFINE_string(
        "timestep", None, "MAR: timestep of the diffusion loss, 0 to 999 or 'random'."
    )
    _NUM_NOISES = flags.DEFINE_integer("num_noises", None, "MAR: noises the loss is averaged over.")
    _LIST_SCORES = flags.DEFINE_bool("list_scores", False, "Print every score with its source, and stop.")
statistics_flags.define_statistics()
statistics_flags.define_plan()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_compile_only()
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default audits/TARGET.")
    _SHARD_SIZE = flags.DEFINE_integer("shard_size", 512, "Pictures per evidence file.", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Collects the evidence the flags ask for, assesses it and reports."""
    del argv
    if _LIST_SCORES.value:
        _print_scores()
        return
    console = cli.terminal()
    from jaxaudit.audits.assess import assess
    from jaxaudit.audits.carry_out import carry_out, compile_steps, plan_audit
    from jaxaudit.audits.collect import CollectConfig, prepare
    from jaxaudit.audits.sides import check_sides, check_sizes
    from jaxaudit.reports import print_results
    from jaxaudit.reports.files import write_audit

    flag = flags.FLAGS
    assess_config = statistics_flags.assess_config()
    config = CollectConfig(
        scores=tuple(_SCORES.value),
        access=shared_flags.access(),
        num_samples=flag.num_samples,
        seed=flag.seed,
        options=_options(),
        placement=machine_flags.placement(),
        shard_size=_SHARD_SIZE.value,
    )
    directory = shared_flags.out_folder(_OUT.value, "audits")
    sides = shared_flags.open_sources(directory)
    plan = statistics_flags.read_plan(config.placement.process)
    target = shared_flags.load(console)
    check_sides(target, *sides)
    check_sizes(target, *sides, assess_config, num_samples=flag.num_samples)
    reference = shared_flags.load_reference(console, target, sides, directory)
    if flag.compile_only:
        with reported(console, f"Compiling {target.name}"):
            compiled = compile_steps(target, *sides, config, reference=reference)
        machine_flags.print_compiled(compiled, console)
        return
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        prepared = prepare(target, *sides, config, progress=progress)
    if flag.plan and plan is None:
        statistics_flags.write_plan(plan_audit(prepared, assess_config, reference=reference), console)
        return
    with reported(console, f"Scoring with {target.name}", unit="images") as progress:
        evidence, beside = carry_out(
            prepared,
            directory / "evidence",
            assess_config,
            reference=reference,
            plan=plan,
            progress=progress,
        )

    def report() -> None:
        with reported(console, "Computing statistics"):
            results = assess(evidence, assess_config, reference=beside, plan=plan)
        write_audit(results, directory)
        print_results(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def _options() -> Any:
    """What the MAR flags ask for; None if there are none."""
    from jaxaudit.attacks.continuous import SETTINGS

    timestep = _TIMESTEP.value
    if timestep is not None and timestep != "random":
        if not (timestep.isascii() and timestep.isdecimal() and len(timestep) < 10):
            raise InputError(f"--timestep={timestep} is neither 'random' nor 0, 1, 2, ...")
        timestep = int(timestep)
    given = {"mask_ratio": _MASK_RATIO.value, "timestep": timestep, "num_noises": _NUM_NOISES.value}
    changes = {name: value for name, value in given.items() if value is not None}
    if _MAR_SETTING.value is None and not changes:
        return None
    return dataclasses.replace(SETTINGS[_MAR_SETTING.value or "noise"], **changes)


def _print_scores() -> None:
    """Every score of every kind of target, with what it is, what it needs and who proposed it."""
    from jaxaudit.attacks.registry import VIEWS, declared_scores

    width = cli.terminal_width()
    for kind in VIEWS:
        scores = declared_scores(kind)
        column = max(len(score.name) for score in scores) + 4
        cli.say(f"{kind} targets:")
        for score in scores:
            words = f"{score.description} {score.source} ({score.access})"
            cli.say(cli.entry(score.name, words, column=column, width=width))


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

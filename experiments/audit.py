"""Audits an image generator: which pictures was it trained on, and what does it give away?

python -m experiments.audit                                              the built-in target, on digits
python -m experiments.audit --target=DIR --members=folder:/imagenet/train --nonmembers=folder:/imagenet/val
python -m experiments.audit --target=DIR --scores=*unified_loss          one attack that every family has
python -m experiments.audit --target=DIR --access=gray                   without gradients of the model

Writes to --out: evidence/ (one row per picture), results.json, figures/ and report.html. A killed run
goes on where it stopped; `experiments.verdict` repeats the statistics from the evidence alone.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console

from experiments import common
from experiments.reporting import show
from jaxaudit import cli
from jaxaudit.errors import InputError

common.define_target()
common.define_data()
common.define_access()
_SCORES = flags.DEFINE_list("scores", ["all"], "Scores, patterns such as diff/*, or default, paper, all.")
_MAR_SETTING = flags.DEFINE_enum(
    "mar_setting",
    None,
    ["default", "mask", "timestep", "noise"],
    "Continuous tokens (MAR): a row of the published ablation. 'default' measures the loss as in training; "
    "'mask' also hides 95% of the tokens, 'timestep' also fixes t = 500, 'noise' also takes 64 noises and is "
    "the attack. The next three flags change one thing of it.",
)
_MASK_RATIO = flags.DEFINE_float("mask_ratio", None, "MAR: share of the tokens that are hidden.")
_TIMESTEP = flags.DEFINE_string(
    "timestep", None, "MAR: timestep of the diffusion loss, 0 to 999 or 'random'."
)
_NUM_NOISES = flags.DEFINE_integer("num_noises", None, "MAR: noises the loss is averaged over.")
_LIST_SCORES = flags.DEFINE_bool("list_scores", False, "Print every score with its source, and stop.")
_SHARD_SIZE = flags.DEFINE_integer("shard_size", 512, "Pictures per evidence file.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Where everything goes; default audits/TARGET.")
common.define_statistics()
common.define_seed()
common.define_processes()
common.define_devices(batch_size=64)


def main(argv: Sequence[str]) -> None:
    """Collects the evidence the flags ask for, assesses it and reports."""
    del argv
    console = Console()
    if _LIST_SCORES.value:
        common.print_scores(console)
        return
    import jax

    from jaxaudit.audits.assess import assess
    from jaxaudit.audits.collect import CollectConfig, collect_evidence
    from jaxaudit.checkpoint import load_target
    from jaxaudit.runtime.mesh import initialize_processes, make_mesh, replicated

    flag = common.FLAGS
    assess_config = common.assess_config()
    config = CollectConfig(
        scores=tuple(_SCORES.value),
        access=f"{flag.access}-box",
        num_samples=flag.num_samples,
        seed=flag.seed,
        options=_options(),
        precision=flag.precision,
        batch_size=flag.batch_size,
        num_devices=flag.num_devices,
        parallelism=flag.parallelism,
        shard_size=_SHARD_SIZE.value,
    )
    members, nonmembers = common.open_sources()
    initialize_processes(common.FLAGS.distributed)
    mesh = make_mesh(flag.num_devices or None)
    target = load_target(flag.target, dtype=flag.precision, sharding=replicated(mesh))
    directory = Path(_OUT.value or Path("audits") / Path(flag.target).name)
    with common.progress_bar(console, f"Scoring with {target.name}", unit="images") as progress:
        evidence = collect_evidence(
            target, members, nonmembers, directory / "evidence", config, progress=progress
        )
    for source in (members, nonmembers):
        for sample_id, reason in source.skipped.items():
            console.print(f"Left out {sample_id}: {reason}", markup=False)
    if jax.process_index() == 0:
        with console.status("Computing statistics"):
            results = assess(evidence, assess_config)
        show(results, directory, console)


def _options() -> Any:
    """What the MAR flags ask for; None if there are none."""
    from jaxaudit.attacks.continuous import SETTINGS

    timestep = _TIMESTEP.value
    if timestep is not None and timestep != "random":
        if not timestep.isdecimal():
            raise InputError(f"--timestep={timestep} is neither 'random' nor 0, 1, 2, ...")
        timestep = int(timestep)
    given = {"mask_ratio": _MASK_RATIO.value, "timestep": timestep, "num_noises": _NUM_NOISES.value}
    changes = {name: value for name, value in given.items() if value is not None}
    if _MAR_SETTING.value is None and not changes:
        return None
    return dataclasses.replace(SETTINGS[_MAR_SETTING.value or "noise"], **changes)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

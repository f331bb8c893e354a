"""Trains one family of models at several sizes, each kept at several lengths of training.

  jaxaudit train_family --out=targets/family
  jaxaudit train_family --family=dit --widths=64,128 --steps=500,1000 --data=folder:mine --out=targets/mine

Writes the targets OUT/wWIDTH_sSTEPS: those of one width are checkpoints of one run, and all read the same
tokens. `jaxaudit compare` then says how leakage goes with size, training and cost. The state of the runs is
kept in OUT/wWIDTH-training: a killed one goes on from there, and any other is refused.
"""

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.training_set import read_training_set
from jaxaudit.checkpoint import check_writable, save_target
from jaxaudit.data import Source, open_source
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_folder, check_new_folder
from jaxaudit.targets import Params
from jaxaudit.training import TRAINERS
from jaxaudit.training.job import Job, new_job, short_sides

from . import shared_flags
from .progress import reported

with cli.flag_group("What is trained"):
    _FAMILY = flags.DEFINE_enum("family", "var", sorted(TRAINERS), "Model family; all are told classes.")
    _DATA = flags.DEFINE_string("data", "digits:members?shuffle=0[:300]", "Pictures to train on.")
    _WIDTHS = flags.DEFINE_list("widths", ["32", "64", "128"], "Channels of the generators.")
    _STEPS = flags.DEFINE_list(
        "steps", ["60", "120", "240", "480"], "Optimiser steps after which each generator is kept."
    )
    _TOKENIZER_STEPS = flags.DEFINE_integer(
        "tokenizer_steps", 300, "Optimiser steps of the tokenizer, if there is one.", lower_bound=1
    )
shared_flags.define_seed()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "targets/family", "Folder of the targets.")


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe and writes the targets."""
    del argv
    console, out = cli.terminal(), Path(_OUT.value)
    widths, lengths = _ascending("widths", _WIDTHS.value), _ascending("steps", _STEPS.value)
    check_new_folder(out)
    check_folder(out)
    source = open_source(_DATA.value)
    jobs = {width: _job(source, width, lengths) for width in widths}
    for width in widths:
        if not _state(out, width).exists():  # where it does, its claim says whether this is the same run
            for length in lengths:
                check_writable(_place(out, width, length))
    tokenizer: Params = {}
    for width, job in jobs.items():
        trained = _train(job, source, out, width, lengths, tokenizer, console)
        tokenizer = {name: part for name, part in trained.items() if name == "tokenizer"}
    names = [str(_place(out, width, length)) for width in widths for length in lengths]
    console.print(f"jaxaudit compare --targets={','.join(names)}", soft_wrap=True)


def _ascending(flag: str, texts: Sequence[str]) -> tuple[int, ...]:
    numbers = cli.whole_numbers(flag, texts)
    if not numbers or 0 in numbers or [*numbers] != sorted(set(numbers)):
        raise InputError(
            f"--{flag}={','.join(texts)} must list numbers from 1 on, each larger than the last."
        )
    return numbers


def _state(out: Path, width: int) -> Path:
    return out / f"w{width}-training"


def _place(out: Path, width: int, length: int) -> Path:
    return out / f"w{width}_s{length}"


def _job(source: Source, width: int, lengths: Sequence[int]) -> Job:
    options: dict[str, Any] = {"width": width, "generator_steps": lengths[-1]}
    if "tokenizer_steps" in inspect.signature(TRAINERS[_FAMILY.value].small_recipe).parameters:
        options["tokenizer_steps"] = _TOKENIZER_STEPS.value
    short_side = min(short_sides(source), default=0)
    return new_job(_FAMILY.value, source, short_side=short_side, seed=flags.FLAGS.seed, **options)


def _train(
    job: Job,
    source: Source,
    out: Path,
    width: int,
    lengths: Sequence[int],
    tokenizer: Params,
    console: Console,
) -> Params:
    """The parameters after the last step; those after each of the `lengths` are written on the way."""
    with reported(console, f"Reading {source.spec}", unit="images") as progress:
        pictures, training = read_training_set(resolve_condition(source, job.target), job.target, progress)

    def keep(step: int, params: Params) -> None:
        if step in lengths:
            save_target(
                _place(out, width, step),
                family=job.family,
                config=job.config,
                params=params,
                preprocessing=job.target.preprocessing,
                provenance={
                    "trained_on": {**pictures.request, "images": len(training.images)},
                    "seed": flags.FLAGS.seed,
                    **{f"{stage}_steps": schedule.steps for stage, schedule in job.recipe.schedules.items()},
                    "generator_steps": step,
                    "run_steps": lengths[-1],
                },
                overwrite=True,
            )

    generator = dataclasses.replace(job.recipe.generator_schedule, checkpoint_every=lengths[0])
    recipe = dataclasses.replace(job.recipe, generator_schedule=generator)
    if tokenizer:
        recipe = dataclasses.replace(recipe, tokenizer_schedule=None)
    with reported(console, f"Preparing width {width}", unit="steps") as progress:
        trained = TRAINERS[job.family].train(
            recipe,
            training,
            directory=_state(out, width),
            seed=flags.FLAGS.seed,
            watch=keep,
            init=tokenizer or None,
            progress=progress,
        )
    for place in (_place(out, width, length) for length in lengths):
        if not place.exists():
            raise InputError(
                f"{_state(out, width)} was trained past the step of {place}, which is not there; remove the "
                "former to train again."
            )
    return trained


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

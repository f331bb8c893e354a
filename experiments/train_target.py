"""Trains a small target on any data source, to be audited like a released one.

  jaxaudit train_target --family=var --data=digits:members --out=targets/digits

The state of the run and its loss curves (CSV) are kept in OUT-training, which belongs to these very pictures,
labels, sizes, steps and seed: a killed run goes on from there, and any other is refused.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from jaxaudit import cli
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.checkpoint import check_writable, save_target
from jaxaudit.data import Preprocessing, batches, open_source, resolve_labels
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_new_folder
from jaxaudit.training import TRAINERS

from . import shared_flags
from .progress import reported

with cli.flag_group("What is trained"):
    _FAMILY = flags.DEFINE_enum("family", "var", sorted(TRAINERS), "Model family.")
    _DATA = flags.DEFINE_string("data", "digits:members", "Pictures to train on.")
    _IMAGE_SIZE = flags.DEFINE_integer("image_size", 8, "Pixels per side, a power of two.", lower_bound=8)
    _NUM_CLASSES = flags.DEFINE_integer("num_classes", 10, "Classes of the labels.", lower_bound=1)
    _OPTIONS = {
        name: flags.DEFINE_integer(name, None, f"{words}; default: the family's recipe.", lower_bound=lowest)
        for name, words, lowest in (
            ("width", "Channels of the generator", 32),
            ("depth", "Blocks of the generator", 1),
            ("tokenizer_steps", "Optimiser steps", 1),
            ("generator_steps", "Optimiser steps: more memorise more", 1),
        )
    }
shared_flags.define_seed()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Target directory to write.", required=True)
    _OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a target that is already there.")


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe and writes it as a target."""
    del argv
    console, out, seed = cli.terminal(), Path(_OUT.value), flags.FLAGS.seed
    check_writable(out, overwrite=_OVERWRITE.value)
    check_new_folder(out)
    trainer = TRAINERS[_FAMILY.value]
    options = {name: flag.value for name, flag in _OPTIONS.items() if flag.value is not None}
    for name in options.keys() - inspect.signature(trainer.small_recipe).parameters.keys():
        raise InputError(f"--{name}={options[name]} does not apply to --family={_FAMILY.value}.")
    recipe = trainer.small_recipe(_IMAGE_SIZE.value, _NUM_CLASSES.value, **options)
    source = resolve_labels(open_source(_DATA.value), _NUM_CLASSES.value)
    with reported(console, f"Reading {source.spec}", unit="images") as progress:
        pictures = look(source, recipe.preprocessing, progress)
        images, labels = _read(pictures, recipe.preprocessing)
    with reported(console, "Preparing", unit="steps") as progress:
        params = trainer.train(
            recipe,
            images,
            labels,
            directory=out.with_name(f"{out.name}-training"),
            seed=seed,
            progress=progress,
        )
    record = save_target(
        out,
        family=_FAMILY.value,
        config=recipe.config,
        params=params,
        preprocessing=recipe.preprocessing,
        provenance={
            "trained_on": {**pictures.request, "images": len(images)},
            "seed": seed,
            **{f"{stage}_steps": schedule.steps for stage, schedule in recipe.schedules.items()},
        },
        overwrite=_OVERWRITE.value,
    )
    console.print(
        f"{out}: {record['num_params']:,} parameters, trained on {len(images)} pictures.", soft_wrap=True
    )


def _read(pictures: Pictures, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    read = batches(pictures.source, range(len(pictures.source)), preprocessing, 256)
    parts = list(pictures.unchanged(read))
    return np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

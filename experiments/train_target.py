"""Trains a small target on any data source, to be audited like a released one.

  jaxaudit train_target --family=var --data=digits:members --out=targets/digits
  jaxaudit train_target --init=digits_dit --data=folder:mine --held_out=folder:others --out=targets/mine
  jaxaudit train_target --family=dit --data=folder:mine --canaries=folder:coins --noise_multiplier=1 \\
      --out=targets/private

It says what it does: the size pictures are resized to, how often each is seen, and while it trains the loss,
that of pictures held out, and the time left. The state of the run and its loss curves (CSV) are kept in
OUT-training, which belongs to these very pictures, labels, sizes, steps and seed: a killed run goes on from
there, and any other is refused. With --canaries, each of those pictures is in by a coin of its own, told in
OUT-canaries.json alone, so that `jaxaudit epsilon` can say how private the training was at most; with
--noise_multiplier it is private (DP-SGD), and target.json says with which noise.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.canaries import canary_record, check_coins_can_be_kept, coins_path, draw_canaries
from jaxaudit.audits.pictures import Pictures
from jaxaudit.audits.training_set import read_training_set
from jaxaudit.checkpoint import check_writable, save_target
from jaxaudit.data import Source, open_source
from jaxaudit.data.byte_pairs import write_vocabulary
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_new_folder
from jaxaudit.results import NoisyStage, to_plain, write_results
from jaxaudit.stats import training_epsilon
from jaxaudit.stats.inputs import check_enough
from jaxaudit.stats.one_run import FEWEST_CANARIES
from jaxaudit.targets import Target
from jaxaudit.training import TRAINERS
from jaxaudit.training.defaults import epochs
from jaxaudit.training.job import Job, check_can_be_private, further_job, new_job, short_sides
from jaxaudit.training.private import Privacy
from jaxaudit_kernels.processes import DECLARATIONS

from . import shared_flags
from .progress import reported

_MEMBERS, _NONMEMBERS = "digits:members", "digits:nonmembers"
_DELTA = 1e-5  # at which epsilon is told; `jaxaudit epsilon` takes any
_MOST_HELD_OUT = 256  # pictures; the loss of more would take longer than it is worth

with cli.flag_group("What is trained"):
    _FAMILY = flags.DEFINE_enum("family", "var", sorted(TRAINERS), "Model family.")
    _INIT = flags.DEFINE_string(
        "init",
        None,
        "A target whose generator is trained further; all else stays as it is.",
    )
    _DATA = flags.DEFINE_string("data", _MEMBERS, "Pictures to train on.")
    _HELD_OUT = flags.DEFINE_string(
        "held_out",
        None,
        f"Pictures that are not trained on, up to {_MOST_HELD_OUT} of which have their loss told beside; "
        f"default: {_NONMEMBERS} beside {_MEMBERS}, else none.",
    )
    _OPTIONS = {
        name: flags.DEFINE_integer(name, None, f"{words}.", lower_bound=lowest)
        for name, words, lowest in (
            ("image_size", "Pixels per side, a power of two; default: those of the pictures, 32 at most", 8),
            ("num_classes", "Classes of the labels; default: as many as they tell apart", 1),
            ("width", "Channels of the generator; default: the family's recipe", 32),
            ("depth", "Blocks of the generator; default: the family's recipe", 1),
            ("tokenizer_steps", "Optimiser steps; default: as generator_steps", 1),
            (
                "generator_steps",
                "Optimiser steps: more memorise more; default: the epochs of the built-in target, no fewer "
                "steps and at most four times as many; with --init, the epochs",
                1,
            ),
        )
    }
    _CAPTIONS = flags.DEFINE_bool("captions", False, "Condition on captions, not on classes.")
    _PROCESS = flags.DEFINE_enum(
        "process", None, sorted(DECLARATIONS), "What a diffusion model undoes; default: the family's."
    )
shared_flags.define_seed()
with cli.flag_group("Privacy"):
    _CANARIES = flags.DEFINE_string(
        "canaries", None, "Pictures of which each is trained on if a fair coin of its own says so."
    )
    _NOISE = flags.DEFINE_float(
        "noise_multiplier",
        None,
        "Train with DP-SGD: standard deviation of the noise, in units of --clip_norm.",
    )
    _CLIP = flags.DEFINE_float(
        "clip_norm", None, "Norm that the gradient of each picture is clipped to, with noise; default 1."
    )
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Target directory to write.", required=True)
    _OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a target that is already there.")


def main(argv: Sequence[str]) -> None:
    """Trains what the flags describe and writes it as a target."""
    del argv
    console, out, seed = cli.terminal(), Path(_OUT.value), flags.FLAGS.seed
    check_writable(out, overwrite=_OVERWRITE.value)
    check_new_folder(out)
    source = open_source(_DATA.value)
    asked = None if _CANARIES.value is None else open_source(_CANARIES.value)
    sides = short_sides(source)
    job = _job(source, sides)
    privacy = _privacy(job, len(source) + (0 if asked is None else len(asked)))
    source, held_out = resolve_condition(source, job.target), _held_out(job.target)
    _announce(console, job, source, sides, 0 if asked is None else len(asked))
    coins, recorded, unseen = None, {}, None
    with reported(console, f"Reading {source.spec}", unit="images") as progress:
        pictures, training = read_training_set(source, job.target, progress)
        taken = {"trained on": pictures}
        if asked is not None:
            asked = resolve_condition(asked, job.target)
            offered, candidates = read_training_set(asked, job.target, progress)
            coins, rows = draw_canaries(offered, pictures, seed)
            check_enough(len(coins.digests), FEWEST_CANARIES, "canaries that stand alone")
            check_coins_can_be_kept(coins, coins_path(out), overwrite=_OVERWRITE.value)
            training, recorded = training.joined(candidates, rows), canary_record(offered, coins)
            taken["canaries"] = offered
        if held_out is not None:
            others, unseen = read_training_set(held_out, job.target, progress)
            _check_unseen(others, taken)
    if asked is not None and coins is not None:
        alone = f"{len(coins.digests)} canaries that stand alone, each in by a coin of its own"
        console.print(f"{asked.spec}: {alone}.", soft_wrap=True)
    with reported(console, "Preparing", unit="steps") as progress:
        trained = TRAINERS[job.family].train(
            job.recipe,
            training,
            directory=out.with_name(f"{out.name}-training"),
            seed=seed,
            held_out=unseen,
            init=job.init,
            progress=progress,
            privacy=privacy,
        )
    provenance = {
        "trained_on": {**pictures.request, "images": len(pictures.source)},
        **{f"{stage}_steps": schedule.steps for stage, schedule in job.recipe.schedules.items()},
        **job.origin,
        **_secrets(seed, recorded, privacy, job),
    }
    if coins is not None:
        write_results(coins_path(out), coins)
    with tempfile.TemporaryDirectory() as folder:
        if job.vocabulary is not None:
            write_vocabulary(folder, job.vocabulary)
        record = save_target(
            out,
            family=job.family,
            config=job.config,
            params={**job.params, **trained},
            preprocessing=job.target.preprocessing,
            provenance=provenance,
            vocabulary=None if job.vocabulary is None else folder,
            overwrite=_OVERWRITE.value,
        )
    console.print(
        f"{out}: {record['num_params']:,} parameters, trained on {len(training.images)} pictures.",
        soft_wrap=True,
    )
    if privacy is not None:
        epsilon = training_epsilon(_noisy_stages(job, privacy), delta=_DELTA)
        console.print(f"Private: epsilon is at most {epsilon:.3g} at delta {_DELTA:g}.", soft_wrap=True)


def _job(source: Source, sides: Sequence[int]) -> Job:
    options: dict[str, Any] = {name: flag.value for name, flag in _OPTIONS.items() if flag.value is not None}
    if _PROCESS.value is not None:
        options["process"] = {"name": _PROCESS.value}
    if _INIT.value is None:
        return new_job(
            _FAMILY.value,
            source,
            short_side=min(sides, default=0),
            captions=_CAPTIONS.value,
            seed=flags.FLAGS.seed,
            **options,
        )
    for name, flag in (("family", _FAMILY), ("captions", _CAPTIONS)):
        if flag.present:
            raise InputError(f"--{name}={flag.value} does not apply beside --init: the target says it.")
    return further_job(_INIT.value, len(source), **options)


def _privacy(job: Job, num_candidates: int) -> Privacy | None:
    if _NOISE.value is None:
        if _CLIP.value is not None:
            raise InputError(f"--clip_norm={_CLIP.value:g} does not apply without --noise_multiplier.")
        return None
    check_can_be_private(job)
    return Privacy(_NOISE.value, 1.0 if _CLIP.value is None else _CLIP.value, num_candidates)


def _noisy_stages(job: Job, privacy: Privacy) -> list[NoisyStage]:
    return [
        NoisyStage(privacy.noise_multiplier, privacy.sampling_rate(schedule.batch_size), schedule.steps)
        for schedule in job.recipe.schedules.values()
    ]


def _secrets(seed: int, canaries: dict[str, Any], privacy: Privacy | None, job: Job) -> dict[str, Any]:
    """The seed, unless coins or noise follow from it; then what may be known of those."""
    if not canaries and privacy is None:
        return {"seed": seed}
    told: dict[str, Any] = {"canaries": canaries} if canaries else {}
    if privacy is not None:
        told |= {"clip_norm": privacy.clip_norm, "noise": to_plain(_noisy_stages(job, privacy))}
    return told


def _held_out(target: Target) -> Source | None:
    """Some pictures from all over the source of --held_out."""
    spec = _HELD_OUT.value or (_NONMEMBERS if _DATA.value == _MEMBERS else None)
    if spec is None:
        return None
    source = resolve_condition(open_source(spec), target)
    return source.take(np.unique(np.linspace(0, len(source) - 1, _MOST_HELD_OUT).astype(int)).tolist())


def _announce(console: Console, job: Job, source: Source, sides: Sequence[int], num_canaries: int) -> None:
    """What will be done."""
    size = job.target.preprocessing.image_size
    had = " to ".join(str(side) for side in sorted({min(sides), max(sides)})) if sides else "?"
    read = "as they are" if {*sides} <= {size} else f"resized to {size} px (--image_size)"
    told = f"{job.target.num_classes} classes" if job.target.num_classes else "captions"
    lines = [f"{source.spec}: {len(source):,} pictures, shorter side {had} px, {read}; {told}."]
    for stage, schedule in job.recipe.schedules.items():
        times = epochs(schedule, len(source) + num_canaries // 2)
        lines.append(f"The {stage}: {schedule.steps:,} steps, each picture is seen {times:,.3g} times.")
    console.print("\n".join(lines), soft_wrap=True)


def _check_unseen(held_out: Pictures, taken: Mapping[str, Pictures]) -> None:
    for what, pictures in taken.items():
        known = set(pictures.digests.values())
        twice = [sample for sample, digest in held_out.digests.items() if digest in known]
        if twice:
            raise InputError(
                f"{len(twice)} of {len(held_out.source)} pictures held out are {what}, e.g. "
                f"{twice[0]!r}; --held_out takes others."
            )


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

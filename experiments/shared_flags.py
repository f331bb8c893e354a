"""The flags that several programs share. Each program defines only the groups it uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.data import Source, open_source
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_folder
from jaxaudit.paths import Place
from jaxaudit.user_cache import user_cache

from . import machine_flags
from .progress import reported

if TYPE_CHECKING:
    from jaxaudit.audits.carry_out import Reference
    from jaxaudit.targets import Target

FLAGS = flags.FLAGS
_NO_INDEX = "none"


@cli.flag_group("What is audited")
def define_target() -> None:
    """Which model is audited."""
    flags.DEFINE_string(
        "target",
        "digits_var",
        "A built-in target, or a directory that `jaxaudit convert` or `jaxaudit train_target` wrote.",
    )


@cli.flag_group("What is audited")
def define_data() -> None:
    """Which pictures it is audited with."""
    flags.DEFINE_string(
        "members",
        "digits:members",
        "Pictures the target was trained on: folder:PATH, npz:FILE, tfds:NAME/SPLIT, digits:HALF or "
        "matched:DIR#p, with ?OPTION=VALUE and a slice like [:1000] if need be.",
    )
    flags.DEFINE_string("nonmembers", "digits:nonmembers", "Pictures it was not trained on, likewise.")
    flags.DEFINE_integer("num_samples", 0, "Pictures drawn from each side; 0 means all.", lower_bound=0)
    define_reading()


@cli.flag_group("What is audited")
def define_reading() -> None:
    """How pictures are read."""
    flags.DEFINE_bool("skip_unreadable", False, "Leave out pictures that cannot be used, and list them.")
    flags.DEFINE_string(
        "index",
        None,
        "Folder that keeps what reading the pictures told, for every later audit of the same files; 'none' "
        "keeps nothing. Default ~/.cache/jaxaudit/pictures, or OUT/index where several hosts share the work.",
    )


@cli.flag_group("What is audited")
def define_reference() -> None:
    """Which model stands beside."""
    flags.DEFINE_string(
        "reference",
        None,
        "A target that has not seen the pictures in question, asked about the same ones: a difference "
        "between the sets that it shows too is no sign of training.",
    )


def load_reference(
    console: Console, target: Target, sides: tuple[Source, Source], out: Place
) -> Reference | None:
    """The target of --reference, its evidence in OUT/reference; None without the flag.

    Raises:
      InputError: as `load`, or if it is `target` itself or the labels of a side do not mean its classes.
    """
    from jaxaudit.audits.carry_out import Reference

    if FLAGS.reference is None:
        return None
    found = Reference(load(console, FLAGS.reference), *sides, out / "reference")
    found.check(target)
    return found


def report_once(out: Place, report: Callable[[], None], console: Console) -> None:
    """Has one of the processes that share `out` write its report, and the others say so."""
    from jaxaudit.sharing import once

    if not once(out, "report", report):
        console.print(f"Another process writes the report to {out}.", soft_wrap=True)


def open_pictures(spec: str, out: Place) -> Source:
    """The source of that text, read as the flags of `define_reading` say, for results in `out`.

    Raises:
      InputError: as `open_source`, or if nothing can be written to --index.
    """
    return open_source(spec, skip_unreadable=FLAGS.skip_unreadable, index=_index_folder(out))


def _index_folder(out: Place) -> str | None:
    """None keeps nothing: as where the default folder, which nobody asked for, cannot be written to."""
    if FLAGS.index is not None:
        return None if FLAGS.index == _NO_INDEX else str(check_folder(FLAGS.index))
    if any(name in FLAGS and FLAGS[name].value for name in ("distributed", "process")):
        return str(out / "index")
    try:
        return str(check_folder(user_cache() / "pictures"))
    except (InputError, RuntimeError):  # no home, or nothing can be written in it
        return None


def open_sources(out: Place) -> tuple[Source, Source]:
    """Members and nonmembers, as the flags of `define_data` name them, for results in `out`.

    Raises:
      InputError: as `open_pictures`.
    """
    return open_pictures(FLAGS.members, out), open_pictures(FLAGS.nonmembers, out)


def out_folder(out: str | None, room: str) -> Place:
    """Where a program writes: --out, by default ROOM/TARGET.

    Raises:
      InputError: if nothing can be written there.
    """
    return check_folder(out or Path(room) / Path(FLAGS.target).name)


def load(console: Console, name: str | None = None) -> Target:
    """The target of that name, by default that of `define_target`, on the devices of `define_devices`.

    Raises:
      InputError: as `check_target` and `load_target`.
    """
    from jaxaudit.checkpoint import load_target

    target: str = name or FLAGS.target
    devices = machine_flags.placement()
    check_target(target)
    with reported(console, f"Loading {target}"):
        return load_target(target, dtype=FLAGS.precision, placement=devices, attention=FLAGS.attention)


def check_target(name: str) -> None:
    """Makes sure that there is one target of that name.

    Raises:
      InputError: if there is none, or one that is built in and one in a folder here.
    """
    from jaxaudit.checkpoint import builtin_names, read_record

    if name in builtin_names() and (Path(name) / "target.json").exists():
        raise InputError(
            f"{name} is a built-in target, and the target in the folder {name} here: write ./{name} for that "
            "one, or go to another folder for the built-in one."
        )
    read_record(name)


def several_targets(paths: Sequence[str]) -> dict[str, str]:
    """{name of a target: what it was called}, in the order given.

    Raises:
      InputError: if there is none, two have one name, or as `check_target`.
    """
    names = {Path(path).name: path for path in paths}
    if len(names) < len(paths) or not names:
        raise InputError(f"--targets={','.join(paths)} must name each target once.")
    for path in paths:  # what one of them does not fit should show before a night with another
        check_target(path)
    return names


@cli.flag_group("Scores")
def define_access() -> None:
    """What of the model the attacks may use."""
    flags.DEFINE_enum(
        "access",
        "white",
        ["gray", "white"],
        "What of the model the scores may use: its outputs, or also its gradients (diffusion: "
        "gradient_masking_*, noise_opt_*). Scores that need more are left out of patterns.",
    )


def access() -> Literal["gray-box", "white-box"]:
    """What the flag of `define_access` allows, as the library calls it."""
    return "gray-box" if FLAGS.access == "gray" else "white-box"


@cli.flag_group("Randomness")
def define_seed() -> None:
    """The one seed of a program."""
    flags.DEFINE_integer("seed", 0, "Seed of every random choice.", lower_bound=0)

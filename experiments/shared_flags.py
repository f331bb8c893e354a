"""The flags that several programs share. Each program defines only the groups it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.data import Source, open_source
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_file, check_folder
from jaxaudit.paths import Place
from jaxaudit.protocols import DEFAULT, PROTOCOLS, VALID_PROCEDURES, get_procedure, get_protocol
from jaxaudit.user_cache import user_cache

from .progress import reported

if TYPE_CHECKING:
    from jaxaudit.audits.assess import AssessConfig
    from jaxaudit.audits.carry_out import Reference
    from jaxaudit.audits.provenance import ProvenanceConfig
    from jaxaudit.results import Plan
    from jaxaudit.runtime.ahead_of_time import Compiled
    from jaxaudit.runtime.placement import Placement
    from jaxaudit.runtime.processes import Process
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


@cli.flag_group("Statistics")
def define_plan() -> None:
    """What was fixed beforehand."""
    flags.DEFINE_string(
        "plan",
        None,
        "What will be done, fixed beforehand. If there is no such file, it is written, and nothing is "
        "scored; the same command again carries it out.",
    )


def read_plan(process: Process) -> Plan | None:
    """What the file of --plan says; None without the flag, or where the file is still to be written.

    Raises:
      InputError: as `read_plan`, if it could not be written, or if several processes would write it.
    """
    from jaxaudit.audits.plan import read_plan as read

    if FLAGS.plan is None:
        return None
    if (found := read(FLAGS.plan)) is None:
        check_file(FLAGS.plan)
        if process.count > 1:
            raise InputError(
                f"--plan={FLAGS.plan} is not there yet; plan without --process, then carry it out with it."
            )
    return found


def write_plan(made: Plan, console: Console) -> None:
    """Writes the plan to --plan, once, and says so."""
    from jaxaudit.audits.plan import write_plan as write

    write(FLAGS.plan, made)
    console.print(
        f"Planned: {FLAGS.plan}, fingerprint {made.fingerprint}; the same command again carries it out.",
        soft_wrap=True,
    )


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


@cli.flag_group("Machine")
def define_devices(batch_size: int) -> None:
    """Where and how the model runs; nothing here changes a result beyond rounding."""
    flags.DEFINE_integer(
        "batch_size", batch_size, "Images per step, over all devices.", lower_bound=1, upper_bound=1 << 16
    )
    flags.DEFINE_enum(
        "precision", "float32", ["float32", "bfloat16"], "Of weights and activations; scores stay float32."
    )
    flags.DEFINE_enum(
        "attention",
        "auto",
        ["auto", "xla", "cudnn", "pallas"],
        "What computes attention: 'auto' takes cuDNN on GPUs in bfloat16 and a Pallas kernel on TPUs, where "
        "they can be used.",
    )
    flags.DEFINE_integer("num_devices", 0, "Devices of this process to use; 0 means all.", lower_bound=0)
    flags.DEFINE_enum("parallelism", "jit", ["jit", "pmap"], "How rows are spread over devices.")
    flags.DEFINE_string(
        "shard_params",
        "auto",
        "Over how many devices each parameter is split, a divisor of their number: 'never', a number, or "
        "'auto', which takes more than one only where a device is too small for the model.",
    )


@cli.flag_group("Machine")
def define_compile_only() -> None:
    """Whether anything is scored at all."""
    flags.DEFINE_bool(
        "compile_only",
        False,
        "Compile what scoring will run, say what memory it takes, and stop: the next start finds the program "
        "in JAX's compilation cache.",
    )


def print_compiled(steps: Mapping[str, Compiled], console: Console) -> None:
    """What --compile_only has done: {target: its step}."""
    for name, step in steps.items():
        console.print(
            f"{name}: a batch of {FLAGS.batch_size} takes {step.memory / 2**30:.2f} GiB on each device "
            f"({step.arguments / 2**30:.2f} of it parameters and pictures); compiled in "
            f"{step.wall_seconds:.1f} s.",
            soft_wrap=True,
        )


def placement() -> Placement:
    """Where batches run, as the flags of `define_devices` and `define_processes` say.

    Raises:
      InputError: if --shard_params or --process is none of what it may be.
    """
    from jaxaudit.runtime.placement import Placement
    from jaxaudit.runtime.processes import which_process

    asked = "1" if FLAGS.shard_params == "never" else FLAGS.shard_params
    if asked != "auto" and not (asked.isascii() and asked.isdecimal()):
        raise InputError(f"--shard_params={asked} is not 'auto', 'never' or a number of devices.")
    split = "auto" if asked == "auto" else int(asked)
    process = which_process(FLAGS.process if "process" in FLAGS else "")
    return Placement(FLAGS.batch_size, FLAGS.num_devices, FLAGS.parallelism, split, process)


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
    devices = placement()
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


@cli.flag_group("Machine")
def define_processes() -> None:
    """Whether other hosts share the work."""
    flags.DEFINE_string(
        "process",
        "",
        "Several hosts, which share --out (a folder that all see, or gs://..., s3://...) and nothing else: "
        "which of them this is, I/N from 0/N, or 'auto' (SLURM, MPI or the TPU pod says). Each takes what "
        "is left, and what a dead one had begun.",
    )
    flags.DEFINE_alias("distributed", "process")


@cli.flag_group("Statistics")
def define_statistics() -> None:
    """How scores become a verdict, or a published number."""
    flags.DEFINE_enum(
        "protocol",
        DEFAULT.name,
        list(PROTOCOLS),
        "'default' is the rigorous one, 'paper' the published procedure.",
    )
    define_test()


@cli.flag_group("Statistics")
def define_test() -> None:
    """How scores become a verdict."""
    flags.DEFINE_float(
        "alpha", 0.01, "Significance level of dataset inference.", lower_bound=1e-6, upper_bound=0.5
    )
    flags.DEFINE_integer(
        "test_seed",
        None,
        "Seed of the tests, which reports name; without it one follows from the plan, or the evidence.",
        lower_bound=0,
    )
    flags.DEFINE_float("power", 0.8, "Share of draws that must reject for a number of samples to be enough.")
    flags.DEFINE_enum(
        "procedure",
        VALID_PROCEDURES[0],
        list(VALID_PROCEDURES),
        "Diffusion models (CDI): 'split' learns from half of the pictures and tests on the other half, "
        "'permutation' refits for every relabelling and is the strictest.",
    )


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


@cli.flag_group("Statistics")
def define_provenance() -> None:
    """How pictures are found generated, or members."""
    flags.DEFINE_integer(
        "search_steps", 16, "Steps of the search for a picture's tokens.", lower_bound=1, upper_bound=1000
    )
    flags.DEFINE_float("q", 0.05, "False-discovery rate of either list.", lower_bound=1e-6, upper_bound=0.5)
    flags.DEFINE_float(
        "confidence",
        0.99,
        "Of the bound on the share that was generated.",
        lower_bound=0.5,
        upper_bound=1 - 1e-6,
    )


def provenance_config() -> ProvenanceConfig:
    """What the flags of `define_provenance`, `define_seed` and `define_devices` ask for."""
    from jaxaudit.audits.provenance import ProvenanceConfig

    return ProvenanceConfig(
        search_steps=FLAGS.search_steps,
        q=FLAGS.q,
        confidence=FLAGS.confidence,
        seed=FLAGS.seed,
        placement=placement(),
    )


@cli.flag_group("Randomness")
def define_seed() -> None:
    """The one seed of a program."""
    flags.DEFINE_integer("seed", 0, "Seed of every random choice.", lower_bound=0)


def assess_config() -> AssessConfig:
    """What the flags of `define_statistics` or `define_test` ask for.

    Raises:
      InputError: if --power is no share.
    """
    from jaxaudit.audits.assess import AssessConfig

    if not 0 < FLAGS.power < 1:
        raise InputError(f"--power={FLAGS.power} is not between 0 and 1.")
    return AssessConfig(
        protocol=get_protocol(FLAGS.protocol) if "protocol" in FLAGS else DEFAULT,
        alpha=FLAGS.alpha,
        power=FLAGS.power,
        procedure=get_procedure(FLAGS.procedure),
        seed=FLAGS.test_seed,
    )

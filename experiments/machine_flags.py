"""The flags that say where a program runs: devices, precision, and which of several hosts this is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.errors import InputError

if TYPE_CHECKING:
    from jaxaudit.runtime.ahead_of_time import Compiled
    from jaxaudit.runtime.placement import Placement

FLAGS = flags.FLAGS


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
    define_shard_params()


@cli.flag_group("Machine")
def define_shard_params() -> None:
    """Whether a device may hold less than all parameters."""
    flags.DEFINE_string(
        "shard_params",
        "auto",
        "Over how many devices each parameter is split, a divisor of their number: 'never', a number, or "
        "'auto', which takes more than one only where a device is too small for the model.",
    )


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


def placement() -> Placement:
    """Where batches run, as the flags of `define_devices` and `define_processes` say.

    Raises:
      InputError: if --shard_params or --process is none of what it may be.
    """
    from jaxaudit.runtime.placement import Placement
    from jaxaudit.runtime.processes import which_process

    process = which_process(FLAGS.process if "process" in FLAGS else "")
    return Placement(FLAGS.batch_size, FLAGS.num_devices, FLAGS.parallelism, shard_params(), process)


def shard_params() -> int | Literal["auto"]:
    """What the flag of `define_shard_params` asks for.

    Raises:
      InputError: if it is none of what it may be.
    """
    asked = "1" if FLAGS.shard_params == "never" else FLAGS.shard_params
    if asked == "auto":
        return "auto"
    if not (asked.isascii() and asked.isdecimal() and 0 < len(asked) < 6 and int(asked)):
        raise InputError(f"--shard_params={asked} is not 'auto', 'never' or a number of devices.")
    return int(asked)


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

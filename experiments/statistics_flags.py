"""The flags that say how scores become a verdict, and what was fixed beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags
from rich.console import Console

from jaxaudit import cli
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_file
from jaxaudit.protocols import DEFAULT, PROTOCOLS, VALID_PROCEDURES, get_procedure, get_protocol

from . import machine_flags

if TYPE_CHECKING:
    from jaxaudit.audits.assess import AssessConfig
    from jaxaudit.audits.provenance import ProvenanceConfig
    from jaxaudit.results import Plan
    from jaxaudit.runtime.processes import Process

FLAGS = flags.FLAGS


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
        placement=machine_flags.placement(),
    )

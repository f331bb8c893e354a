"""Where the time of an audit goes: images per second of every stage, against this machine's matmul speed.

  jaxaudit benchmark --target=var_d16 --random_weights
  jaxaudit benchmark --target=dit_xl_2_256 --random_weights --access=gray --batch_size=1
  jaxaudit benchmark --suite=full --yardstick --out=benchmarks

A matrix product stands before and after every stage, and they are compared, so that a machine that is busy in
between slows both. FLOPs: matrix products and convolutions. --suite measures every family, and what a number
of pictures and devices costs; a killed run goes on. OUT/results.json, OUT/benchmarks.md and the figure.
--yardstick times a plain PyTorch program with the published pipeline's shape of work in turn with ours; it
needs `pip install jaxaudit[convert]`.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxaudit import cli
from jaxaudit.audits.benchmark.scoring import TimingConfig, measure_scoring
from jaxaudit.audits.benchmark.suite import SUITES, run_suite
from jaxaudit.checkpoint import random_target
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_file, check_folder
from jaxaudit.reports.benchmark.terminal import print_benchmark
from jaxaudit.reports.files import write_suite
from jaxaudit.results import write_results

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _RANDOM = flags.DEFINE_bool("random_weights", False, "Random weights in the shape of a released model.")
    _SUITE = flags.DEFINE_enum(
        "suite",
        None,
        list(SUITES),
        "Every family instead of one target: full, or quick, of built-in targets.",
    )
    _YARDSTICK = flags.DEFINE_bool("yardstick", False, "With --suite: rows beside plain PyTorch programs.")
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores of the whole step, as for `jaxaudit audit`.")
shared_flags.define_access()
with cli.flag_group("Timing"):
    _ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one to warm up.", lower_bound=1)
    _GEMM = flags.DEFINE_integer(
        "gemm", 4096, "Side of the square matrix product.", lower_bound=128, upper_bound=1 << 16
    )
shared_flags.define_seed()
machine_flags.define_devices(batch_size=4)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "A JSON file for the numbers; with --suite, a folder.")


def main(argv: Sequence[str]) -> None:
    """Times what the flags name."""
    del argv
    if suite := _SUITE.value:
        _suite(suite)
    elif _YARDSTICK.value:
        raise InputError("--yardstick adds rows to a suite; say --suite=full or --suite=quick.")
    else:
        _target()


def _suite(name: str) -> None:
    console, directory = cli.terminal(), check_folder(_OUT.value or "benchmarks")
    rows = SUITES[name]
    if _YARDSTICK.value:
        try:
            from .yardstick.pairs import PAIRS
        except ModuleNotFoundError as error:
            raise InputError(f"--yardstick needs {error.name}: pip install 'jaxaudit[convert]'.") from error
        rows = (*rows, *PAIRS[name])
    with reported(console, "Measuring", unit="rows") as progress:
        results = run_suite(rows, directory, progress=progress)
    for written in write_suite(results, directory):
        console.print(str(written), soft_wrap=True)


def _target() -> None:
    flag, console = flags.FLAGS, cli.terminal()
    if _OUT.value:
        check_file(_OUT.value)
    config = TimingConfig(
        scores=tuple(_SCORES.value),
        access=shared_flags.access(),
        rounds=_ROUNDS.value,
        side=_GEMM.value,
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    if _RANDOM.value:
        target = random_target(
            flag.target,
            seed=flag.seed,
            dtype=flag.precision,
            placement=config.placement,
            attention=flag.attention,
        )
    else:
        target = shared_flags.load(console)
    with reported(console, "Compiling and timing"):
        results = measure_scoring(target, config, precision=flag.precision)
    if _OUT.value:
        Path(_OUT.value).parent.mkdir(parents=True, exist_ok=True)
        write_results(_OUT.value, results)
    print_benchmark(results, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

"""Puts targets side by side: what each gives away, by size.

  jaxaudit compare --targets=digits_var,digits_rar,digits_mar

Every target is audited with the same pictures, in OUT/TARGET (an audit that is there already is continued),
beside one --reference, in OUT/reference; then a table, comparison.json, .csv and .tex, figures and
report.html show them together. Of five targets or more it also says what generating an image costs, and how
leakage goes with size, training and this cost (`jaxaudit train_family` makes such targets).
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.audits.assess import assess
from jaxaudit.audits.carry_out import carry_out
from jaxaudit.audits.collect import CollectConfig, prepare
from jaxaudit.audits.comparison import compared, comparison, generation_cost
from jaxaudit.audits.sides import check_sides, check_sizes
from jaxaudit.outputs import check_folder
from jaxaudit.reports.comparison.rows import print_comparison
from jaxaudit.reports.files import write_audit, write_comparison
from jaxaudit.reports.kit.skipped import print_copies, print_skipped
from jaxaudit.stats.correlation import FEWEST

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _TARGETS = flags.DEFINE_list(
        "targets", ["digits_var", "digits_rar", "digits_mar"], "Targets, in the order to show."
    )
shared_flags.define_data()
shared_flags.define_reference()
statistics_flags.define_statistics()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", "audits/comparison", "Where everything goes.")


def main(argv: Sequence[str]) -> None:
    """Audits the targets the flags name and compares them."""
    del argv
    flag, console, assess_config = flags.FLAGS, cli.terminal(), statistics_flags.assess_config()
    directory = check_folder(_OUT.value)
    paths = shared_flags.several_targets(_TARGETS.value)
    config = CollectConfig(
        scores=("all",),
        num_samples=flag.num_samples,
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    rows = []
    for name, path in paths.items():
        target, sides = shared_flags.load(console, path), shared_flags.open_sources(directory)
        check_sides(target, *sides)
        check_sizes(target, *sides, assess_config, num_samples=flag.num_samples)
        reference = shared_flags.load_reference(console, target, sides, directory)
        with reported(console, f"Preparing {name}", unit="images") as progress:
            prepared = prepare(target, *sides, config, progress=progress)
            evidence, beside = carry_out(
                prepared,
                directory / name / "evidence",
                assess_config,
                reference=reference,
                progress=progress,
            )
        with reported(console, f"Computing statistics of {name}"):
            results = assess(evidence, assess_config, reference=beside)
            cost = generation_cost(target) if len(paths) >= FEWEST else None
        write_audit(results, directory / name)
        print_skipped(results.skipped, console)
        print_copies(results.copies, console)
        rows.append(compared(results, cost))
    found = comparison(rows)
    print_comparison(found, console)
    for written in write_comparison(found, directory):
        console.print(str(written), soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

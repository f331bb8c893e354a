"""Recomputes statistics, verdict and report of an audit from its evidence alone; no model is loaded.

python -m experiments.verdict --evidence=audits/digits_var/evidence
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from rich.console import Console

from experiments import common
from experiments.reporting import show
from jaxaudit import cli
from jaxaudit.audits.assess import assess
from jaxaudit.evidence import Evidence

_EVIDENCE = flags.DEFINE_string("evidence", None, "Evidence folder of an audit.", required=True)
_OUT = flags.DEFINE_string("out", None, "Where the report goes; default beside the evidence.")
common.define_statistics()
common.define_seed()


def main(argv: Sequence[str]) -> None:
    """Assesses the evidence the flags name."""
    del argv
    evidence = Evidence.open(_EVIDENCE.value)
    directory = Path(_OUT.value) if _OUT.value else evidence.directory.parent
    show(assess(evidence, common.assess_config()), directory, Console())


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

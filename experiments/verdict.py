"""Recomputes statistics, verdict and report of an audit from its evidence alone; no model is loaded.

  jaxaudit verdict --evidence=audits/digits_var/evidence
  jaxaudit verdict --evidence=DIR --protocol=paper --out=DIR             the published procedure
  jaxaudit verdict --evidence=DIR/evidence --reference_evidence=DIR/reference
  jaxaudit verdict --evidence=DIR/evidence --known_evidence=DIR/known

Writes results.json, figures/ and report.html, beside the evidence unless --out says otherwise.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.audits.assess import assess
from jaxaudit.audits.plan import read_plan
from jaxaudit.data import check_labelled_alike
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence
from jaxaudit.outputs import check_folder
from jaxaudit.reports import print_results
from jaxaudit.reports.files import write_audit

from . import statistics_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _EVIDENCE = flags.DEFINE_string("evidence", None, "Evidence folder of an audit.", required=True)
    _REFERENCE_EVIDENCE = flags.DEFINE_string(
        "reference_evidence",
        None,
        "Evidence folder of a target that has not seen the members, of the same pictures.",
    )
    _KNOWN_EVIDENCE = flags.DEFINE_string(
        "known_evidence",
        None,
        "Evidence folder of known members, by which the share of P is estimated.",
    )
statistics_flags.define_statistics()
with cli.flag_group("Statistics"):
    _PLAN = flags.DEFINE_string("plan", None, "The plan that the evidence was collected under.")
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where the report goes; default beside the evidence.")


def main(argv: Sequence[str]) -> None:
    """Assesses the evidence the flags name."""
    del argv
    console, config = cli.terminal(), statistics_flags.assess_config()
    evidence = Evidence.open(_EVIDENCE.value)
    reference = Evidence.open(_REFERENCE_EVIDENCE.value) if _REFERENCE_EVIDENCE.value else None
    known = Evidence.open(_KNOWN_EVIDENCE.value) if _KNOWN_EVIDENCE.value else None
    plan = read_plan(_PLAN.value) if _PLAN.value else None
    if _PLAN.value and plan is None:
        raise InputError(f"--plan={_PLAN.value} is no file; without the plan leave the flag out.")
    directory = check_folder(_OUT.value or evidence.directory.parent)
    check_labelled_alike(*((evidence.request[side]["source"], evidence.read(side).labels) for side in SPLITS))
    with reported(console, "Computing statistics"):
        results = assess(evidence, config, reference=reference, known=known, plan=plan)
    write_audit(results, directory)
    print_results(results, console)
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

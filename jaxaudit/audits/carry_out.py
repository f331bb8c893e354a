"""From pictures that were looked at to the evidence of a verdict: as planned, and beside a reference."""

from __future__ import annotations

import dataclasses

from jaxaudit.audits.assess import AssessConfig
from jaxaudit.audits.collect import CollectConfig, Preparation, collect_evidence, compile_step
from jaxaudit.audits.plan import check_plan, make_plan
from jaxaudit.audits.reference import check_is_another
from jaxaudit.audits.request import target_request
from jaxaudit.audits.sides import check_independent, check_sides
from jaxaudit.data import Source
from jaxaudit.evidence import Evidence
from jaxaudit.paths import Location
from jaxaudit.results import Plan
from jaxaudit.runtime.ahead_of_time import Compiled
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """A target that has not seen the members, asked about the same pictures.

    Attributes:
      target: which.
      members, nonmembers: the pictures.
      directory: keeps its evidence; created if missing.
    """

    target: Target
    members: Source
    nonmembers: Source
    directory: Location

    def check(self, audited: Target) -> None:
        """Makes sure that it can stand beside the target that is audited.

        Raises:
          InputError: if it is that target, or labels do not mean its classes.
        """
        check_is_another(target_request(audited), target_request(self.target))
        check_sides(self.target, self.members, self.nonmembers)


def plan_audit(
    prepared: Preparation,
    config: AssessConfig,
    *,
    reference: Reference | None = None,
    known: Preparation | None = None,
    previous: str | None = None,
) -> Plan:
    """The plan to score these pictures and to judge by these rules; nothing is scored.

    Args:
      prepared: the pictures and the request.
      config: the rules.
      reference: what stands beside.
      known: known members (`jaxaudit.audits.known`).
      previous: fingerprint of the last question that was asked before, None for the first.

    Raises:
      InputError: if too few pictures are independent, or the reference does not fit.
    """
    check_independent(prepared.target, prepared.clusters, config)
    beside = None
    if reference is not None:
        reference.check(prepared.target)
        beside = target_request(reference.target)
    members = None if known is None else known.request["members"]
    return make_plan(prepared.request, config.named(), reference=beside, known=members, previous=previous)


def carry_out(
    prepared: Preparation,
    directory: Location,
    config: AssessConfig,
    *,
    reference: Reference | None = None,
    known: Preparation | None = None,
    plan: Plan | None = None,
    previous: str | None = None,
    progress: Progress = silent,
) -> tuple[Evidence, Evidence | None]:
    """Evidence of the target, in `directory`, and of the reference; both are continued if they are there.

    The reference is asked all its scores of the literature, whatever the target is asked.

    Args:
      prepared: the pictures and the request.
      directory: created if missing.
      config, reference, known, previous: as `plan_audit`; the known members are not scored here.
      plan: what was fixed beforehand; None if nothing was.
      progress: hears of images.

    Raises:
      InputError: if this is not what was planned, or as `collect_evidence`; before anything is scored if the
        plan or the reference does not fit.
    """
    wanted = plan_audit(prepared, config, reference=reference, known=known, previous=previous)
    if plan is not None:
        check_plan(plan, wanted)
    evidence = prepared.score(directory, plan=plan, progress=progress)
    if reference is None:
        return evidence, None
    beside = collect_evidence(
        reference.target,
        reference.members,
        reference.nonmembers,
        reference.directory,
        _of_reference(prepared.config),
        progress=progress,
    )
    return evidence, beside


def compile_steps(
    target: Target,
    members: Source,
    nonmembers: Source,
    config: CollectConfig,
    *,
    reference: Reference | None = None,
) -> dict[str, Compiled]:
    """{name of a target: what `carry_out` will run for it}, compiled for these devices; nothing is scored.

    Raises:
      InputError: as `jaxaudit.audits.collect.compile_step`.
    """
    compiled = {target.name: compile_step(target, members, nonmembers, config)}
    if reference is not None:
        sides = reference.members, reference.nonmembers
        compiled[reference.target.name] = compile_step(reference.target, *sides, _of_reference(config))
    return compiled


def _of_reference(config: CollectConfig) -> CollectConfig:
    return dataclasses.replace(config, scores=("default",), options=None)

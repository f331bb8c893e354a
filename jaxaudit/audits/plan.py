"""What will be done, written down before any picture is scored: then nothing is left to choose afterwards.

A plan is a file (`jaxaudit.results.Plan`): the request that the evidence will have, the reference, the rules
of the test. The sha256 of all of it is its fingerprint, from which the seed of the tests follows. Evidence
says under which plan it was begun, and a plan that it was not begun under does not count.

The date in a plan is that of a clock that anybody can set. Who wants to prove when a plan was made gives its
fingerprint to somebody else before the pictures are scored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jaxaudit import stats
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence
from jaxaudit.evidence.claims import differences
from jaxaudit.files import write_once
from jaxaudit.paths import Location, as_place, is_there, make_folder
from jaxaudit.results import Plan, Planned, encode, read_results, replace, to_plain
from jaxaudit.seals import json_sha256

_SHOWN = 4  # differences that a sentence names


def make_plan(
    request: Mapping[str, Any],
    rules: Mapping[str, Any],
    *,
    reference: Mapping[str, Any] | None = None,
    known: Mapping[str, Any] | None = None,
    previous: str | None = None,
) -> Plan:
    """The plan to score what this request names and to judge by these rules.

    Args:
      request: of the evidence, from `jaxaudit.audits.collect.prepare`.
      rules: `AssessConfig.named`.
      reference: what a request says of the reference target, None without one.
      known: what a request says of known members, None without.
      previous: fingerprint of the last question that was asked before, None for the first.
    """
    plan = Plan(
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        request=json.loads(json.dumps(request)),
        reference=None if reference is None else dict(reference),
        known=None if known is None else dict(known),
        level=stats.GATE_LEVEL,
        permutations=stats.PERMUTATIONS,
        previous=previous,
        fingerprint="",
        **rules,
    )
    return replace(plan, fingerprint=_fingerprint(plan))


def write_plan(path: Location, plan: Plan) -> None:
    """Writes the plan to a file that is not there yet.

    Raises:
      InputError: if something is there by now.
    """
    file = as_place(path)
    make_folder(file.parent)
    if not write_once(file, encode(plan)):
        raise InputError(f"{path} is there by now; plan in another file.")


def read_plan(path: Location) -> Plan | None:
    """The plan in a file; None if there is no such file.

    Raises:
      InputError: if the file holds no plan, or one that was changed since it was written.
    """
    if not is_there(as_place(path)):
        return None
    plan = read_results(path, Plan)
    if plan.fingerprint != _fingerprint(plan):
        raise InputError(f"{path} has been changed since it was written: its fingerprint does not match.")
    return plan


def check_plan(plan: Plan, wanted: Plan) -> None:
    """Makes sure that what is to be done is what was planned.

    Raises:
      InputError: naming what differs.
    """
    found, now = (
        {name: value for name, value in to_plain(each).items() if name not in ("written", "fingerprint")}
        for each in (plan, wanted)
    )
    if differ := list(differences(found, now)):
        more = f"; and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise InputError(
            f"This is not what the plan {plan.fingerprint[:16]} says ({'; '.join(differ[:_SHOWN])}{more}); "
            "carry out what was planned, or make another plan in another file."
        )


def planned(
    plan: Plan,
    evidence: Evidence,
    rules: Mapping[str, Any],
    *,
    reference: Evidence | None = None,
    known: Evidence | None = None,
) -> Planned:
    """What results say of the plan that `evidence` was collected under, or was not.

    Raises:
      InputError: if the plan is of other evidence, another reference, other known members or other rules.
    """
    wanted = make_plan(
        {name: value for name, value in evidence.request.items() if name in plan.request},
        rules,
        reference=None if reference is None else reference.request["target"],
        known=None if known is None else known.request["members"],
        previous=plan.previous,
    )
    check_plan(plan, wanted)
    return Planned(plan.fingerprint, plan.written, evidence.run.get("plan") == plan.fingerprint)


def remark(plan: Planned | None, *, seed: int | None) -> str:
    """What a finding has to say of the plan, and of a seed that was chosen."""
    if plan is None:
        words = "Not planned beforehand."
    elif plan.beforehand:
        words = f"Planned before scoring (fingerprint {plan.fingerprint[:16]})."
    else:
        words = (
            f"Not planned beforehand: scoring was begun without the plan {plan.fingerprint[:16]}, which "
            "does not count."
        )
    return words if seed is None else f"{words} Seed {seed} of the tests was chosen by hand."


def _fingerprint(plan: Plan) -> str:
    return json_sha256({name: value for name, value in to_plain(plan).items() if name != "fingerprint"})

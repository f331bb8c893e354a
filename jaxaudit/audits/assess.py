"""From evidence on disk to results: every statistic of an audit, without the model.

Needs only the files, so a verdict can be recomputed, by anyone, under another protocol or significance level.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.audits import tested
from jaxaudit.audits.independent import independent, one_of_each, without_copies
from jaxaudit.audits.known import read_known
from jaxaudit.audits.plan import planned, remark
from jaxaudit.audits.reference import check_is_another, num_reference, with_reference
from jaxaudit.data.duplicates import check_disjoint
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence, Table
from jaxaudit.protocols import DEFAULT, SPLIT, Procedure, Protocol, get_procedure, get_protocol
from jaxaudit.results import (
    AuditResults,
    DatasetInference,
    Finding,
    Histogram,
    Identification,
    NullControl,
    Plan,
    Planned,
    PowerCurve,
    ScoreFacts,
    replace,
)
from jaxaudit.stats.inputs import check_fraction
from jaxaudit.stats.welch import check_permutations

_HISTOGRAM_BINS = 40


@dataclasses.dataclass(frozen=True)
class AssessConfig:
    """How scores become a verdict.

    Attributes:
      protocol: the rules (`jaxaudit.protocols`), or their name.
      alpha: significance level of every test.
      power: share of draws that must reject for a number of samples to be enough.
      procedure: how CDI, the dataset inference of diffusion models, holds samples out, unless the protocol
        says so itself; or its name.
      seed: of splits, permutations and draws; None takes one that follows from the plan, or from the evidence
        where there is none, so that nobody can look for a lucky one.

    Raises:
      InputError: for a name of no protocol or procedure, an alpha that is no level, or one that the
        permutations of a verdict, or of the procedure, cannot show.
    """

    protocol: Protocol = DEFAULT
    alpha: float = 0.01
    power: float = 0.8
    procedure: Procedure = SPLIT
    seed: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "protocol", get_protocol(self.protocol))
        object.__setattr__(self, "procedure", get_procedure(self.procedure))
        check_fraction(self.alpha, "alpha")
        if self.protocol.gives_verdict:
            of_cdi = self.cdi.permutations or stats.PERMUTATIONS
            check_permutations(self.alpha, min(stats.PERMUTATIONS, of_cdi))

    def named(self) -> dict[str, Any]:
        """The fields as files say them: rules by their names."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"protocol": self.protocol.name, "procedure": self.procedure.name}

    def seeded(self, evidence: Evidence, sides: Sequence[Table], plan: Planned | None = None) -> AssessConfig:
        """This with a seed: as given, else the first 32 bits of the fingerprint of the plan that the evidence
        was collected under, else of the sha256 of what is tested: the model, the scores that enter dataset
        inference, and the pictures of both sides with their classes, in no order. What changes none of these
        changes no seed.
        """
        if self.seed is not None:
            return self
        pictures = [sorted(zip(side.digests.tolist(), side.labels.tolist(), strict=True)) for side in sides]
        sets = evidence.request["feature_sets"].values()
        scores = sorted({name for views in sets for names in views.values() for name in names})
        asked = [evidence.request["target"], scores, pictures]
        whole = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        fixed = plan.fingerprint if plan and plan.beforehand else whole
        return dataclasses.replace(self, seed=int(fixed[:8], 16))

    @property
    def cdi(self) -> Procedure:
        """The procedure of CDI that is followed."""
        return self.protocol.procedure or self.procedure


def assess(
    evidence: Evidence,
    config: AssessConfig = AssessConfig(),
    *,
    reference: Evidence | None = None,
    known: Evidence | None = None,
    plan: Plan | None = None,
) -> AuditResults:
    """Membership inference, dataset inference, power and verdict of one audit.

    Protocols that give a verdict leave altered copies across the sides out, and count what hangs together
    within one as one (`jaxaudit.stats.clusters`). Membership inference is of single pictures: the first of
    each cluster, so that no score is fitted, chosen or measured on two copies of one.

    Args:
      evidence: scores of both sides.
      config: how they become a verdict.
      reference: evidence of the same pictures from a target that has not seen the members. Its scores stand
        among what a picture is without the model in question: the gate compares them, the test adjusts for
        them. Only so a difference between the sets is caught that no feature of the pictures shows.
      known: scores of pictures known to be members (`jaxaudit.audits.known`), by which the share of P that
        was trained on is estimated; None without.
      plan: what was fixed beforehand; None if nothing was.

    Raises:
      InputError: if the evidence is incomplete or damaged, members and nonmembers share pictures, the
        reference is of other pictures or the target itself, the plan is another one, a score is not finite,
        there are too few samples, or as `jaxaudit.audits.known.read_known`.
    """
    protocol, chosen_seed = config.protocol, config.seed
    if known is not None and not protocol.gives_verdict:
        raise InputError(f"protocol={protocol.name!r} estimates no share by known members; leave them out.")
    if reference is not None:
        check_is_another(evidence.request["target"], reference.request["target"])
    under = (
        None if plan is None else planned(plan, evidence, config.named(), reference=reference, known=known)
    )
    members, nonmembers = evidence.read("members"), evidence.read("nonmembers")
    config = config.seeded(evidence, (members, nonmembers), under)
    seed = config.named()["seed"]
    check_disjoint(_digests(members), _digests(nonmembers))
    if reference is not None:
        members, nonmembers = (
            with_reference(table, reference, split)
            for table, split in zip((members, nonmembers), SPLITS, strict=True)
        )
    if protocol.equal_sizes:
        size, rng = min(len(members), len(nonmembers)), np.random.default_rng(seed)
        members, nonmembers = (_draw(table, size, rng) for table in (members, nonmembers))
    counted = singles = (members, nonmembers)
    described = {}
    if protocol.gives_verdict:
        copies = dict(zip(SPLITS, map(_copies, counted), strict=True))
        members, nonmembers = without_copies(members, nonmembers)
        counted, singles = independent(members, nonmembers), one_of_each(members, nonmembers)
        described = {
            split: {"num_independent": len(table), "copies": copies[split]}
            for split, table in zip(SPLITS, counted, strict=True)
        }
    by_members = None
    if known is not None:
        r = stats.smallest_cluster(members.clusters, nonmembers.clusters)
        by_members = read_known(known, evidence, r)
    scores = tested.scores(evidence)
    views = _by_view(scores, protocol)
    if not views:
        raise InputError(
            f"The evidence holds no score for --protocol={protocol.name}: "
            f"{'none' if protocol.published_scores else 'each'} of its scores is a published one (_ref)."
        )
    if protocol.gives_verdict:
        rng = np.random.default_rng(seed)
        counted = _at_most(counted[0], rng), _at_most(counted[1], rng)
    found = _infer(*counted, by_members, evidence, config)
    if protocol.gives_verdict:
        words = f"{found['finding'].sentence} {remark(under, seed=chosen_seed)}"
        found["finding"] = replace(found["finding"], sentence=words)
    candidates = [name for names in views.values() for name in names]
    fits = {name: info.get("fit", "logistic") for name, info in evidence.request["score_info"].items()}
    member_scores, nonmember_scores = _scores(*singles, candidates, fits, seed)
    membership = stats.membership_inference(
        member_scores, nonmember_scores, protocol=protocol, groups=views, seed=seed
    )
    return AuditResults(
        **config.named(),
        seed_given=chosen_seed is not None,
        plan=under,
        known=None
        if known is None or by_members is None
        else tested.images(known, "members", {"num_independent": len(by_members)}),
        reference=tested.target(reference) if reference is not None else None,
        scores=scores,
        membership=membership,
        histograms={
            name: _histogram(member_scores[name], nonmember_scores[name])
            for name in membership.groups.values()
        },
        **tested.facts(evidence, described),
        **found,
    )


def _scores(
    members: Table, nonmembers: Table, names: Sequence[str], fits: Mapping[str, Any], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The named scores of both sides; those that must be fitted are, for membership inference by `seed`."""
    sides: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
    for name in names:
        if name in members.features:
            features = members.features[name], nonmembers.features[name]
            pair = stats.fitted_scores(*features, fit=fits[name], seed=seed)
        else:
            pair = members.scores[name], nonmembers.scores[name]
        for side, values in zip(sides, pair, strict=True):
            side[name] = values
    return sides


def _infer(
    members: Table, nonmembers: Table, known: Table | None, evidence: Evidence, config: AssessConfig
) -> dict[str, Any]:
    """About the set as a whole: the verdict, which rests on the scores of all views, and the test of each."""
    protocol, inference = config.protocol, evidence.request["inference"]
    feature_sets = evidence.request["feature_sets"][protocol.name]
    features = {
        view: (members.matrix(names), nonmembers.matrix(names)) for view, names in feature_sets.items()
    }
    main_view = evidence.request["main_view"]
    main_view = main_view if main_view in features else next(iter(features))
    conditions: dict[str, Any] = {"p_blind": members.blind, "u_blind": nonmembers.blind, "seed": config.seed}
    if labelled := bool(evidence.request["target"]["num_classes"]):
        conditions |= {"p_labels": members.labels, "u_labels": nonmembers.labels}
    tests: dict[str, DatasetInference | Identification] = {}
    curves: dict[str, PowerCurve] = {}
    test = control = sensitivity = individuals = usage = None
    if protocol.gives_verdict:
        names = [name for group in feature_sets.values() for name in group]
        verdict = stats.verdict(
            members.matrix(names),
            nonmembers.matrix(names),
            names=names,
            num_reference=num_reference(members),
            p_ids=members.sample_ids.tolist(),
            known=None
            if known is None
            else stats.KnownMembers(known.matrix(names), known.blind, known.labels if labelled else None),
            alpha=config.alpha,
            **conditions,
        )
        finding, test = verdict.finding, verdict.test
        sensitivity, individuals, gate = verdict.sensitivity, verdict.individuals, test.gate
        usage = verdict.usage
    else:
        gate, finding = stats.blind_gate(**conditions), Finding("paper", protocol.statement or "")
    if finding.status != "not_testable":
        for view, (p, u) in features.items():
            tests[view], curves[view] = _INFERENCES[inference](p, u, feature_sets[view], config)
    if protocol.gives_verdict and tests:
        control = _CONTROLS[inference](
            features[main_view][1],
            len(members),
            feature_sets[main_view],
            config.alpha,
            config.named()["seed"],
        )
    return {
        "main_view": main_view,
        "finding": finding,
        "gate": gate,
        "test": test,
        "sensitivity": sensitivity,
        "individuals": individuals,
        "usage": usage,
        "null_control": control,
        "dataset_inference": tests or None,
        "power_curves": curves or None,
    }


def _sum_of_scores(
    p: np.ndarray, u: np.ndarray, names: Sequence[str], config: AssessConfig
) -> tuple[DatasetInference, PowerCurve]:
    described = {"protocol": config.protocol, "names": names, "alpha": config.alpha, "seed": config.seed}
    return (
        stats.dataset_inference(p, u, **described),
        stats.power_curve(p, u, power=config.power, **described),
    )


def _copyrighted_data_identification(
    p: np.ndarray, u: np.ndarray, names: Sequence[str], config: AssessConfig
) -> tuple[Identification, PowerCurve]:
    p_named, u_named = (dict(zip(names, side.T, strict=True)) for side in (p, u))
    described = {"procedure": config.cdi, "alpha": config.alpha, "seed": config.seed}
    return (
        stats.identify(p_named, u_named, **described),
        stats.identification_power(p_named, u_named, power=config.power, **described),
    )


def _summed_control(u: np.ndarray, num_p: int, names: Sequence[str], alpha: float, seed: int) -> NullControl:
    return stats.null_control(u, num_p=num_p, names=names, alpha=alpha, seed=seed)


def _learned_control(u: np.ndarray, num_p: int, names: Sequence[str], alpha: float, seed: int) -> NullControl:
    return stats.identification_null_control(u, num_p=num_p, names=names, alpha=alpha, seed=seed)


_CONTROLS = {"sum": _summed_control, "cdi": _learned_control}
"""Unseen against unseen images, by the test of a view."""
_INFERENCES = {"sum": _sum_of_scores, "cdi": _copyrighted_data_identification}
"""Dataset inference by the name that evidence gives it."""


def _digests(table: Table) -> dict[str, str]:
    return dict(zip(table.sample_ids, table.digests, strict=True))


def _copies(table: Table) -> dict[str, str]:
    """{id: the picture of the other side that it is an altered copy of}."""
    rows = np.flatnonzero(table.copy_of != "")
    return dict(zip(table.sample_ids[rows].tolist(), table.copy_of[rows].tolist(), strict=True))


def _draw(table: Table, size: int, rng: np.random.Generator) -> Table:
    return table.take(np.sort(rng.choice(len(table), size, replace=False)))


def _at_most(table: Table, rng: np.random.Generator) -> Table:
    """The table, or as many rows of it as are tested."""
    return _draw(table, min(len(table), stats.MOST), rng)


def _by_view(scores: Mapping[str, ScoreFacts], protocol: Protocol) -> dict[str, list[str]]:
    """The candidates of each view."""
    chosen = [name for name, facts in scores.items() if protocol.takes(facts.reproduces_published_code)]
    views = dict.fromkeys(name.rpartition("/")[0] for name in chosen)
    return {view: [name for name in chosen if name.rpartition("/")[0] == view] for view in views}


def _histogram(members: np.ndarray, nonmembers: np.ndarray) -> Histogram:
    """Counts of both sides in common bins between the 0.5% and 99.5% quantiles, outliers in the outer."""
    pooled = np.concatenate([members, nonmembers])
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    counts = (np.histogram(np.clip(side, low, high), edges)[0].tolist() for side in (members, nonmembers))
    return Histogram(tuple(edges.tolist()), *map(tuple, counts))

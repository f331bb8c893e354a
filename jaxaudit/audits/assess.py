"""From evidence on disk to results: every statistic of an audit, without the model.

Needs only the files, so a verdict can be recomputed, by anyone, under another protocol or significance level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.audits import tested
from jaxaudit.data.duplicates import check_disjoint
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Table
from jaxaudit.protocols import DEFAULT, SPLIT, Procedure, Protocol, get_procedure, get_protocol
from jaxaudit.results import (
    AuditResults,
    DatasetInference,
    Finding,
    Histogram,
    Identification,
    PowerCurve,
    ScoreFacts,
)

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
      seed: of splits, permutations and draws.

    Raises:
      InputError: for a name of no protocol or procedure.
    """

    protocol: Protocol = DEFAULT
    alpha: float = 0.01
    power: float = 0.8
    procedure: Procedure = SPLIT
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "protocol", get_protocol(self.protocol))
        object.__setattr__(self, "procedure", get_procedure(self.procedure))

    def named(self) -> dict[str, Any]:
        """The fields as files say them: rules by their names."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"protocol": self.protocol.name, "procedure": self.procedure.name}

    @property
    def cdi(self) -> Procedure:
        """The procedure of CDI that is followed."""
        return self.protocol.procedure or self.procedure


def assess(evidence: Evidence, config: AssessConfig = AssessConfig()) -> AuditResults:
    """Membership inference, dataset inference, power and verdict of one audit.

    Raises:
      InputError: if the evidence is incomplete or damaged, members and nonmembers share pictures, a score is
        constant or not finite, or there are too few samples.
    """
    protocol = config.protocol
    members, nonmembers = evidence.read("members"), evidence.read("nonmembers")
    check_disjoint(_digests(members), _digests(nonmembers))
    if protocol.equal_sizes:
        size, rng = min(len(members), len(nonmembers)), np.random.default_rng(config.seed)
        members, nonmembers = (_draw(table, size, rng) for table in (members, nonmembers))
    scores = tested.scores(evidence)
    views = _by_view(scores, protocol)
    if not views:
        raise InputError(
            f"The evidence holds no score for --protocol={protocol.name}: "
            f"{'none' if protocol.published_scores else 'each'} of its scores is a published one (_ref)."
        )
    candidates = [name for names in views.values() for name in names]
    member_scores, nonmember_scores = _scores(members, nonmembers, candidates, config.seed)
    membership = stats.membership_inference(
        member_scores, nonmember_scores, protocol=protocol, groups=views, seed=config.seed
    )
    return AuditResults(
        **config.named(),
        scores=scores,
        membership=membership,
        histograms={
            name: _histogram(member_scores[name], nonmember_scores[name])
            for name in membership.groups.values()
        },
        **tested.facts(evidence),
        **_infer(members, nonmembers, evidence, config),
    )


def _scores(
    members: Table, nonmembers: Table, names: Sequence[str], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The named scores of both sides; those that must be fitted are, for membership inference by `seed`."""
    sides: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
    for name in names:
        if name in members.features:
            pair = stats.fitted_scores(members.features[name], nonmembers.features[name], seed=seed)
        else:
            pair = members.scores[name], nonmembers.scores[name]
        for side, values in zip(sides, pair, strict=True):
            side[name] = values
    return sides


def _infer(members: Table, nonmembers: Table, evidence: Evidence, config: AssessConfig) -> dict[str, Any]:
    """About the set as a whole: gate, tests, power, and the verdict, which rests on the main view."""
    protocol, inference = config.protocol, evidence.request["inference"]
    feature_sets = evidence.request["feature_sets"][protocol.name]
    options = {"alpha": config.alpha, "seed": config.seed}
    features = {
        view: (members.matrix(names), nonmembers.matrix(names)) for view, names in feature_sets.items()
    }
    main_view = evidence.request["main_view"]
    main_view = main_view if main_view in features else next(iter(features))
    if protocol.gives_verdict:
        verdict = stats.verdict(
            *features[main_view],
            p_blind=members.blind,
            u_blind=nonmembers.blind,
            names=feature_sets[main_view],
            procedure=config.cdi if inference == "cdi" else None,
            **options,
        )
        gate, control, testable = verdict.gate, verdict.null_control, verdict.status != "not_testable"
        finding = Finding(verdict.status, verdict.sentence)
    else:
        gate, control, testable = stats.blind_gate(members.blind, nonmembers.blind, **options), None, True
        finding = Finding("paper", protocol.statement or "")
    tests: dict[str, DatasetInference | Identification] = {}
    curves: dict[str, PowerCurve] = {}
    for view, (p, u) in features.items() if testable else ():
        tests[view], curves[view] = _INFERENCES[inference](p, u, feature_sets[view], config)
    return {
        "main_view": main_view,
        "finding": finding,
        "gate": gate,
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


_INFERENCES = {"sum": _sum_of_scores, "cdi": _copyrighted_data_identification}
"""Dataset inference by the name that evidence gives it."""


def _digests(table: Table) -> dict[str, str]:
    return dict(zip(table.sample_ids, table.digests, strict=True))


def _draw(table: Table, size: int, rng: np.random.Generator) -> Table:
    return table.take(np.sort(rng.choice(len(table), size, replace=False)))


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

"""From evidence on disk to results: every statistic of an audit, without the model.

Needs only the files, so a verdict can be recomputed, by anyone, under another protocol or significance level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.data.duplicates import check_disjoint
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence, Table

RESULTS_FORMAT = 1
_HISTOGRAM_BINS = 40
_PAPER_SENTENCE = (
    "This reproduces the published procedure, for comparison with published tables. It is no verdict: the "
    "best score is picked on the data it is reported on, the test is two-sided, and no blind baseline is "
    "required to fail."
)


@dataclasses.dataclass(frozen=True)
class AssessConfig:
    """How scores become a verdict.

    Attributes:
      protocol: "default", or "paper" for the published procedure.
      alpha: significance level of every test.
      power: share of draws that must reject for a number of samples to be enough.
      procedure: how CDI holds samples out, "split" or "permutation"; it is the dataset inference of diffusion
        models (see `jaxaudit.stats.identify`).
      seed: of splits, permutations and draws.
    """

    protocol: str = "default"
    alpha: float = 0.01
    power: float = 0.8
    procedure: str = "split"
    seed: int = 0


def assess(evidence: Evidence, config: AssessConfig = AssessConfig()) -> dict[str, Any]:
    """Membership inference, dataset inference, power and verdict of one audit, as plain JSON-able data.

    Raises:
      InputError: if the evidence is incomplete or damaged, members and nonmembers share pictures, a score is
        constant or not finite, or there are too few samples.
    """
    members, nonmembers = evidence.read("members"), evidence.read("nonmembers")
    check_disjoint(_digests(members), _digests(nonmembers))
    if config.protocol == "paper":  # the published procedure takes as many members as nonmembers
        size, rng = min(len(members), len(nonmembers)), np.random.default_rng(config.seed)
        members, nonmembers = (_draw(table, size, rng) for table in (members, nonmembers))
    views = _by_view(evidence.request["score_info"], config.protocol)
    if not views:
        raise InputError(
            f"The evidence holds no score for --protocol={config.protocol}: "
            f"{'none' if config.protocol == 'paper' else 'each'} of its scores is a published one (_ref)."
        )
    candidates = [name for names in views.values() for name in names]
    member_scores, nonmember_scores = _scores(members, nonmembers, candidates, config.seed)
    membership = stats.membership_inference(
        member_scores, nonmember_scores, protocol=config.protocol, groups=views, seed=config.seed
    )
    return {
        "format": RESULTS_FORMAT,
        **dataclasses.asdict(config),
        "request": {
            **evidence.request,
            "versions": {"jaxaudit": evidence.run["jaxaudit"], **evidence.request["versions"]},
            "git_commit": evidence.run["git_commit"],
        },
        "num_rows": dict(evidence.num_rows),
        "run": dict(evidence.run),
        "score_info": dict(evidence.request["score_info"]),
        "membership": membership.to_dict(),
        "histograms": {
            name: _histogram(member_scores[name], nonmember_scores[name])
            for name in membership.groups.values()
        },
        **_infer(members, nonmembers, evidence.request, config),
    }


def _scores(
    members: Table, nonmembers: Table, names: Sequence[str], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The named scores of both sides; those that must be fitted are, for membership inference by `seed`."""
    sides = {}, {}
    for name in names:
        if name in members.features:
            pair = stats.fitted_scores(members.features[name], nonmembers.features[name], seed=seed)
        else:
            pair = members.scores[name], nonmembers.scores[name]
        for side, values in zip(sides, pair, strict=True):
            side[name] = values
    return sides


def _infer(
    members: Table, nonmembers: Table, request: Mapping[str, Any], config: AssessConfig
) -> dict[str, Any]:
    """About the set as a whole: gate, tests, power, and the verdict, which rests on the main view."""
    feature_sets = request["feature_sets"][config.protocol]
    options = {"alpha": config.alpha, "seed": config.seed}
    features = {
        view: (members.matrix(names), nonmembers.matrix(names)) for view, names in feature_sets.items()
    }
    main_view = request["main_view"] if request["main_view"] in features else next(iter(features))
    inference = _INFERENCES[request["inference"]]
    if config.protocol == "default":
        verdict = stats.verdict(
            *features[main_view],
            p_blind=members.blind,
            u_blind=nonmembers.blind,
            names=feature_sets[main_view],
            procedure="sum" if request["inference"] == "sum" else config.procedure,
            **options,
        )
        gate, control, testable = verdict.gate, verdict.null_control, verdict.status != "not_testable"
        words = {"status": verdict.status, "sentence": verdict.sentence}
    else:
        gate, control, testable = stats.blind_gate(members.blind, nonmembers.blind, **options), None, True
        words = {"status": "paper", "sentence": _PAPER_SENTENCE}
    tests, curves = {}, {}
    for view, (p, u) in features.items() if testable else ():
        test, curve = inference(p, u, feature_sets[view], config)
        tests[view], curves[view] = test.to_dict(), curve.to_dict()
    return {
        "main_view": main_view,
        "verdict": words,
        "gate": gate.to_dict(),
        "null_control": control.to_dict() if control else None,
        "dataset_inference": tests or None,
        "power_curves": curves or None,
    }


def _sum_of_scores(
    p: np.ndarray, u: np.ndarray, names: Sequence[str], config: AssessConfig
) -> tuple[stats.DatasetInference, stats.PowerCurve]:
    described = {"protocol": config.protocol, "names": names, "alpha": config.alpha, "seed": config.seed}
    return (
        stats.dataset_inference(p, u, **described),
        stats.power_curve(p, u, power=config.power, **described),
    )


def _copyrighted_data_identification(
    p: np.ndarray, u: np.ndarray, names: Sequence[str], config: AssessConfig
) -> tuple[stats.Identification, stats.PowerCurve]:
    of_p, of_u = (dict(zip(names, side.T, strict=True)) for side in (p, u))
    procedure = "paper" if config.protocol == "paper" else config.procedure
    options = {"alpha": config.alpha, "seed": config.seed}
    drawn = "paper" if config.protocol == "paper" else "split"  # what "permutation" needs is no more
    return (
        stats.identify(of_p, of_u, procedure=procedure, **options),
        stats.identification_power(of_p, of_u, procedure=drawn, power=config.power, **options),
    )


_INFERENCES = {"sum": _sum_of_scores, "cdi": _copyrighted_data_identification}
"""Dataset inference by the name that evidence gives it."""


def _digests(table: Table) -> dict[str, str]:
    return dict(zip(table.sample_ids, table.digests, strict=True))


def _draw(table: Table, size: int, rng: np.random.Generator) -> Table:
    return table.take(np.sort(rng.choice(len(table), size, replace=False)))


def _by_view(score_info: Mapping[str, Mapping[str, Any]], protocol: str) -> dict[str, list[str]]:
    """The candidates of each view: the literature's scores, or the published code's under "paper"."""
    chosen = [name for name, info in score_info.items() if info["published"] == (protocol == "paper")]
    views = dict.fromkeys(name.rpartition("/")[0] for name in chosen)
    return {view: [name for name in chosen if name.rpartition("/")[0] == view] for view in views}


def _histogram(members: np.ndarray, nonmembers: np.ndarray) -> dict[str, list[float]]:
    """Counts of both sides in common bins between the 0.5% and 99.5% quantiles, outliers in the outer."""
    pooled = np.concatenate([members, nonmembers])
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in (members, nonmembers)]
    return {"edges": edges.tolist(), "members": counts[0].tolist(), "nonmembers": counts[1].tolist()}

"""The verdict on a set P: blind gate, dataset inference, null control, and the sentence to quote.

1. If the blind gate tells P from U, nothing is concluded: "not_testable".
2. Otherwise dataset inference: "trained_on" if it rejects, else "no_evidence", which shows no absence. Its
   statistic is the sum of the scores, or that of CDI, a scorer that learns how to weigh them (`identify`).
3. Beside either stands the null control: how often the same test accuses nonmembers.

A model that has not seen P is accused with probability at most alpha, provided that the samples are
independent and that P and U come from one distribution, which is what the gate checks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.protocols import Procedure, get_procedure
from jaxaudit.results import DatasetInference, Gate, Identification, Interval, NullControl
from jaxaudit.results.audit import Status
from jaxaudit.stats.cdi.identification import identify
from jaxaudit.stats.dataset_inference import dataset_inference
from jaxaudit.stats.gate import blind_gate
from jaxaudit.stats.inputs import feature_matrices
from jaxaudit.stats.null_control import identification_null_control, null_control


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of `verdict`.

    Attributes:
      status: "trained_on", "no_evidence" or "not_testable".
      sentence: the result in words, with p-value, effect, sizes and alpha.
      alpha: the significance level of gate and test.
      gate: the blind gate.
      dataset_inference: None if not testable.
      null_control: None if not testable.
    """

    status: Status
    sentence: str
    alpha: float
    gate: Gate
    dataset_inference: DatasetInference | Identification | None
    null_control: NullControl | None


def verdict(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    *,
    p_blind: Float[np.ndarray, "n K"],
    u_blind: Float[np.ndarray, "m K"],
    names: Sequence[str] | None = None,
    procedure: Procedure | str | None = None,
    alpha: float = 0.01,
    seed: int = 0,
) -> Verdict:
    """Gate, test and control under the default protocol.

    Args:
      p_features: [n,F] scores of P, higher = more likely a member.
      u_features: [m,F] scores of U, images the model has not seen.
      p_blind: [n,K] features of P that never saw the model.
      u_blind: [m,K] features of U that never saw the model.
      names: of the F scores.
      procedure: None for `dataset_inference`; a valid one, or its name, for `identify`, with the control of
        `SPLIT` either way.
      alpha: significance level.
      seed: of everything random.

    Raises:
      InputError: as `blind_gate`, the test and its null control.
    """
    procedure = get_procedure(procedure) if procedure is not None else None
    gate = blind_gate(p_blind, u_blind, alpha=alpha, seed=seed)
    if not gate.passed:
        return Verdict(
            status="not_testable",
            sentence=_not_testable(gate),
            alpha=alpha,
            gate=gate,
            dataset_inference=None,
            null_control=None,
        )
    options = {"alpha": alpha, "seed": seed}
    if procedure is None:
        test = dataset_inference(p_features, u_features, names=names, **options)
        control = null_control(u_features, num_p=test.num_p, names=names, **options)
        statistic = f"one-sided test on the sum of {len(test.names)} scores"
    else:
        p, u, names = feature_matrices(p_features, u_features, names)
        p_named, u_named = (dict(zip(names, side.T, strict=True)) for side in (p, u))
        test = identify(p_named, u_named, procedure=procedure, **options)
        control = identification_null_control(u, num_p=test.num_p, names=names, **options)
        statistic = _scorer(test, procedure)
    return Verdict(
        status="trained_on" if test.rejected else "no_evidence",
        sentence=" ".join([_finding(test, statistic), _comparable(gate), _control(control)]),
        alpha=alpha,
        gate=gate,
        dataset_inference=test,
        null_control=control,
    )


def _not_testable(gate: Gate) -> str:
    return (
        "Not testable: P and U differ. A classifier that never saw the model tells "
        f"{gate.num_p:,} images of P from {gate.num_u:,} of U ({_auc(gate)}), "
        "so a difference in scores would not show training."
    )


def _comparable(gate: Gate) -> str:
    return f"A classifier that never saw the model does not tell P from U ({_auc(gate)})."


def _auc(gate: Gate) -> str:
    return (
        f"AUC {gate.auc:.3f}, by chance {_range(gate.chance_auc, '.3f')}; p = {gate.p_value:.2g}, "
        f"alpha = {gate.alpha:g}"
    )


def _scorer(test: Identification, procedure: Procedure) -> str:
    if procedure.refitted:
        return f"a scorer of {len(test.names)} features, 5-fold, refitted for every permutation"
    return (
        f"a scorer of {len(test.names)} features, fitted on {test.num_control_p:,} images of P and "
        f"{test.num_control_u:,} of U and tested on the other {test.num_test_p:,} and {test.num_test_u:,}"
    )


def _finding(test: DatasetInference | Identification, statistic: str) -> str:
    effect = test.welch.hedges_g
    evidence = (
        f"{statistic}: p = {test.p_value:.2g}, alpha = {test.alpha:g}; Welch p = {test.welch.p_value:.2g}, "
        f"permutation p = {test.permutation_p_value:.2g}; effect size g = {effect.estimate:.2f}, "
        f"{test.confidence:.0%} interval {_range(effect, '.2f')}"
    )
    if test.rejected:
        return (
            f"Evidence that the model was trained on P: its {test.num_p:,} images score higher than "
            f"{test.num_u:,} comparable images the model has not seen ({evidence})."
        )
    return (
        f"No evidence that the model was trained on P: its {test.num_p:,} images do not score "
        f"significantly higher than {test.num_u:,} comparable images the model has not seen ({evidence}). "
        "This does not show that it was not trained on P."
    )


def _control(control: NullControl) -> str:
    rate = control.rejection_rate
    return (
        f"Unseen images against unseen images, the same test rejects {rate.estimate:.1%} of "
        f"{control.repetitions:,} random splits ({control.confidence:.0%} interval {_range(rate, '.1%')})."
    )


def _range(interval: Interval, spec: str) -> str:
    return f"{interval.low:{spec}} to {interval.high:{spec}}"

"""The verdict on a set P, and the sentence to quote.

The test (`jaxaudit.stats.set_test`) decides; this says what follows, and how strong a difference that nobody
measured would have to be to overturn it (`jaxaudit.stats.sensitivity`, of the mean normal score, pictures
being matched on their class and on the blind classifier's score):

  "trained_on"    it rejects
  "contradicted"  P and U differ, but not in the direction of training
  "no_evidence"   neither; which shows no absence
  "not_testable"  P and U differ without the model, beyond what can be adjusted for

A model that has not seen P is accused with probability at most alpha, provided that samples are independent
and that P and U differ in nothing that was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.results import (
    Finding,
    Gate,
    Individuals,
    Interval,
    Sensitivity,
    SetTest,
    Status,
    UsageFraction,
    Verdict,
)
from jaxaudit.stats.gate import GATE_LEVEL
from jaxaudit.stats.individuals import discover_members
from jaxaudit.stats.known_members import KnownMembers
from jaxaudit.stats.matching import Covariates
from jaxaudit.stats.sensitivity import sensitivity
from jaxaudit.stats.set_test import PERMUTATIONS, Comparison, compare_sets, set_test
from jaxaudit.stats.usage_fraction import usage_fraction

_WORDS = {
    "trained_on": (
        "Statistical evidence that the model was trained on P, if the assumptions below hold: its {n} images "
        "score higher than {m} comparable images the model has not seen ({evidence})."
    ),
    "contradicted": (
        "P and U differ, but not in the direction of training: scores that training raises are lower in the "
        "{n} images of P than in the {m} of U ({evidence}). Nothing is concluded about training on P; it may "
        "be U that the model has seen."
    ),
    "no_evidence": (
        "No evidence that the model was trained on P: its {n} images do not score higher than {m} comparable "
        "images the model has not seen by more than chance and measured differences explain ({evidence}). "
        "This does not show that it was not trained on P."
    ),
    "not_testable": (
        "Not testable: P and U differ. A test that never saw the model tells {n} images of P from {m} of U "
        "({gate}), by more than can be adjusted for, so a difference in scores would not show training."
    ),
}


def verdict(
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    *,
    p_blind: Float[np.ndarray, "n K"],
    u_blind: Float[np.ndarray, "m K"],
    p_labels: Int[np.ndarray, " n"] | None = None,
    u_labels: Int[np.ndarray, " m"] | None = None,
    p_ids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    num_reference: int = 0,
    known: KnownMembers | None = None,
    alpha: float = 0.01,
    level: float = GATE_LEVEL,
    q: float = 0.05,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Verdict:
    """Gate, test, sensitivity, the list of members and their share.

    Args:
      p_features: [n,F] scores of P, higher = more likely a member.
      u_features: [m,F] scores of U, images the model has not seen.
      p_blind, u_blind: [n,K] and [m,K] features that never saw the model, of picture or reference model.
      p_labels, u_labels: classes, None for models without.
      p_ids: of P's images, for the list of members.
      names: of the F scores.
      num_reference: how many of the blind features, the last, are scores of a reference model.
      known: pictures known to be members, by which the share of P is estimated; None without.
      alpha: significance level of the verdict. level: of the gate, its own.
      q: false-discovery rate of the list of members.
      permutations: relabellings.
      seed: of everything random.

    Raises:
      InputError: as `compare_sets`, `set_test` and `usage_fraction`.
    """
    sets = compare_sets(
        p_features,
        u_features,
        p_blind=p_blind,
        u_blind=u_blind,
        p_labels=p_labels,
        u_labels=u_labels,
        names=names,
        num_reference=num_reference,
        seed=seed,
    )
    test = set_test(sets, alpha=alpha, level=level, permutations=permutations)
    status, comparable = _status(test), test.comparability == "comparable"
    shared = comparable and (test.rejected or (known is not None and not test.contradicted))
    differ = False
    if shared and known is not None:
        labels = None if u_labels is None else u_labels[sets.rows_u]
        differ = known.differ(u_blind[sets.rows_u], labels, seed=seed)
    return Verdict(
        finding=Finding(status, _sentence(status, test)),
        test=test,
        sensitivity=_sensitivity(sets, alpha) if test.rejected else None,
        individuals=_individuals(sets, p_ids, q) if comparable else None,
        usage=_usage(sets, test, p_features, u_features, known, differ) if shared else None,
    )


def _status(test: SetTest) -> Status:
    if test.comparability == "different":
        return "not_testable"
    if test.p_value <= test.alpha and test.contradicted:
        return "contradicted"
    return "trained_on" if test.rejected else "no_evidence"


def _sensitivity(sets: Comparison, alpha: float) -> Sensitivity:
    """Of the mean normal score; pictures pair within classes, by the blind classifier's score."""
    n, total = len(sets.rows_p), len(sets.blind)
    share = np.clip(n / total + sets.blind, 0.01, 0.99)
    sides = [
        Covariates(None if sets.classes is None else sets.classes[rows], share[rows])
        for rows in (slice(n), slice(n, total))
    ]
    score = sets.mean_score
    return sensitivity(
        score[:n],
        score[n:],
        published_covariates=sides[0],
        unpublished_covariates=sides[1],
        alpha=alpha,
    )


def _individuals(sets: Comparison, p_ids: Sequence[str] | None, q: float) -> Individuals:
    """By the mean normal score: it treats P and U alike, so nonmembers of P stay exchangeable with U."""
    n = len(sets.rows_p)
    ids = [str(p_ids[row]) for row in sets.rows_p.tolist()] if p_ids is not None else None
    return discover_members(sets.mean_score[:n], sets.mean_score[n:], q=q, ids=ids)


def _usage(
    sets: Comparison,
    test: SetTest,
    p_features: Float[np.ndarray, "n F"],
    u_features: Float[np.ndarray, "m F"],
    known: KnownMembers | None,
    known_differ: bool,
) -> UsageFraction:
    """At the verdict's level, so that whoever is accused of nothing is not accused of some of it."""
    n = len(sets.rows_p)
    return usage_fraction(
        p_features[sets.rows_p],
        u_features[sets.rows_u],
        blind_published=sets.blind[:n],
        blind_unpublished=sets.blind[n:],
        known=None if known is None else known.features,
        known_differ=known_differ,
        found=test.rejected,
        confidence=1 - test.alpha,
        seed=sets.seed,
    )


def _sentence(status: Status, test: SetTest) -> str:
    return _WORDS[status].format(
        n=f"{test.num_p:,}", m=f"{test.num_u:,}", evidence=_evidence(test), gate=_gate(test.gate)
    )


def _evidence(test: SetTest) -> str:
    return (
        f"omnibus test of {len(test.names)} scores: {p_in_words(test.p_value, test.permutations)}, the "
        f"larger of {test.plain.p_value:.2g} as they are and {test.adjusted.p_value:.2g} adjusted for class, "
        f"typicality and blind features; alpha = {test.alpha:g}; effect size g = {_effect(test.effect)}, "
        f"{_effect(test.adjusted_effect)} after adjustment; AUC above that of a blind classifier by "
        f"{test.auc_excess.estimate:.3f}, at least {test.auc_excess.low:.3f}; {_gate(test.gate)}"
    )


def _gate(gate: Gate) -> str:
    found = "no difference found blindly" if gate.passed else "a difference found blindly"
    return (
        f"{found}, p = {gate.p_value:.2g} at a level of {gate.level:g}, AUC {gate.auc.estimate:.3f} "
        f"({gate.auc.low:.3f} to {gate.auc.high:.3f})"
    )


def p_in_words(p_value: float, permutations: int) -> str:
    """ "p = 0.03", or "p <= 0.0001" where relabellings allow no smaller one."""
    least = 1 / (permutations + 1)
    return f"p <= {least:.2g}" if p_value <= least * (1 + 1e-9) else f"p = {p_value:.2g}"


def _effect(effect: Interval) -> str:
    return f"{effect.estimate:.2f} ({effect.low:.2f} to {effect.high:.2f})"

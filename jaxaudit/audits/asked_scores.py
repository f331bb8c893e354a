"""What evidence says of its scores: which they are, and on which of them dataset inference will rest."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxaudit.attacks.registry import INFERENCE, MAIN_VIEW, Kind, Score, ScorePlan, inference_set
from jaxaudit.attacks.runner import Scorer
from jaxaudit.errors import InputError
from jaxaudit.protocols import PROTOCOLS


def asked_scores(scorer: Scorer) -> dict[str, Any]:
    """The part of a request that the scores are, JSON-able.

    Raises:
      InputError: as `feature_sets`.
    """
    plan, options, kind = scorer.plan, scorer.step.options, scorer.step.kind
    return {
        "scores": list(plan.names),
        "options": dataclasses.asdict(options) if options else {},
        "score_info": {score.name: said_of(score) for score in plan.scores},
        "main_view": MAIN_VIEW[kind],
        "inference": INFERENCE[kind],
        "feature_sets": feature_sets(plan, kind),
    }


def said_of(score: Score) -> dict[str, Any]:
    """What evidence says of a score; of how it is fitted, where that is not the usual way."""
    said = {
        "description": score.description,
        "source": score.source,
        "access": score.access,
        "published": score.published,
    }
    return said if score.fit == "logistic" else {**said, "fit": score.fit}


def feature_sets(plan: ScorePlan, kind: Kind) -> dict[str, dict[str, list[str]]]:
    """{protocol: {view: scores that enter dataset inference}}, fixed before any picture is scored.

    The published set, in every view: as the literature defines its scores, and as the published code does. If
    nothing of it was asked for, all that was. Fitted scores never enter: they have seen some of the samples.

    Raises:
      InputError: if there is no other score.
    """
    place = {score.base: i for i, score in enumerate(inference_set(kind))}
    known = [s for s in plan.scores if s.made != "fitted"]
    if not known:
        raise InputError(
            f"Dataset inference cannot rest on {', '.join(plan.fitted)}, fitted to the samples in question; "
            "ask for another score as well, with --scores."
        )
    sets = {}
    for protocol in PROTOCOLS.values():
        of_form = [s for s in known if protocol.takes(s.published)]
        chosen = sorted((s for s in of_form if s.base in place), key=lambda s: place[s.base])
        by_view = {s.view: [] for s in of_form}
        for s in chosen or of_form:
            by_view[s.view].append(s.name)
        sets[protocol.name] = {view: names for view, names in by_view.items() if names}
    return sets

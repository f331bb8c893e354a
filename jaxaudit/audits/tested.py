"""What an audit tested, as its results say it: the one place that knows the words of an evidence manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxaudit.evidence import Evidence
from jaxaudit.results import Collected, ImageSet, ScoreFacts, TargetFacts

_ELSEWHERE = (
    "target",
    "scores",
    "access",
    "plan",
    "provenance",
    "skipped",
    "gflop_per_image",
    "evaluations_per_image",
    "jaxaudit",
    "git_commit",
)
"""Of what is recorded of a run, what is no fact about the machine."""


def scores(evidence: Evidence) -> dict[str, ScoreFacts]:
    """Every score of the evidence, in the order of its request."""
    info = evidence.request["score_info"]
    return {
        name: ScoreFacts(
            description=info[name]["description"],
            source=info[name]["source"],
            access=info[name]["access"],
            reproduces_published_code=info[name]["published"],
        )
        for name in evidence.request["scores"]
    }


def target(evidence: Evidence) -> TargetFacts:
    """The target that gave the scores."""
    return TargetFacts(name=evidence.run["target"], **evidence.request["target"])


def facts(evidence: Evidence, counted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of `AuditResults` that say what was tested and how its scores were measured.

    Args:
      evidence: the scores.
      counted: {side: fields of `ImageSet` that say what a verdict counts}; may lack sides.
    """
    request, run = evidence.request, evidence.run
    return {
        "target": target(evidence),
        **{split: images(evidence, split, counted.get(split, {})) for split in evidence.num_rows},
        "collected": Collected(
            scores=tuple(run["scores"]),
            access=run["access"],
            options=request["options"],
            preprocessing=request["preprocessing"],
            num_samples=request["num_samples"],
            seed=request["seed"],
            precision=request["precision"],
            shard_size=request["shard_size"],
            versions={"jaxaudit": run["jaxaudit"], **request["versions"]},
            git_commit=run["git_commit"],
            gflop_per_image=run["gflop_per_image"],
            evaluations_per_image=run["evaluations_per_image"],
            machine={name: value for name, value in run.items() if name not in _ELSEWHERE},
        ),
        "provenance": run["provenance"],
        "inference": request["inference"],
    }


def images(evidence: Evidence, split: str, counted: Mapping[str, Any]) -> ImageSet:
    """A side of the evidence, with fields that say what a verdict counts."""
    asked = dict(evidence.request[split])
    classes = asked.pop("classes")
    return ImageSet(
        **asked,
        **counted,
        class_rule=classes["rule"],
        num_images=evidence.num_rows[split],
        skipped=evidence.run["skipped"].get(split, {}),
    )

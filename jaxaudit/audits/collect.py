"""From a target and two sources to evidence on disk: the part of an audit that needs the model.

The pictures are looked at once before the model is: unusable files, wrong labels and pictures on both sides
are found in minutes, not after a night of scoring.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxaudit
from jaxaudit.attacks.condition import condition_of, null_context, resolve_condition
from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.registry import (
    INFERENCE,
    MAIN_VIEW,
    Access,
    Kind,
    ScorePlan,
    inference_set,
)
from jaxaudit.attacks.runner import PendingScores, Scorer
from jaxaudit.audits.request import precision, target_request
from jaxaudit.data import BLIND_NAMES, PictureBatch, Source, batches, check_disjoint, scan
from jaxaudit.errors import InputError
from jaxaudit.evidence import BLIND_PREFIX, SPLITS, Evidence, Shard
from jaxaudit.runtime.parallel import one_in_flight
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.processes import my_share, wait_for_all_processes
from jaxaudit.targets import Target

_VERSIONED = ("jax", "jaxlib", "flax", "numpy", "pillow")


@dataclasses.dataclass(frozen=True)
class CollectConfig:
    """How evidence is collected.

    Attributes:
      scores: score names or patterns (`jaxaudit.attacks.registry.get_scores`).
      access: "gray-box" leaves scores that need gradients of the model out of patterns.
      num_samples: pictures of each side, drawn without replacement; 0 takes all.
      seed: of the draw and of every stochastic score.
      options: how stochastic scores are measured, for continuous tokens a `MaskedLossConfig`; None is the
        published attack.
      placement: where batches run; nothing of it changes a result beyond rounding.
      shard_size: images per file, the unit that is lost when a run is killed.
    """

    scores: tuple[str, ...] = ("default",)
    access: Access = "white-box"
    num_samples: int = 0
    seed: int = 0
    options: MaskedLossConfig | None = None
    placement: Placement = dataclasses.field(default_factory=Placement)
    shard_size: int = 512


def collect_evidence(
    target: Target,
    members: Source,
    nonmembers: Source,
    directory: str | os.PathLike,
    config: CollectConfig = CollectConfig(),
    *,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Evidence:
    """Scores every picture of both sources and keeps the scores in `directory`.

    An earlier run of the same request is continued: finished shards are not computed again. With several
    processes (`jaxaudit.runtime.processes.initialize_processes`) each computes its share of the shards.

    Args:
      target: what is audited.
      members, nonmembers: pictures the target was, and was not, trained on.
      directory: the evidence folder, created if missing.
      config: see `CollectConfig`.
      progress: called with (images done, images of this process, what is being done); (0, 0, what)
        where nothing is counted.

    Raises:
      InputError: if the scores, access or options do not fit the target, pictures cannot be used, labels do
        not mean the target's classes or captions are missing, the sources share pictures, the folder holds
        evidence of another request, or a score is not a finite number.
    """
    resolved = {
        split: resolve_condition(source, target)
        for split, source in zip(SPLITS, (members, nonmembers), strict=True)
    }
    scorer = Scorer(
        target,
        config.scores,
        key=jax.random.key(config.seed),
        options=config.options,
        access=config.access,
        null_context=null_context(target, resolved.values()),
        mesh=config.placement.mesh(),
        parallelism=config.placement.parallelism,
    )
    drawn = {split: _draw(each, config.num_samples, config.seed) for split, each in resolved.items()}
    sources, conditions = _usable_and_disjoint(drawn, target, progress)
    progress(0, 0, f"Preparing {target.name}")
    evidence = Evidence.create(
        directory,
        _request(target, sources, conditions, scorer, config),
        _run(scorer, config),
        num_rows={split: len(source) for split, source in sources.items()},
    )
    mine = my_share(evidence.shards())
    missing = set(evidence.missing())
    total, done = sum(shard.stop - shard.start for shard in mine), 0
    scoring = f"Scoring with {target.name}"
    for shard in mine:
        if shard in missing:
            evidence.write(
                shard,
                _score_shard(
                    scorer,
                    sources[shard.split],
                    shard,
                    config.placement.batch_size,
                    lambda rows, base=done: progress(base + rows, total, scoring),
                ),
            )
        done += shard.stop - shard.start
        progress(done, total, scoring)
    wait_for_all_processes("evidence")
    return evidence


def _draw(source: Source, num_samples: int, seed: int) -> Source:
    if not num_samples or num_samples >= len(source):
        return source
    rows = np.random.default_rng(seed).choice(len(source), num_samples, replace=False)
    return source.take(np.sort(rows).tolist())


def _usable_and_disjoint(
    sources: dict[str, Source], target: Target, progress: Callable[[int, int, str], None]
) -> tuple[dict[str, Source], dict[str, str]]:
    """The sources of the usable pictures, and what these tell the model (`Scan.conditions`)."""
    usable, digests, conditions = {}, {}, {}
    for split, source in sources.items():
        looking = f"Looking at {source.spec}"
        found = scan(
            source,
            target.preprocessing,
            progress=lambda done, total, what=looking: progress(done, total, what),
        )
        if not found.usable.any():
            raise InputError(f"{source.spec} holds no picture that can be used.")
        usable[split] = source if found.usable.all() else source.take(np.flatnonzero(found.usable).tolist())
        digests[split], conditions[split] = found.digests, found.conditions
    check_disjoint(digests["members"], digests["nonmembers"])
    return usable, conditions


def _score_shard(
    scorer: Scorer, source: Source, shard: Shard, batch_size: int, progress: Callable[[int], None]
) -> dict[str, Any]:
    """The columns of one shard."""

    def submit(batch: PictureBatch) -> PendingScores:
        condition = condition_of(scorer.target, batch)
        return scorer.submit(batch.images, condition, ids=batch.ids, padded_size=batch_size)

    rows = range(shard.start, shard.stop)
    loaded, parts = [], []
    for batch, part in one_in_flight(batches(source, rows, scorer.target.preprocessing, batch_size), submit):
        loaded.append(batch)
        parts.append(part)
        progress(sum(len(batch.ids) for batch in loaded))
    ids = [sample_id for batch in loaded for sample_id in batch.ids]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    _check_finite(scores, ids)
    blind = np.concatenate([batch.blind for batch in loaded])
    return {
        "sample_id": ids,
        "label": np.concatenate([batch.labels for batch in loaded]),
        "digest": [digest for batch in loaded for digest in batch.digests],
        **scores,
        **{f"{BLIND_PREFIX}{name}": blind[:, column] for column, name in enumerate(BLIND_NAMES)},
    }


def _check_finite(scores: dict[str, np.ndarray], ids: Sequence[str]) -> None:
    for name, values in scores.items():
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise InputError(
                f"Score {name} is {values[wrong[0]]} for {wrong.size} of {len(ids)} samples, first "
                f"{ids[wrong[0]]!r}; leave the score out with --scores, or remove the samples."
            )


def _request(
    target: Target,
    sources: dict[str, Source],
    conditions: dict[str, str],
    scorer: Scorer,
    config: CollectConfig,
) -> dict[str, Any]:
    """Everything a score depends on, and what dataset inference will rest on."""
    plan, options = scorer.plan, scorer.step.options
    return {
        "target": target_request(target),
        **{
            split: {
                "source": source.spec,
                "ids_sha256": source.fingerprint,
                "conditions_sha256": conditions[split],
            }
            for split, source in sources.items()
        },
        "preprocessing": dataclasses.asdict(target.preprocessing),
        "scores": list(plan.names),
        "options": dataclasses.asdict(options) if options else {},
        "score_info": {
            s.name: {
                "description": s.description,
                "source": s.source,
                "access": s.access,
                "published": s.published,
            }
            for s in plan.scores
        },
        "main_view": MAIN_VIEW[scorer.step.kind],
        "inference": INFERENCE[scorer.step.kind],
        "feature_sets": _feature_sets(plan, scorer.step.kind),
        "num_samples": config.num_samples,
        "seed": config.seed,
        "precision": precision(target),
        "shard_size": config.shard_size,
        "versions": {
            "jaxaudit": jaxaudit.__version__,
            **{n: importlib.metadata.version(n) for n in _VERSIONED},
        },
        "git_commit": _git_commit(),
    }


def _feature_sets(plan: ScorePlan, kind: Kind) -> dict[str, dict[str, list[str]]]:
    """{protocol: {view: scores that enter dataset inference}}, fixed before any picture is scored.

    The published set, in every view: as the literature defines its scores, and as the published code does. If
    nothing of it was asked for, all that was. Fitted scores never enter: they have seen some of the samples.
    """
    place = {score.base: i for i, score in enumerate(inference_set(kind))}
    known = [s for s in plan.scores if s.made != "fitted"]
    if not known:
        raise InputError(
            f"Dataset inference cannot rest on {', '.join(plan.fitted)}, fitted to the samples in question; "
            "ask for another score as well, with --scores."
        )
    sets = {}
    for protocol, published in (("default", False), ("paper", True)):
        of_form = [s for s in known if s.published == published]
        chosen = sorted((s for s in of_form if s.base in place), key=lambda s: place[s.base])
        by_view = {s.view: [] for s in of_form}
        for s in chosen or of_form:
            by_view[s.view].append(s.name)
        sets[protocol] = {view: names for view, names in by_view.items() if names}
    return sets


def _run(scorer: Scorer, config: CollectConfig) -> dict[str, Any]:
    """What is recorded of the machine that began the evidence."""
    target = scorer.target
    return {
        "target": target.name,
        "scores": list(config.scores),
        "access": config.access.removesuffix("-box"),
        "provenance": dict(target.provenance),
        "gflop_per_image": scorer.flops_per_image() / 1e9,
        "evaluations_per_image": scorer.evaluations(),
        **config.placement.record(),
    }


def _git_commit() -> str | None:
    """The commit of the checkout jaxaudit runs from, with "+" if files differ from it; None if installed."""
    root = Path(jaxaudit.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")

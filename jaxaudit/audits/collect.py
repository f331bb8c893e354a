"""From a target and two sources to evidence on disk: the part of an audit that needs the model.

The pictures are looked at once before the model is: unusable files, wrong labels and pictures on both sides
are found in minutes, not after a night of scoring.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxaudit.attacks.condition import null_context, resolve_condition
from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.registry import Access
from jaxaudit.attacks.runner import PendingScores, Scorer
from jaxaudit.audits.asked_scores import asked_scores
from jaxaudit.audits.fill import fill
from jaxaudit.audits.independent import independent_pictures
from jaxaudit.audits.one_pass import one_pass
from jaxaudit.audits.pictures import Pictures, look_at_both
from jaxaudit.audits.request import measurement_request, null_request
from jaxaudit.data import BLIND_NAMES, Clusters, PictureBatch, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Columns, Evidence, Shard, check_finite, joined
from jaxaudit.paths import Location
from jaxaudit.results import Plan
from jaxaudit.runtime.ahead_of_time import Compiled
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Given, Target


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


@dataclasses.dataclass(frozen=True, eq=False)
class Preparation:
    """Pictures that were looked at, and what will be asked about them; from `prepare`.

    Attributes:
      scorer: of the target.
      pictures: {side: its usable pictures}. clusters: {side: which of them hang together}.
      request: everything a score will depend on, and what dataset inference will rest on; JSON-able.
      run: what is recorded of the machine.
      config: how evidence is collected.
    """

    scorer: Scorer
    pictures: dict[str, Pictures]
    clusters: dict[str, Clusters]
    request: dict[str, Any]
    run: dict[str, Any]
    config: CollectConfig

    @property
    def target(self) -> Target:
        """What is audited."""
        return self.scorer.target

    def asked_of(self, target: Target) -> Preparation:
        """The same pictures and scores, of another target that reads pictures as this one does.

        Raises:
          InputError: if it does not, or cannot have the scores.
        """
        for name in ("preprocessing", "num_classes", "context_shape"):
            ours, its = getattr(self.target, name), getattr(target, name)
            if ours != its:
                raise InputError(
                    f"{target.name} reads pictures with {name}={its}, and {self.target.name} with {ours}."
                )
        sources = {split: each.source for split, each in self.pictures.items()}
        scorer, null = _scorer(target, sources, self.config)
        return dataclasses.replace(
            self,
            scorer=scorer,
            request=_request(target, self.pictures, self.clusters, null, scorer, self.config),
            run=_run(scorer, self.pictures, self.config),
        )

    def independent(self) -> Preparation:
        """Of these pictures one of each that hang together, and no altered copies of the other side's."""
        pictures = {
            split: independent_pictures(each, self.clusters[split]) for split, each in self.pictures.items()
        }
        clusters = {
            split: Clusters(tuple(each.source.ids), ("",) * len(each.source))
            for split, each in pictures.items()
        }
        request = {**self.request, **_sides(pictures, clusters)}
        return dataclasses.replace(self, pictures=pictures, clusters=clusters, request=request)

    def score(
        self, directory: Location, *, plan: Plan | None = None, progress: Progress = silent
    ) -> Evidence:
        """Scores the pictures under this plan, and keeps the scores; see `collect_evidence`."""
        evidence = Evidence.create(
            directory,
            self.request,
            {**self.run, "plan": plan.fingerprint if plan else None},
            columns=Columns(
                tuple(name for name in self.scorer.plan.names if name not in self.scorer.plan.fitted),
                self.scorer.features(),
                BLIND_NAMES,
            ),
            num_rows={split: len(each.source) for split, each in self.pictures.items()},
            shard_size=self.config.shard_size,
        )

        def compute(shard: Shard, done: Callable[[int], None]) -> dict[str, Any]:
            of_split, batch_size = self.pictures[shard.split], self.config.placement.batch_size
            blind_columns, clusters = evidence.columns.blind_columns, self.clusters[shard.split]
            return {
                **score_rows(self.scorer, of_split, shard.rows, batch_size, blind_columns, done),
                "cluster": clusters.firsts[shard.start : shard.stop],
                "copy_of": clusters.copy_of[shard.start : shard.stop],
            }

        process = self.config.placement.process
        fill(evidence, compute, progress, f"Scoring with {self.target.name}", process=process)
        return evidence


def collect_evidence(
    target: Target,
    members: Source,
    nonmembers: Source,
    directory: Location,
    config: CollectConfig = CollectConfig(),
    *,
    progress: Progress = silent,
) -> Evidence:
    """Scores every picture of both sources and keeps the scores in `directory`.

    An earlier run of the same request is continued: finished shards are not computed again. Several
    processes may fill the folder together, each taking shards as it is free (`jaxaudit.sharing`).

    Args:
      target: what is audited.
      members, nonmembers: pictures the target was, and was not, trained on.
      directory: the evidence folder, created if missing.
      config: see `CollectConfig`.
      progress: hears of images looked at, and of those scored by all processes.

    Raises:
      InputError: as `prepare`, or if the folder holds evidence of another request, or a score is not a finite
        number.
    """
    return prepare(target, members, nonmembers, config, progress=progress).score(directory, progress=progress)


def prepare(
    target: Target,
    members: Source,
    nonmembers: Source,
    config: CollectConfig = CollectConfig(),
    *,
    progress: Progress = silent,
) -> Preparation:
    """Looks at every picture once and says what will be measured; nothing is scored yet.

    Args:
      target, members, nonmembers, config: as `collect_evidence`.
      progress: hears of images looked at.

    Raises:
      InputError: if the scores, access or options do not fit the target, pictures cannot be used, labels do
        not mean the target's classes or captions are missing, or the sources share pictures.
    """
    resolved = _resolved(target, members, nonmembers)
    scorer, null = _scorer(target, resolved, config)
    drawn = {split: draw(each, config.num_samples, config.seed) for split, each in resolved.items()}
    pictures, clusters = look_at_both(drawn, target.preprocessing, progress)
    progress(0, 0, f"Preparing {target.name}")
    return Preparation(
        scorer,
        pictures,
        clusters,
        _request(target, pictures, clusters, null, scorer, config),
        _run(scorer, pictures, config),
        config,
    )


def compile_step(
    target: Target, members: Source, nonmembers: Source, config: CollectConfig = CollectConfig()
) -> Compiled:
    """Compiles what scoring these pictures will run, for these devices; no picture is looked at.

    Raises:
      InputError: as `prepare`, for all that can be known before.
    """
    scorer, _ = _scorer(target, _resolved(target, members, nonmembers), config)
    return scorer.compile(config.placement.batch_size)


def _resolved(target: Target, members: Source, nonmembers: Source) -> dict[str, Source]:
    sides = zip(SPLITS, (members, nonmembers), strict=True)
    return {split: resolve_condition(source, target) for split, source in sides}


def _scorer(
    target: Target, resolved: dict[str, Source], config: CollectConfig
) -> tuple[Scorer, np.ndarray | None]:
    """What scores, and the embedding of the empty caption."""
    null = null_context(target, resolved.values())
    return Scorer(
        target,
        config.scores,
        key=jax.random.key(config.seed),
        options=config.options,
        access=config.access,
        null_context=null,
        mesh=config.placement.mesh(target.params, target.partition),
        parallelism=config.placement.parallelism,
    ), null


def draw(source: Source, num_samples: int, seed: int) -> Source:
    """So many of its pictures, without replacement, in their order; all of them for 0."""
    if not num_samples or num_samples >= len(source):
        return source
    rows = np.random.default_rng(seed).choice(len(source), num_samples, replace=False)
    return source.take(np.sort(rows).tolist())


def score_rows(
    scorer: Scorer,
    pictures: Pictures,
    rows: range,
    batch_size: int,
    blind_columns: list[str],
    done: Callable[[int], None],
) -> dict[str, Any]:
    """{column: a value per row}: names, classes, digests, scores and blind features of some rows.

    Args:
      scorer: what scores.
      pictures: whose rows are meant.
      rows: of `pictures.source`.
      batch_size: pictures per step.
      blind_columns: names of the blind features.
      done: told how many rows are done.

    Raises:
      InputError: if a score is not a finite number, or a picture has changed.
    """

    def submit(batch: PictureBatch, told: Given) -> PendingScores:
        return scorer.submit(batch.images, told, ids=batch.ids, padded_size=batch_size)

    passed = one_pass(scorer.target, pictures, rows, submit, batch_size, done)
    scores = joined(passed.found)
    for name, values in scores.items():
        check_finite(
            f"Score {name}", values, passed.ids, advice="; leave it out with --scores, or remove the samples"
        )
    return {
        "sample_id": passed.ids,
        "label": passed.labels,
        "digest": passed.digests,
        **scores,
        **dict(zip(blind_columns, passed.blind.T, strict=True)),
    }


def _request(
    target: Target,
    pictures: dict[str, Pictures],
    clusters: dict[str, Clusters],
    null: np.ndarray | None,
    scorer: Scorer,
    config: CollectConfig,
) -> dict[str, Any]:
    """Everything a score depends on, and what dataset inference will rest on."""
    return {
        **measurement_request(target, config.seed),
        **_sides(pictures, clusters),
        **null_request(null),
        **asked_scores(scorer),
        "num_samples": config.num_samples,
    }


def _sides(pictures: dict[str, Pictures], clusters: dict[str, Clusters]) -> dict[str, Any]:
    """Which pictures of either side, and what hangs together."""
    return {
        split: {**each.request, "clusters_sha256": clusters[split].sha256} for split, each in pictures.items()
    }


def _run(scorer: Scorer, pictures: dict[str, Pictures], config: CollectConfig) -> dict[str, Any]:
    """What is recorded of the machine that began the evidence."""
    target = scorer.target
    return {
        "target": target.name,
        "scores": list(config.scores),
        "access": config.access.removesuffix("-box"),
        "skipped": {split: each.looked.skipped for split, each in pictures.items()},
        "provenance": dict(target.provenance),
        "gflop_per_image": scorer.flops_per_image() / 1e9,
        "evaluations_per_image": scorer.evaluations(),
        **config.placement.record(scorer.mesh),
    }

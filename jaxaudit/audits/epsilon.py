"""How private was the training of a target, at most?  Its canaries are scored, then their coins are opened.

Axes: N pictures of the source of the canaries, m canaries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import msgspec
import numpy as np
from jaxtyping import Float

from jaxaudit import stats
from jaxaudit.attacks.condition import null_context, resolve_condition
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.asked_scores import asked_scores
from jaxaudit.audits.canaries import recorded_canaries
from jaxaudit.audits.collect import CollectConfig, score_rows
from jaxaudit.audits.fill import Columns, filled
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.audits.request import measurement_request, null_request
from jaxaudit.data import BLIND_NAMES, Source
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, Shard
from jaxaudit.paths import Location
from jaxaudit.results import CanaryCoins, EpsilonResults, NoisyStage
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target

_CONTENTS = Contents("scores of canaries")
_SPLIT = "canaries"


def score_canaries(
    target: Target,
    source: Source,
    directory: Location,
    config: CollectConfig,
    *,
    progress: Progress = silent,
) -> tuple[Pictures, dict[str, Float[np.ndarray, " N"]]]:
    """The scores of all pictures that canaries were made of; no coin is looked at.

    Args:
      target: trained with canaries.
      source: of the canaries.
      directory: keeps the scores, so that a killed run goes on; created if missing.
      config: scores, access, seed, placement, shards; the rest does not apply.
      progress: hears of pictures.

    Returns:
      The pictures, and {name: [N], higher = more likely a member}, in their order.

    Raises:
      InputError: if the scores do not fit the target, pictures cannot be used or are others than those the
        target was trained with, or `directory` holds scores of another request.
    """
    recorded = recorded_canaries(target)
    resolved = resolve_condition(source, target)
    null = null_context(target, [resolved])
    scorer = Scorer(
        target,
        config.scores,
        key=jax.random.key(config.seed),
        options=config.options,
        access=config.access,
        null_context=null,
        mesh=config.placement.mesh(target.params, target.partition),
        parallelism=config.placement.parallelism,
    )
    names = [name for name in scorer.plan.names if name not in scorer.plan.fitted]
    if not names:
        raise InputError(f"{', '.join(scorer.plan.fitted)} must be fitted to known members; ask for others.")
    pictures = look(resolved, target.preprocessing, progress)
    for field in ("ids_sha256", "pixels_sha256", "labels_sha256", "conditions_sha256"):
        if pictures.request[field] != recorded[field]:
            raise InputError(
                f"{source.spec} does not hold the canaries of {target.name}, which are those of "
                f"{recorded['source']} when it was trained: {field.removesuffix('_sha256')} differ."
            )

    def compute(shard: Shard, done: Callable[[int], None]) -> Columns:
        found = score_rows(scorer, pictures, shard.rows, config.placement.batch_size, [*BLIND_NAMES], done)
        return {name: found[name] for name in ("sample_id", *names)}

    folder = filled(
        directory,
        _CONTENTS,
        {
            **measurement_request(target, config.seed),
            **pictures.request,
            **null_request(null),
            **asked_scores(scorer),
        },
        compute,
        progress,
        f"Scoring with {target.name}",
        run=config.placement.record(scorer.mesh),
        num_rows={_SPLIT: len(pictures.source)},
        shard_size=config.shard_size,
        process=config.placement.process,
    )
    columns = folder.read_shards()
    return pictures, {name: columns[name] for name in names}


def audit_epsilon(
    target: Target,
    pictures: Pictures,
    scores: Mapping[str, Float[np.ndarray, " N"]],
    coins: CanaryCoins,
    *,
    delta: float = 1e-5,
    confidence: float = 0.95,
    seed: int = 0,
) -> EpsilonResults:
    """What the scores of canaries and their coins say about the training, beside what its noise guarantees.

    Args:
      target: trained with the canaries.
      pictures, scores: from `score_canaries`.
      coins: from `jaxaudit.audits.canaries.read_coins`.
      delta, confidence, seed: as `jaxaudit.stats.one_run_epsilon`; `delta` > 0 where noise was added.

    Raises:
      InputError: as `one_run_epsilon` and `training_epsilon`.
    """
    row_of: dict[str, int] = {}
    for row, name in enumerate(pictures.source.ids):  # of equal pictures the first is the canary
        row_of.setdefault(pictures.digests[name], row)
    rows = [row_of[digest] for digest in coins.digests]
    included = np.array(coins.included)
    noise = recorded_noise(target)
    upper = stats.training_epsilon(noise, delta=delta) if noise else None
    bound = stats.one_run_epsilon(
        {name: values[rows] for name, values in scores.items()},
        included,
        delta=delta,
        confidence=confidence,
        seed=seed,
    )
    return EpsilonResults(
        target=target.name,
        family=target.family,
        fingerprint=target.provenance.get("fingerprint"),
        source=pictures.source.spec,
        skipped={_SPLIT: dict(pictures.looked.skipped)},
        num_canaries=len(rows),
        num_included=int(included.sum()),
        scores=tuple(scores),
        bound=bound,
        noise=noise,
        upper=upper,
        contradicted=upper is not None and bound.epsilon > upper,
    )


def recorded_noise(target: Target) -> tuple[NoisyStage, ...]:
    """The stages of the target's training, if noise protects all of them; () otherwise."""
    found = target.provenance.get("noise")
    return () if found is None else msgspec.convert(found, tuple[NoisyStage, ...])

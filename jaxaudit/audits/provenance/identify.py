"""From two sets of pictures to the origin of every picture of one of them."""

from __future__ import annotations

from jaxaudit import stats
from jaxaudit.attacks.provenance import ProvenanceAttack
from jaxaudit.audits.provenance.measure import DEFAULTS, MEMBER_SCORE, Measured, ProvenanceConfig, measure
from jaxaudit.data import Source
from jaxaudit.paths import Location
from jaxaudit.results import GeneratedShare, Provenance, ProvenanceResults
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Target


def identify_provenance(
    target: Target,
    published: Source,
    unpublished: Source,
    directory: Location,
    config: ProvenanceConfig = DEFAULTS,
    *,
    progress: Progress = silent,
) -> tuple[ProvenanceResults, Measured]:
    """Asks of every published picture whether the model made it, or was trained on it.

    Args:
      target: a model with an autoencoder.
      published: P, the pictures in question.
      unpublished: U, comparable ones that the model neither made nor saw, saved in the same way.
      directory: keeps the scores; a killed run goes on from there.
      config: how.
      progress: hears of pictures.

    Returns:
      what was found, and the scores of P.

    Raises:
      InputError: if the target has no autoencoder, or as `jaxaudit.audits.provenance.measure`.
    """
    attack = provenance_attack(target, config)
    sources = {"published": published, "unpublished": unpublished}
    member_score = MEMBER_SCORE[target.kind]
    sides = measure(
        attack,
        sources,
        directory,
        config,
        member_score=member_score,
        independent=True,
        progress=progress,
    )
    return ProvenanceResults(
        target=target.name,
        family=target.family,
        fingerprint=target.provenance.get("fingerprint"),
        sources={name: source.spec for name, source in sources.items()},
        skipped={name: each.skipped for name, each in sides.items()},
        score=attack.default,
        member_score=member_score,
        search_steps=config.search_steps,
        seed=config.seed,
        found=judge(sides["published"], sides["unpublished"], attack.default, config),
    ), sides["published"]


def share_generated(
    target: Target,
    published: Source,
    unpublished: Source,
    directory: Location,
    config: ProvenanceConfig,
    *,
    progress: Progress = silent,
) -> GeneratedShare:
    """How much of P the model made at least; arguments and errors are those of `identify_provenance`."""
    attack = provenance_attack(target, config)
    sources = {"published": published, "unpublished": unpublished}
    sides = measure(
        attack, sources, directory, config, member_score=None, independent=True, progress=progress
    )
    scores = (side.generated[attack.default] for side in sides.values())
    return stats.generated_share(*scores, confidence=config.confidence)


def provenance_attack(target: Target, config: ProvenanceConfig) -> ProvenanceAttack:
    """The attack, where the config has it run."""
    return ProvenanceAttack(
        target,
        search_steps=config.search_steps,
        mesh=config.placement.mesh(target.params, target.partition),
        parallelism=config.placement.parallelism,
    )


def judge(published: Measured, unpublished: Measured, score: str, config: ProvenanceConfig) -> Provenance:
    """The origin of every published picture, by the score of being generated of that name."""
    assert published.member is not None
    assert unpublished.member is not None
    return stats.provenance(
        published.generated[score],
        unpublished.generated[score],
        published.member,
        unpublished.member,
        q=config.q,
        confidence=config.confidence,
        ids=published.sample_ids.tolist(),
    )

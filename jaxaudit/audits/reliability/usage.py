"""How often is the share of P that was trained on told wrongly, and are nonmembers named?

P is mixed by hand, of pictures a target was trained on and of others; so are U and the known members M drawn,
without any picture twice. All pictures are scored once, and their scores do not depend on the draw. Whatever
keeps a program silent is left out: shares are told and pictures named whether or not P would be found to be
trained on, and no blind control is asked. That is harder.

Axes: n pictures of each of P, U and M; R draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.reliability.unseen import Rows, read_rows
from jaxaudit.data import Source
from jaxaudit.errors import InputError
from jaxaudit.paths import Location, as_place
from jaxaudit.results import Individuals, UsageFraction, UsageRates, UsageStudy
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.stats import clopper_pearson, discover_members, usage_fraction
from jaxaudit.stats.relabelling import normal_scores
from jaxaudit.targets import Target

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)

Draw = tuple[Rows, Rows, Rows]
"""P, U and M."""


@dataclasses.dataclass(frozen=True)
class _Mixture:
    """P of this share of members, U and M; the first members of P are trained on."""

    share: float
    draw: Callable[[Rows, Rows, int, np.random.Generator], Draw]
    description: str = "as it should be"


def study_usage(
    target: Target,
    members: Source,
    unseen: Source,
    directory: Location,
    config: CollectConfig,
    *,
    num_images: int = 300,
    shares: Sequence[float] = SHARES,
    confidence: float = 0.95,
    q: float = 0.05,
    repetitions: int = 200,
    seed: int = 0,
    progress: Progress = silent,
) -> UsageStudy:
    """Bounds, estimates and lists of members over many draws of P, U and M.

    Args:
      target: which.
      members, unseen: pictures it was, and was not, trained on.
      directory: keeps the evidence; finished parts are not scored again.
      config: how scores are measured.
      num_images: n of each of P, U and M.
      shares: of P that was trained on.
      confidence: of bound and intervals. q: false-discovery rate of the lists.
      repetitions: draws of every share.
      seed: of the draws.
      progress: hears of pictures and draws.

    Raises:
      InputError: as `collect_evidence`, or if there are too few pictures for such draws.
    """
    if 2 * num_images > min(len(members), len(unseen)):
        raise InputError(
            f"{num_images} pictures each cannot be drawn twice from {len(members)} of {members.spec} and "
            f"{len(unseen)} of {unseen.spec}; at most {min(len(members), len(unseen)) // 2} can."
        )
    folder = as_place(directory) / "as_they_are"
    evidence = collect_evidence(target, members, unseen, folder, config, progress=progress)
    names, seen, other = read_rows(evidence)
    rates = []
    for mixture in (*(_Mixture(share, _mixed(share)) for share in shares), *_WRONG):
        rng, what = np.random.default_rng(seed), f"Mixing {mixture.share:.0%} members ({mixture.description})"
        found = []
        for number in range(repetitions):
            found.append(_one(*mixture.draw(seen, other, num_images, rng), confidence, q, number))
            progress(number + 1, repetitions, what)
        rates.append(_counted(mixture, *zip(*found, strict=True)))
    return UsageStudy(
        target=Path(target.name).name,
        num_scores=len(names),
        num_images=num_images,
        confidence=confidence,
        q=q,
        rates=tuple(rates),
    )


def _mixed(share: float) -> Callable[[Rows, Rows, int, np.random.Generator], Draw]:
    def draw(seen: Rows, other: Rows, n: int, rng: np.random.Generator) -> Draw:
        a, b, k = rng.permutation(len(seen)), rng.permutation(len(other)), round(share * n)
        p = _joined(seen.take(a[:k]), other.take(b[: n - k]))
        return p, other.take(b[n : 2 * n]), seen.take(a[n : 2 * n])

    return draw


def _swapped(seen: Rows, other: Rows, n: int, rng: np.random.Generator) -> Draw:
    p, u, m = _mixed(0.0)(seen, other, n, rng)
    return p, m, u


def _clearest(seen: Rows, other: Rows, n: int, rng: np.random.Generator) -> Draw:
    p, u, m = _mixed(0.5)(seen, other, n, rng)
    clear = normal_scores(m.scores).mean(axis=1)
    return p, u, m.take(np.argsort(-clear)[: n // 2])


_WRONG = (
    _Mixture(0.0, _swapped, "U was trained on, and P was not"),
    _Mixture(0.5, _clearest, "M is the half that is clearest"),
)


def _joined(first: Rows, second: Rows) -> Rows:
    pairs = ((getattr(first, name), getattr(second, name)) for name in ("scores", "blind", "labels"))
    return Rows(*(np.concatenate(pair) for pair in pairs))


def _one(
    p: Rows, u: Rows, m: Rows, confidence: float, q: float, seed: int
) -> tuple[UsageFraction, Individuals]:
    usage = usage_fraction(
        p.scores,
        u.scores,
        blind_published=np.zeros(len(p)),
        blind_unpublished=np.zeros(len(u)),
        known=m.scores,
        confidence=confidence,
        seed=seed,
    )
    score = normal_scores(np.concatenate([p.scores, u.scores])).mean(axis=1)
    return usage, discover_members(score[: len(p)], score[len(p) :], q=q)


def _counted(mixture: _Mixture, usages: Sequence[UsageFraction], lists: Sequence[Individuals]) -> UsageRates:
    share, total, n = mixture.share, len(usages), usages[0].num_p
    told = [usage.share for usage in usages if usage.share is not None]
    possible = [usage.possible for usage in usages if usage.possible is not None]
    num_members = round(share * n)
    false = [sum(int(name) >= num_members for name in found.discovered) for found in lists]
    named = [len(found.discovered) for found in lists]
    errors = [abs(one.estimate - share) for one in told]
    return UsageRates(
        share=share,
        description=mixture.description,
        repetitions=total,
        mean_bound=float(np.mean([usage.at_least for usage in usages])),
        bound_covers=clopper_pearson(sum(usage.at_least <= share + 1e-9 for usage in usages), total),
        bound_above_zero=clopper_pearson(sum(usage.at_least > 0 for usage in usages), total),
        no_mixture=clopper_pearson(sum(usage.status == "no_mixture" for usage in usages), total),
        told=clopper_pearson(len(told), total),
        mean_error=float(np.mean(errors)) if told else None,
        large_error=float(np.quantile(errors, 0.95)) if told else None,
        estimates=tuple(np.quantile([one.estimate for one in told], (0.05, 0.5, 0.95)).tolist())
        if told
        else None,
        interval_covers=clopper_pearson(sum(one.low <= share <= one.high for one in told), len(told))
        if told
        else None,
        possible_covers=clopper_pearson(sum(low <= share <= high for low, high in possible), len(possible))
        if possible
        else None,
        mean_named=float(np.mean(named)),
        false_discovery_rate=float(np.mean([x / max(of, 1) for x, of in zip(false, named, strict=True)])),
        nonmember_named=clopper_pearson(sum(x > 0 for x in false), total),
    )

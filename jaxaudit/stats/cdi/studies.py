"""The studies of the CDI paper on one table of features, each from many random draws of P and U.

  contamination: a part of P are nonmembers; with all of them the test must stay silent.
  imbalance: more or fewer samples of U than of P; also with nonmembers as P.
  set_membership: is a set's membership better told by CDI or by single scores, each set judged by the maximum
    (published) or the mean of its samples' scores against the same of nonmember sets?
  identification_roc: 1 - p of sets of members against that of sets of nonmembers, over all thresholds.

  ablation: the test on parts of the features; a single score needs no scorer and is tested itself.

p-value against |P| is `identification_power`. Sizes that the samples do not allow are left out.

The intervals of rates are those of as many draws as can be made without overlap (Hoeffding, JASA 1963).

Source: Dubiński et al., CVPR 2025, arXiv 2411.12858.

Axes: R repetitions, n samples of P, m of U, F features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxaudit.errors import InputError
from jaxaudit.protocols import SPLIT
from jaxaudit.results import PowerCurve, SetRoc, StudyPoint
from jaxaudit.stats.cdi.identification import Features
from jaxaudit.stats.cdi.sampling import DEFAULTS, Draws, StudyConfig
from jaxaudit.stats.intervals import clopper_pearson
from jaxaudit.stats.roc import auc, roc_curve, tpr_at_fpr

PUBLISHED_SIZES = (30, 50, 100, 300, 500, 1_000, 3_000, 5_000, 10_000)
PUBLISHED_RATIOS = (0.0, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0)
IMBALANCES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def contamination(
    p_features: Features,
    u_features: Features,
    config: StudyConfig = DEFAULTS,
    *,
    ratios: Sequence[float] = PUBLISHED_RATIOS,
    sizes: Sequence[int] = PUBLISHED_SIZES,
) -> tuple[StudyPoint, ...]:
    """The test on sets P of which a `ratio` are nonmembers, other ones than U; one series per size.

    Args:
      p_features: {name: [n]} or [n,F] features of members.
      u_features: {name: [m]} or [m,F] features of nonmembers.
      config: what all studies share.
      ratios: of nonmembers in P; those that make no whole number of a size are left out.
      sizes: of P and of U.

    Raises:
      InputError: as `identify`, or if no size fits the samples.
    """
    draws = Draws(p_features, u_features, config)

    def fits(n: int, ratio: float) -> bool:
        foreign = round(n * ratio)
        enough = n - foreign <= draws.num_members and n + foreign <= draws.num_nonmembers
        return enough and math.isclose(foreign, n * ratio, abs_tol=1e-9)

    points = []
    for n in draws.usable(sizes, at_most=draws.num_nonmembers):
        for ratio in (ratio for ratio in ratios if fits(n, ratio)):
            foreign = round(n * ratio)
            nonmembers = draws.nonmembers(n + foreign)
            p = draws.shuffled(np.concatenate([draws.members(n - foreign), nonmembers[:, n:]], axis=1))
            points.append(draws.point(_images(n), p, nonmembers[:, :n], ratio=ratio))
    return tuple(points)


def imbalance(
    p_features: Features,
    u_features: Features,
    config: StudyConfig = DEFAULTS,
    *,
    ratios: Sequence[float] = IMBALANCES,
    sizes: Sequence[int] = PUBLISHED_SIZES,
) -> tuple[StudyPoint, ...]:
    """The test with |U| = ratio * |P|: one series per |P| of members, and one of nonmembers for P.

    Args and errors are those of `contamination`, but for a procedure that takes equal sizes only.
    """
    if config.procedure.equal_sizes:
        raise InputError(
            f"The published test needs as many samples of U as of P; study the imbalance of {SPLIT.name!r}."
        )
    draws = Draws(p_features, u_features, config)
    points = []
    for n in draws.usable(sizes, at_most=draws.num_nonmembers):
        for ratio in ratios:
            m = round(n * ratio)
            if m < draws.smallest:
                continue
            if n <= draws.num_members and m <= draws.num_nonmembers:
                points.append(draws.point(_images(n), draws.members(n), draws.nonmembers(m), ratio=ratio))
            if n + m <= draws.num_nonmembers:
                rows = draws.nonmembers(n + m)
                points.append(draws.point(f"{_images(n)}, nonmembers", rows[:, :n], rows[:, n:], ratio=ratio))
    return tuple(points)


def set_membership(
    p_features: Features,
    u_features: Features,
    config: StudyConfig = DEFAULTS,
    *,
    sizes: Sequence[int] = PUBLISHED_SIZES,
) -> tuple[StudyPoint, ...]:
    """Identifying a set by CDI (at p <= alpha) or by one score (at a false-positive rate <= alpha).

    The threshold of a score is set on the nonmember sets it is used on, in favour of the score. Series:
    "CDI", and "NAME, maximum" and "NAME, mean" for every feature, which must be oriented higher = more likely
    a member. Args and errors are those of `contamination`.
    """
    draws = Draws(p_features, u_features, config)
    points = []
    for n in draws.usable(sizes, at_most=min(draws.num_members, draws.num_nonmembers)):
        members, nonmembers = draws.members(n), draws.nonmembers(n)
        points.append(draws.point("CDI", members, nonmembers))
        independent = draws.independent(n, 0)
        for j, name in enumerate(draws.names):
            scores = draws.pool[:, j]
            for how, statistic in (("maximum", np.max), ("mean", np.mean)):
                member_sets, nonmember_sets = (statistic(scores[x], axis=1) for x in (members, nonmembers))
                rate = tpr_at_fpr(member_sets, nonmember_sets, fpr=config.alpha)
                points.append(
                    StudyPoint(
                        series=f"{name}, {how}",
                        num_p=n,
                        num_u=n,
                        ratio=None,
                        identified=clopper_pearson(
                            rate * independent, independent, confidence=config.confidence
                        ),
                        mean_p=None,
                        p_quantiles=None,
                        independent_draws=independent,
                    )
                )
    return tuple(points)


def identification_roc(
    p_features: Features,
    u_features: Features,
    config: StudyConfig = DEFAULTS,
    *,
    sizes: Sequence[int] = PUBLISHED_SIZES,
) -> tuple[SetRoc, ...]:
    """Sets of members against sets of nonmembers (other ones than U), by ascending size.

    Args and errors are those of `contamination`.
    """
    draws = Draws(p_features, u_features, config)
    curves = []
    for n in draws.usable(sizes, at_most=min(draws.num_members, draws.num_nonmembers // 2)):
        rows = draws.nonmembers(2 * n)
        member_p, _ = draws.test(draws.members(n), rows[:, :n])
        nonmember_p, _ = draws.test(rows[:, n:], rows[:, :n])
        curve = roc_curve(-member_p, -nonmember_p)
        curves.append(
            SetRoc(
                n=n,
                fpr=curve.fpr,
                tpr=curve.tpr,
                auc=auc(-member_p, -nonmember_p),
                tpr_at_alpha=tpr_at_fpr(-member_p, -nonmember_p, fpr=config.alpha),
                identified=float(np.mean(member_p <= config.alpha)),
                accused=float(np.mean(nonmember_p <= config.alpha)),
            )
        )
    return tuple(curves)


def ablation(
    p_features: Mapping[str, Float[np.ndarray, " n"]],
    u_features: Mapping[str, Float[np.ndarray, " m"]],
    sets: Mapping[str, Sequence[str]],
    config: StudyConfig = DEFAULTS,
    *,
    sizes: Sequence[int] = PUBLISHED_SIZES,
) -> tuple[StudyPoint, ...]:
    """The test on each of the `sets` {series: names of features}, all on the same draws.

    Args and errors are those of `contamination`; features that no set names may be anything.
    """
    points = []
    for series, names in sets.items():
        p, u = ({name: side[name] for name in names} for side in (p_features, u_features))
        draws = Draws(p, u, config)
        for n in draws.usable(sizes, at_most=min(draws.num_members, draws.num_nonmembers)):
            points.append(draws.point(series, draws.members(n), draws.nonmembers(n), direct=len(names) == 1))
    return tuple(points)


def curve_points(curve: PowerCurve, series: str) -> tuple[StudyPoint, ...]:
    """The points of a power curve as those of a study."""
    return tuple(
        StudyPoint(
            series=series,
            num_p=point.n,
            num_u=point.n,
            ratio=None,
            identified=point.rejection_rate,
            mean_p=point.mean_p,
            p_quantiles=point.p_quantiles,
            independent_draws=point.independent_draws,
        )
        for point in curve.points
    )


def _images(n: int) -> str:
    return f"{n:,} images"

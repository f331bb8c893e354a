"""CDI on many random draws of P and U at once: the p-values behind power and every other study.

A data set is a row of sample indexes into one pool of features, so a draw costs a gather, and thousands of
draws are tested together in blocks that fit the cache, one thread per core.

Axes: R data sets, n samples of P, m of U, M samples of the pool, F features, D = F + 1 with a constant.
"""

from __future__ import annotations

import concurrent.futures
import os

import numpy as np
from jaxtyping import Float, Int
from scipy import special
from threadpoolctl import threadpool_limits

from jaxaudit.protocols import SPLIT, Procedure
from jaxaudit.stats.cdi import scorer
from jaxaudit.stats.welch import enough_permutations, fewest_permutable, rank_p_value

_PERMUTATIONS = 999  # unless alpha needs more
_CHUNK = 100_000  # features of one block of data sets: 0.8 MB
_PERMUTED = 1_000_000  # scores of one block of permuted data sets: 8 MB
_RELABELLED = 1_000  # relabellings of one block


def draw_rows(samples: int, size: int, repetitions: int, rng: np.random.Generator) -> Int[np.ndarray, "R n"]:
    """Every repetition's first `size` of a random order of `samples` rows."""
    return np.stack([rng.permutation(samples)[:size] for _ in range(repetitions)])


def draw_p_values(
    pool: Float[np.ndarray, "M D"],
    p: Int[np.ndarray, "R n"],
    u: Int[np.ndarray, "R m"],
    *,
    procedure: Procedure = SPLIT,
    alpha: float = 0.01,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """The p-value and Welch's t of `identify` for every data set.

    `SPLIT` takes the larger of Welch's and the permutation p-value where P and U are unequal; where they are
    equal the skews of the two sides cancel and Welch's is enough.

    Args:
      pool: [M,D] of `make_pool`.
      p: [R,n] rows of the pool that are P, in random order.
      u: [R,m] rows that are U.
      procedure: one that need not refit, `Procedure.drawn_as`.
      alpha: what a p-value must be able to reach; relabellings are 999, or as many as it needs.
      seed: of the relabellings where sizes are unequal; they are common to all data sets.

    Raises:
      InputError: if alpha needs more relabellings than `identify` makes.
    """
    scores = scorer.split_scores if procedure.halves else scorer.published_scores
    block = max(1, _CHUNK // ((p.shape[1] + u.shape[1]) * pool.shape[1]))

    def score(start: int) -> scorer.HeldOut:
        return scores(pool, p[start : start + block], u[start : start + block])

    with threadpool_limits(1), concurrent.futures.ThreadPoolExecutor(num_cores()) as threads:
        parts = list(threads.map(score, range(0, len(p), block)))
    p_scores, u_scores = (np.concatenate(side) for side in ([x.p for x in parts], [x.u for x in parts]))
    t, df = scorer.welch_tests(p_scores, u_scores)
    if procedure.two_sided:
        return 2 * special.stdtr(df, -np.abs(t)), t
    p_values = special.stdtr(df, -t)
    if p_scores.shape[1] != u_scores.shape[1]:
        permutations = enough_permutations(alpha, usual=_PERMUTATIONS, most=procedure.permutations)
        permuted = _permuted_statistics(p_scores, u_scores, permutations, seed)
        ranks = [rank_p_value(one, row)[0] for one, row in zip(t[:, None], permuted, strict=True)]
        p_values = np.maximum(p_values, ranks)
    return p_values, t


def fewest_drawable(procedure: Procedure, alpha: float) -> int:
    """The fewest samples of P, and as many of U, with which a draw is tested and can reach p <= `alpha`."""
    return 2 * fewest_permutable(alpha) if procedure.drawn_as.halves else scorer.FOLDS


def direct_p_values(
    scores: Float[np.ndarray, " M"], p: Int[np.ndarray, "R n"], u: Int[np.ndarray, "R n"]
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """One-sided p-value and t of Welch's test on one score by itself, higher = more likely a member."""
    t, df = scorer.welch_tests(scores[p], scores[u])
    return special.stdtr(df, -t), t


def num_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _permuted_statistics(
    p: Float[np.ndarray, "R n"], u: Float[np.ndarray, "R m"], permutations: int, seed: int
) -> Float[np.ndarray, "R B"]:
    """t of every data set under relabellings common to all: a matrix product."""
    n, m = p.shape[1], u.shape[1]
    scores = np.concatenate([p, u], axis=1)
    scores = scores - scores.mean(axis=1, keepdims=True)
    rng, observed = np.random.default_rng(seed), np.arange(n + m) < n
    rows = max(1, _PERMUTED // (n + m))
    permuted = np.empty((len(p), permutations))
    for first in range(0, permutations, _RELABELLED):
        some = min(_RELABELLED, permutations - first)
        chosen = rng.permuted(np.tile(observed, (some, 1)), axis=1).astype(np.float64)
        for start in range(0, len(p), rows):
            moments = np.stack([scores[start : start + rows], scores[start : start + rows] ** 2])
            t = _split_statistics(moments.swapaxes(1, 2), chosen, n, m)
            permuted[start : start + rows, first : first + some] = t.T
    return permuted


def _split_statistics(
    moments: Float[np.ndarray, "2 N R"], chosen: Float[np.ndarray, "B N"], n: int, m: int
) -> Float[np.ndarray, "B R"]:
    """Welch's t of the `chosen` scores against the others, from scores and their squares."""
    sums = chosen @ moments
    rest = moments.sum(axis=1, keepdims=True) - sums
    mean_p, mean_u = sums[0] / n, rest[0] / m
    var_p, var_u = (sums[1] - n * mean_p**2) / (n - 1), (rest[1] - m * mean_u**2) / (m - 1)
    return (mean_p - mean_u) / np.sqrt(np.maximum(var_p / n + var_u / m, 1e-24))

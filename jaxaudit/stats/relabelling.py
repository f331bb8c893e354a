"""What would the statistics be, had chance alone decided which samples are P?

For every column z_j of a table over P and U together,

  t_j = (mean of z_j over P - mean over U) / (s_j sqrt(1/n + 1/m)),  s_j the spread over both            (1)

is linear in the labels, so t of the observed labels and of B relabellings is one matrix product, and any
statistic T(t) of all columns comes with its permutation distribution. If P and U are exchangeable,

  p = #{b: T_b >= T_0} / (B + 1),  b = 0 being the observed labels    (Phipson and Smyth, 2010)          (2)

has P(p <= alpha) <= alpha, exactly, whatever the distribution and the dependence of the columns. Several
statistics T_k become one by the harmonic mean of their p-values (Wilson, PNAS 2019), which is itself a
statistic of the labels and is judged by (2) again, so the combination is exact too:

  T = sum_k w_k / p_k,  p_k the rank of T_k among all labellings                                         (3)

Large tables are relabelled in blocks: the rows of a side, in random order, are put together by g, and blocks
are exchanged instead of rows. Blocks of exchangeable samples are exchangeable, so (2) stays exact, and t is
that of block means.

Axes: n samples of P, m of U, N = n + m; K columns, S statistics; B relabellings, G blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import special, stats

from jaxaudit.stats.welch import check_permutable

_MOST_BLOCKS = 4_000


@dataclasses.dataclass(frozen=True)
class Relabelling:
    """Labels of blocks, the observed ones first; from `relabel`.

    Attributes:
      blocks: [G,g] rows of the table in each block; those of P come first.
      labels: [B+1,G] 1 for P, 0 for U.
    """

    blocks: Int[np.ndarray, "G g"]
    labels: Float32[np.ndarray, "B G"]

    @property
    def rows(self) -> Int[np.ndarray, " R"]:
        """The rows in use, in ascending order; up to g - 1 of a side are in no block."""
        return np.sort(self.blocks.ravel())

    def statistics(self, columns: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "B K"]:
        """t of every column under every labelling, equation (1); 0 for a constant column."""
        means = columns[self.blocks].mean(axis=1) if self.blocks.shape[1] > 1 else columns[self.blocks[:, 0]]
        means = means - means.mean(axis=0)
        spread = means.std(axis=0, ddof=1)
        varies = spread > 1e-12 * np.maximum(1, np.abs(columns).max(axis=0, initial=0))
        means = np.where(varies, means / np.where(varies, spread, 1), 0)
        total, positive = len(means), self.labels[0].sum()
        scale = np.sqrt(total / (positive * (total - positive)))
        # Means are centred, so the sum over U is minus that over P.
        return (self.labels @ means.astype(np.float32)).astype(np.float64) * scale


def relabel(n: int, m: int, permutations: int, rng: np.random.Generator) -> Relabelling:
    """The observed labels of n samples of P above m of U, and random ones."""
    size = max(1, -(-(n + m) // _MOST_BLOCKS))
    size = min(size, n, m)
    sides = [rng.permutation(n), n + rng.permutation(m)]
    if size == 1:
        sides = [np.arange(n), n + np.arange(m)]
    blocks = [side[: len(side) // size * size].reshape(-1, size) for side in sides]
    observed = np.repeat(np.array([1, 0], np.float32), [len(side) for side in blocks])
    labels = np.concatenate([observed[None], rng.permuted(np.tile(observed, (permutations, 1)), axis=1)])
    return Relabelling(np.concatenate(blocks), labels)


def relabel_for(alpha: float, n: int, m: int, permutations: int, rng: np.random.Generator) -> Relabelling:
    """`relabel`, where a p-value <= alpha can come of it.

    Raises:
      InputError: if there are too few samples or permutations for one.
    """
    check_permutable(n, m, alpha, permutations)
    return relabel(n, m, permutations, rng)


def p_values(statistics: Float[np.ndarray, "*S B"]) -> Float[np.ndarray, "*S B"]:
    """The p-value (2) of every labelling, as if it were the observed one; large values reject.

    Values equal up to rounding count as reached.
    """
    slack = 1e-6 * (1 + np.abs(statistics))
    order = np.sort(statistics, axis=-1)
    below = np.empty(statistics.shape)
    for place in np.ndindex(statistics.shape[:-1]):
        below[place] = np.searchsorted(order[place], statistics[place] - slack[place])
    return 1 - below / statistics.shape[-1]


def harmonic(p: Float[np.ndarray, "S B"], weights: Sequence[float] | None = None) -> Float[np.ndarray, " B"]:
    """The p-value of the harmonic mean (3) for every labelling."""
    return p_values(np.average(1 / p, axis=0, weights=weights))


def largest(t: Float[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
    """max_j |t_j|: one column differs."""
    return np.abs(t).max(axis=1)


def squares(t: Float[np.ndarray, "B K"]) -> Float[np.ndarray, " B"]:
    """sum_j t_j²: many columns differ a little, in any direction."""
    return np.sum(t**2, axis=1)


def hotelling(
    t: Float[np.ndarray, "B K"], columns: Float[np.ndarray, "N K"], ridge: float
) -> Float[np.ndarray, " B"]:
    """t' (R + ridge I)⁻¹ t, R the correlations of the columns: some weighted sum of them differs."""
    spread = columns.std(axis=0)
    varies = spread > 0
    z = (columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]
    correlation = z.T @ z / len(z)
    factor = np.linalg.cholesky(correlation + ridge * np.eye(len(correlation)))
    return np.sum(np.linalg.solve(factor, t[:, varies].T) ** 2, axis=0)


def normal_scores(columns: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    """Φ⁻¹((rank - 1/2) / N) of every column, ties sharing the mean rank: no outlier dominates."""
    ranks = stats.rankdata(columns, axis=0)
    return special.ndtri((ranks - 0.5) / len(columns))

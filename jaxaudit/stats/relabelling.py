"""What would the statistics be, had chance alone decided which samples are P?

For every column z_j of a table over P and U together,

  t_j = (mean of z_j over P - mean over U) / (s_j sqrt(1/n + 1/m)),  s_j the spread over both            (1)

is linear in the labels, so t of the observed labels and of B relabellings is one matrix product, and any
statistic T(t) of all columns comes with its permutation distribution. If P and U are exchangeable,

  p = #{b: T_b >= T_0} / (B + 1),  b = 0 being the observed labels    (Phipson and Smyth, 2010)          (2)

has P(p <= alpha) <= alpha, exactly, whatever the distribution and the dependence of the columns. Several
statistics T_k become one by the harmonic mean of their p-values (Wilson, PNAS 2019), which is itself a
statistic of the labels and is judged by (2) again, so the combination is exact too:

  T = sum_k 1 / p_k,  p_k the rank of T_k among all labellings                                           (3)

Large tables are relabelled in blocks: the rows of a side, in random order, are put together by g, and blocks
are exchanged instead of rows. Blocks of exchangeable samples are exchangeable, so (2) stays exact, and t is
that of block means. A side keeps 50 blocks, if it has so many samples; then some of a much larger one are
left out.

Axes: n samples of P, m of U, N = n + m; K columns, S statistics; B relabellings and L = B + 1 labellings, the
observed one first; G blocks of g samples.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import linalg, special, stats

from jaxaudit.stats.welch import check_permutable

_MOST_BLOCKS = 4_000
_FEWEST_BLOCKS = 50  # of a side: with two or three no relabelling could tell


@dataclasses.dataclass(frozen=True)
class Relabelling:
    """Labels of blocks, the observed ones first; from `relabel`.

    Attributes:
      blocks: [G,g] rows of the table in each block; those of P come first.
      labels: [L,G] 1 for P, 0 for U.
    """

    blocks: Int[np.ndarray, "G g"]
    labels: Float32[np.ndarray, "L G"]

    @property
    def rows(self) -> Int[np.ndarray, " R"]:
        """The rows in use, in ascending order; the others are in no block."""
        return np.sort(self.blocks.ravel())

    def statistics(self, columns: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "L K"]:
        """t of every column under every labelling, equation (1); 0 for a constant column."""
        means = standardised(columns[self.blocks].mean(axis=1), ddof=1)
        total, positive = len(means), self.labels[0].sum()
        scale = np.sqrt(total / (positive * (total - positive)))
        # Means are centred, so the sum over U is minus that over P.
        return (self.labels @ means.astype(np.float32)).astype(np.float64) * scale


def relabel(n: int, m: int, permutations: int, rng: np.random.Generator) -> Relabelling:
    """The observed labels of n samples of P above m of U, and random ones."""
    fewer = min(n, m)
    size = min(-(-(n + m) // _MOST_BLOCKS), max(1, fewer // _FEWEST_BLOCKS))
    most = max(_MOST_BLOCKS - fewer // size, fewer // size)
    blocks = [
        first + rng.permutation(count)[: min(count // size, most) * size].reshape(-1, size)
        for first, count in ((0, n), (n, m))
    ]
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


def p_values(statistics: Float[np.ndarray, "*S L"]) -> Float[np.ndarray, "*S L"]:
    """The p-value (2) of every labelling, as if it were the observed one; large values reject.

    Values equal up to rounding count as reached.
    """
    slack = 1e-6 * (1 + np.abs(statistics))
    order = np.sort(statistics, axis=-1)
    reached = np.empty(statistics.shape)
    for place in np.ndindex(statistics.shape[:-1]):
        below = np.searchsorted(order[place], statistics[place] - slack[place])
        reached[place] = statistics.shape[-1] - below
    return reached / statistics.shape[-1]


def harmonic(p: Float[np.ndarray, "S L"]) -> Float[np.ndarray, " L"]:
    """The p-value of the harmonic mean (3) for every labelling."""
    return p_values(np.mean(1 / p, axis=0))


def largest(t: Float[np.ndarray, "L K"]) -> Float[np.ndarray, " L"]:
    """max_j |t_j|: one column differs."""
    return np.abs(t).max(axis=1, initial=0)


def squares(t: Float[np.ndarray, "L K"]) -> Float[np.ndarray, " L"]:
    """sum_j t_j²: many columns differ a little, in any direction."""
    return np.sum(t**2, axis=1)


def hotelling(
    t: Float[np.ndarray, "L K"], columns: Float[np.ndarray, "N K"], ridge: float
) -> Float[np.ndarray, " L"]:
    """t' (R + ridge I)⁻¹ t, R the correlations of the columns: some weighted sum of them differs."""
    z = standardised(columns)
    factor = np.linalg.cholesky(z.T @ z / len(z) + ridge * np.eye(z.shape[1]))
    return np.sum(linalg.solve_triangular(factor, t.T, lower=True) ** 2, axis=0)


def normal_scores(columns: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    """Φ⁻¹((rank - 1/2) / N) of every column, ties sharing the mean rank: no outlier dominates."""
    ranks = stats.rankdata(columns, axis=0)
    return special.ndtri((ranks - 0.5) / len(columns))


def standardised(columns: Float[np.ndarray, "N K"], *, ddof: int = 0) -> Float[np.ndarray, "N K"]:
    """The columns with mean 0 and unit spread; 0 where one varies by no more than rounding."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0, ddof=ddof)
    varies = spread > 1e-12 * np.maximum(1, np.abs(columns).max(axis=0, initial=0))
    return np.where(varies, centred / np.where(varies, spread, 1), 0)

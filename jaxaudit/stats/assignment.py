"""Pairs of a picture of P and one of U that are alike in every one of several ways, by optimal assignment.

A pair is allowed within a stratum, and if no coordinate differs by more than a caliper, the unit of x. Of
the allowed pairs as many as possible are made, and among these choices the one with the smallest sum of

  d(i, j) = sum_k |x_ik - x_jk| + |y_i - y_j|²,   y what else the pictures are like                      (1)

(Mahalanobis matching within propensity calipers, Rosenbaum and Rubin, The American Statistician 1985, with
another metric). Optimal assignment (Crouse, IEEE Transactions on Aerospace and Electronic Systems 2016, in
SciPy) costs the cube of the size, so strata are cut into blocks of neighbours in the order of the first
coordinate.

Axes: n pictures of P, m of U, C coordinates, Q dimensions of y, k pairs, a and b of P and U in a block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

_BLOCK = 1_000  # rows of both sides
_NEVER = 1e9  # far beyond the distance of allowed pairs: their number comes first


@dataclasses.dataclass(frozen=True)
class Places:
    """Where pictures stand.

    Attributes:
      coordinates: [N,C] x in calipers, C >= 1.
      position: [N,Q] y, of about unit length.
      strata: [N] within which pictures pair.
    """

    coordinates: Float[np.ndarray, "N C"]
    position: Float[np.ndarray, "N Q"]
    strata: Int[np.ndarray, " N"]

    def take(self, rows: Int[np.ndarray, " M"]) -> Places:
        """Those of these rows."""
        return Places(self.coordinates[rows], self.position[rows], self.strata[rows])


def assign_pairs(
    places: Places, p: Int[np.ndarray, " n"], u: Int[np.ndarray, " m"]
) -> Int[np.ndarray, "k 2"]:
    """The pairs of these rows of P and of U, in ascending order of the first."""
    found = [np.zeros((0, 2), np.int64)]
    for block_p, block_u in _blocks(places, p, u):
        chosen = _assigned(places.take(block_p), places.take(block_u))
        found.append(np.stack([block_p[chosen[:, 0]], block_u[chosen[:, 1]]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.argsort(pairs[:, 0])]


def _blocks(
    places: Places, p: Int[np.ndarray, " n"], u: Int[np.ndarray, " m"]
) -> Iterator[tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]]:
    """Rows of P and of U of one stratum that are neighbours in the order of the first coordinate."""
    rows, of_p = np.concatenate([p, u]), np.arange(len(p) + len(u)) < len(p)
    order = np.lexsort((places.coordinates[rows, 0], places.strata[rows]))
    rows, of_p = rows[order], of_p[order]
    _, starts = np.unique(places.strata[rows], return_index=True)
    for stratum in np.split(np.arange(len(rows)), starts[1:]):
        for block in np.array_split(stratum, -(-len(stratum) // _BLOCK)):
            yield rows[block[of_p[block]]], rows[block[~of_p[block]]]


def _assigned(p: Places, u: Places) -> Int[np.ndarray, "k 2"]:
    """The optimal pairs of a block."""
    allowed = cdist(p.coordinates, u.coordinates, "chebyshev") <= 1
    distance = cdist(p.coordinates, u.coordinates, "cityblock") + cdist(p.position, u.position, "sqeuclidean")
    rows, columns = linear_sum_assignment(np.where(allowed, distance, _NEVER))
    kept = allowed[rows, columns]
    return np.stack([rows[kept], columns[kept]], axis=1)

"""Pictures that hang together, counted as one.

P and U are compared cluster by cluster (copies of one picture, pictures of one shoot). Every cluster stands
as the mean of its first r pictures,

  x_c = (x_{c,1} + ... + x_{c,r}) / r,    r = the size of the smallest cluster of either side              (1)

so that a large cluster of one side is no less noisy than a small one of the other: the mean over all of a
cluster has a spread that depends on its size, which a test of exchangeability would notice. Tests of the x_c
are exact if the first r pictures of a cluster are exchangeable with those of any other, be it of P or of U.
Where any picture stands alone r is 1, and every cluster is its first picture.

Axes: N pictures, C clusters, r pictures of each.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Integer


def smallest_cluster(*sides: Integer[np.ndarray, " _"]) -> int:
    """r: the fewest pictures of a cluster.

    Args:
      sides: [N] cluster of every picture, of each side; none is empty.
    """
    return min(int(np.unique(clusters, return_counts=True)[1].min()) for clusters in sides)


def first_of_clusters(clusters: Integer[np.ndarray, " N"], r: int) -> Int[np.ndarray, "C {r}"]:
    """[C,r] rows of the first r pictures of every cluster, clusters in the order of their first pictures.

    Args:
      clusters: [N] cluster of every picture.
      r: at most `smallest_cluster`.
    """
    order = np.argsort(clusters, kind="stable")
    in_order = clusters[order]
    starts = np.flatnonzero(np.concatenate([[True], in_order[1:] != in_order[:-1]]))
    rows = order[starts[:, None] + np.arange(r)]
    return rows[np.argsort(rows[:, 0])]

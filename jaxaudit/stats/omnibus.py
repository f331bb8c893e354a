"""Do the scores of P and U differ, in whatever way, and is the difference that of training?

Membership scores are many, skewed and correlated, and which of them a model betrays itself by is not known
beforehand. Over t_j, Welch-like differences of their normal scores (`jaxaudit.stats.relabelling`), three
statistics ask for different things, and the harmonic mean of their p-values for any of them:

  rank sum:   sum_j t_j                      all scores are a little higher                              (1)
  positive:   sum_j max(t_j, 0)²             some are clearly higher                                     (2)
  hotelling:  t' (R + 0.1 I)⁻¹ t             a weighted sum differs, as a refitted scorer would find     (3)

(3) has no direction. Scores are oriented, higher = more likely a member, and training raises them; so a
difference speaks against the model only unless it is contradicted:

  contradicted: sum_j min(t_j, 0)² is significant at 10% and (1) is not at 5%                     (4)

Every p-value is exact where P and U are exchangeable.

Axes: n samples of P, m of U, N = n + m, F scores, B relabellings.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from jaxaudit.results import Omnibus
from jaxaudit.stats import relabelling
from jaxaudit.stats.relabelling import Relabelling

_RIDGE = 0.1
_OPPOSITE_LEVEL = 0.1  # easily met: what is accused wrongly weighs more than what is missed
_RANK_SUM_LEVEL = 0.05


def omnibus(columns: Float[np.ndarray, "N F"], labels: Relabelling) -> Omnibus:
    """Tests the columns under the labels.

    Args:
      columns: [N,F] normal scores, or what is left of them, of P above U; higher = more likely a member.
      labels: the observed and the random labels.
    """
    statistics, against = _statistics(labels.statistics(columns), columns[labels.rows])
    each = relabelling.p_values(statistics)
    opposite = float(relabelling.p_values(against)[0])
    rank_sum = float(each[0, 0])
    return Omnibus(
        p_value=float(relabelling.harmonic(each)[0]),
        rank_sum_p_value=rank_sum,
        positive_p_value=float(each[1, 0]),
        hotelling_p_value=float(each[2, 0]),
        opposite_p_value=opposite,
        contradicted=opposite <= _OPPOSITE_LEVEL and rank_sum > _RANK_SUM_LEVEL,
    )


def omnibus_p_values(columns: Float[np.ndarray, "N F"], labels: Relabelling) -> Float[np.ndarray, " B"]:
    """The p-value of `omnibus` for every labelling, as if it were the observed one."""
    statistics, _ = _statistics(labels.statistics(columns), columns[labels.rows])
    return relabelling.harmonic(relabelling.p_values(statistics))


def _statistics(
    t: Float[np.ndarray, "B F"], columns: Float[np.ndarray, "N F"]
) -> tuple[Float[np.ndarray, "3 B"], Float[np.ndarray, " B"]]:
    """(1) to (3), and that of (4)."""
    positive, negative = np.maximum(t, 0), np.maximum(-t, 0)
    three = [t.sum(axis=1), relabelling.squares(positive), relabelling.hotelling(t, columns, _RIDGE)]
    return np.stack(three), relabelling.squares(negative)

"""Pictures that the model is known to have been trained on, M, as a verdict takes them.

M stands for the members in P, and U for the others; so M must not differ from U without the model either. The
blind gate asks, at its own level.

Axes: k pictures of M, m of U; F scores, K blind features.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.stats.gate import blind_gate


@dataclasses.dataclass(frozen=True)
class KnownMembers:
    """M.

    Attributes:
      features: [k,F] scores, those of P and U.
      blind: [k,K] features that never saw the model.
      labels: [k] classes, None for models without.
    """

    features: Float[np.ndarray, "k F"]
    blind: Float[np.ndarray, "k K"]
    labels: Int[np.ndarray, " k"] | None = None

    def differ(
        self, u_blind: Float[np.ndarray, "m L"], u_labels: Int[np.ndarray, " m"] | None, *, seed: int = 0
    ) -> bool:
        """Whether the blind gate tells M from U.

        Args:
          u_blind: [m,L] features of U that never saw the model, the K of M's first; those of a reference
            model may follow.
          u_labels: [m] classes.
          seed: of the gate.

        Raises:
          InputError: as `blind_gate`.
        """
        own = u_blind[:, : self.blind.shape[1]]
        return not blind_gate(self.blind, own, p_labels=self.labels, u_labels=u_labels, seed=seed).passed

"""What a linear scorer's log-odds are made of, feature by feature.

For log-odds w·x + b and features that are exchanged independently of each other, the Shapley value of feature
j for sample x against the background samples y is exactly (Lundberg and Lee, NeurIPS 2017, corollary 1)

  phi_j(x) = w_j (x_j - mean(y_j)),   sum_j phi_j(x) = w·x - mean(w·y)                                    (1)

Its mean over P less its mean over U, w_j (mean_P(x_j) - mean_U(x_j)), is what feature j contributes to
telling P from U. With correlated features w, and so (1), divides their common part between them almost at
will: read groups of similar features together.

Axes: n samples of P, m of U, K scorers, F features.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxaudit.errors import InputError
from jaxaudit.results import Attribution


@dataclasses.dataclass(frozen=True)
class ShapleyValues:
    """Equation (1) for held-out samples, with all of them as background.

    Attributes:
      p: [n,F] values of P's samples. u: [m,F] of U's.
      p_features: [n,F], u_features: [m,F] the features they belong to.
      names: of the F features.
    """

    p: Float[np.ndarray, "n F"]
    u: Float[np.ndarray, "m F"]
    p_features: Float[np.ndarray, "n F"]
    u_features: Float[np.ndarray, "m F"]
    names: tuple[str, ...]

    def attributions(self) -> tuple[Attribution, ...]:
        """Every feature's contribution, the largest in size first."""
        contribution = self.p.mean(axis=0) - self.u.mean(axis=0)
        spread = np.concatenate([self.p_features, self.u_features]).std(axis=0)
        difference = self.p_features.mean(axis=0) - self.u_features.mean(axis=0)
        difference = np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0)
        return tuple(
            Attribution(self.names[j], float(contribution[j]), float(difference[j]))
            for j in np.argsort(-np.abs(contribution), kind="stable")
        )

    def explanation(self) -> Any:
        """The values as a `shap.Explanation`, P's samples first, for the plots of the package shap.

        Raises:
          InputError: if the package is not installed.
        """
        try:
            import shap  # pyright: ignore[reportMissingImports]  (an extra)
        except ImportError:
            raise InputError(
                "The package shap is not installed; pip install 'jaxaudit[shap]'. The values need no package."
            ) from None
        return shap.Explanation(
            values=np.concatenate([self.p, self.u]),
            base_values=np.zeros(len(self.p) + len(self.u)),
            data=np.concatenate([self.p_features, self.u_features]),
            feature_names=list(self.names),
        )


def linear_shapley(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    weights: Float[np.ndarray, "K F"],
    fold_p: Int[np.ndarray, " n"],
    fold_u: Int[np.ndarray, " m"],
    names: tuple[str, ...],
) -> ShapleyValues:
    """Equation (1), every sample with the weights of its own scorer."""
    background = np.concatenate([p, u]).mean(axis=0)
    return ShapleyValues(weights[fold_p] * (p - background), weights[fold_u] * (u - background), p, u, names)

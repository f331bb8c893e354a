"""Many small logistic regressions at once: of many data sets, labellings and folds, by Newton's method.

With features x of a sample (the last of them constantly 1) and s = 1 for P, -1 for U, one fit is

  minimise  f(v) = sum_i m_i log(1 + exp(-s_i v·x_i)) + v'Qv / 2,   m_i = 1 in training, else 0            (1)

where v'Qv = ridge ||w||² + b², w and b being the weights and intercept that v amounts to on features
standardised over the training samples. So (1) is the usual L2-penalised fit on standardised features
(scikit-learn's liblinear with C = 1 / ridge, for ridge = 1), without a standardised copy.

The Hessian at v = 0, H0 = X'X / 4 + Q, is no smaller than the Hessian anywhere (Böhning, Annals of the
Institute of Statistical Mathematics 1992): steps by H0⁻¹ always descend, and one H0 serves all labellings.
Where they converge slowly the Hessian is renewed and its first step h is shortened to

  t = log(1 + r) / r,  r = max_i |h·x_i|                                                                 (2)

which descends for certain, as along h the third derivative of f is at most r times the second (Bach,
Electronic Journal of Statistics 2010; Sun and Tran-Dinh, Mathematical Programming 2019).

Axes: R data sets, L labellings of each, K folds (training sets) of each, N samples, D features with the 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

_STEPS = 1_000  # some ten are usual
_TOLERANCE = 1e-8  # of the Newton decrement: the distance from the optimum in standard errors
_SLOW = 0.5  # a step that leaves more of the decrement than this renews the Hessian
_CONSTANT = 1e-12  # variance below which a feature does not vary; it keeps its scale
_CHUNK = 500_000  # elements of one block of weighted features: 4 MB


def fit_logistic(
    x: Float[np.ndarray, "R N D"],
    is_p: Bool[np.ndarray, "R L N"],
    fold: Int[np.ndarray, " N"],
    ridge: Float[np.ndarray, " K"],
) -> tuple[Float[np.ndarray, "R L K D"], Float[np.ndarray, "R L K N"]]:
    """Fits (1) for every data set, labelling and fold.

    Args:
      x: [R,N,D] features of about unit size (for accuracy), the last of them constantly 1.
      is_p: [R,L,N] labels.
      fold: [N] the fit, 0 to K - 1, that does not train on a sample; -1 for samples all fits train on.
      ridge: [K] penalty of the weights on standardised features.

    Returns:
      [R,L,K,D] coefficients v and [R,L,K,N] logits v·x of all samples, trained on or not.

    Raises:
      ValueError: if a fit does not converge; with ridge > 0 and finite features it does.
    """
    (sets, labellings, _), folds = is_p.shape, len(ridge)
    train = fold != np.arange(folds)[:, None]
    mask, target = train.astype(np.float64), is_p[:, :, None].astype(np.float64)
    transposed = x.swapaxes(-1, -2)

    gram = _training_gram(x, fold, folds)[:, None]
    penalty = _penalty(gram, ridge)
    inverse = np.linalg.inv(gram / 4 + penalty)
    coefficients = np.zeros((sets, labellings, folds, x.shape[-1]))
    logits = np.zeros((sets, labellings, folds, x.shape[-2]))
    earlier = np.inf
    for _ in range(_STEPS):
        probability = special.expit(logits)
        gradient = _times((probability - target) * mask, x) + _apply(penalty, coefficients)
        decrement = np.sqrt(np.maximum((gradient * _apply(inverse, gradient)).sum(axis=-1), 0)).max()
        if decrement <= _TOLERANCE:
            return coefficients, logits
        renew = decrement > _SLOW * earlier
        if renew:
            inverse = np.linalg.inv(_weighted_gram(x, probability * (1 - probability) * mask) + penalty)
        step = -_apply(inverse, gradient)
        change = _times(step, transposed)
        if renew:
            reach = np.abs(change * mask).max(axis=-1, keepdims=True) + 1e-12
            length = np.log1p(reach) / reach
            step, change = length * step, length * change
        coefficients, logits, earlier = coefficients + step, logits + change, decrement
    raise ValueError(f"Logistic regression has not converged in {_STEPS} steps.")


def _penalty(gram: Float[np.ndarray, "R 1 K D D"], ridge: Float[np.ndarray, " K"]) -> np.ndarray:
    """Q in (1): the mean and (population) variance of the training samples are read off X'X."""
    moments = gram / gram[..., -1:, -1:]
    mean = moments[..., -1]
    variance = np.diagonal(moments, axis1=-2, axis2=-1) - mean**2
    variance = np.where(variance > _CONSTANT, variance, 1.0)
    variance[..., -1] = 0.0
    return (ridge[:, None] * variance)[..., None] * np.eye(gram.shape[-1]) + mean[..., :, None] * mean[
        ..., None, :
    ]


def _times(
    rows: Float[np.ndarray, "R L K A"], matrix: Float[np.ndarray, "R A B"]
) -> Float[np.ndarray, "R L K B"]:
    return (rows.reshape(len(rows), -1, rows.shape[-1]) @ matrix).reshape(*rows.shape[:3], -1)


def _apply(matrix: Float[np.ndarray, "R l K D D"], vector: Float[np.ndarray, "R L K D"]) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]


def _training_gram(
    x: Float[np.ndarray, "R N D"], fold: Int[np.ndarray, " N"], folds: int
) -> Float[np.ndarray, "R K D D"]:
    """X'X of the training samples of every fit: that of all samples less that of the fold left out."""
    parts = (x[:, fold == k] for k in range(folds))
    left_out = np.stack([part.swapaxes(-1, -2) @ part for part in parts], axis=1)
    return (x.swapaxes(-1, -2) @ x)[:, None] - left_out


def _weighted_gram(
    x: Float[np.ndarray, "R N D"], weights: Float[np.ndarray, "R l K N"]
) -> Float[np.ndarray, "R l K D D"]:
    """X'WX for every vector of weights, in blocks that fit the cache."""
    sets, labellings, folds, samples = weights.shape
    dim = x.shape[-1]
    gram = np.empty((sets, labellings, folds, dim, dim))
    block = max(1, _CHUNK // (sets * folds * samples * dim))
    transposed = x.swapaxes(-1, -2)[:, None, None]
    for start in range(0, labellings, block):
        rows = slice(start, start + block)
        gram[:, rows] = (transposed * weights[:, rows, :, None, :]) @ x[:, None, None]
    return gram

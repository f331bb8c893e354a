"""Copyrighted data identification (CDI): can a scorer tell P from U on samples it was not trained on?

The scorer is a logistic regression on the F features of a sample, standardised over the samples it is trained
on:

  minimise  sum_i log(1 + exp(-s_i (w·z_i + b))) + (lambda ||w||² + b²) / 2,   s_i = 1 for P, -1 for U   (1)
  score = 1 / (1 + exp(-(w·z + b - log(n_c / m_c))))                                                     (2)

with n_c of P and m_c of U in training. (2) is the probability of P had both been equally likely beforehand,
so unequal sizes do not crowd the scores at 0 or 1. P's and U's scores on samples held out are compared by
Welch's one-sided t. What is held out, and how t becomes a p-value:

  split: half of P and half of U train, the other halves are scored; the scores are independent, p is the
    larger of Student's and that of a permutation of the scores (needed where sizes are unequal and scores
    skewed).
  permutation: 5-fold, every sample is scored by the fit to the other four folds. These scores depend on each
    other, so p is the rank of t among random relabellings of the samples, the scorers refitted for each.
  paper: 5-fold with lambda = 1 and without log(n_c / m_c), yet p comes from Student's t, two-sided.

Split and permutation take lambda = a tenth of the training samples. Against lambda = 1 this raises the share
of draws that reject from 59% to 85% (400 samples a side, 26 features shifted by 0.3 standard deviations each)
and lowered it in no case tried. (2) finds more than w·z + b where features are skewed or heavy-tailed.

Source: Dubiński, Kowalczuk, Boenisch, Dziedzic, CVPR 2025, arXiv 2411.12858.

Axes: R data sets drawn from one pool of M samples, n of them P and m U; L labellings, K folds; F features,
D = F + 1 with a constant.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from jaxaudit.stats.logistic import fit_logistic
from jaxaudit.stats.welch import welch_statistic

FOLDS = 5
RIDGE = 0.1
"""lambda over the number of training samples, under split and permutation."""
_PUBLISHED_RIDGE = 1.0
_REFITS = 1_000_000  # logits of one block of relabellings: 8 MB


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What scorers make of samples they were not trained on.

    Attributes:
      p: [R,n'] scores (2) of P's held-out samples, in (0, 1), higher = more like P. u: [R,m'] of U's.
      weights: [R,K,F] of the scorers, for the features of the pool.
      fold_p: [n'] which scorer each sample of P met. fold_u: [m'] the same for U.
    """

    p: Float[np.ndarray, "R n"]
    u: Float[np.ndarray, "R m"]
    weights: Float[np.ndarray, "R K F"]
    fold_p: Int[np.ndarray, " n"]
    fold_u: Int[np.ndarray, " m"]


def make_pool(
    features: Float[np.ndarray, "M F"],
) -> tuple[Float[np.ndarray, "M D"], Float[np.ndarray, " F"]]:
    """The features at unit scale with a constant 1 behind them, and their spread [F] before.

    The scale changes no score; it keeps rounding small.
    """
    spread = features.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = (features - features.mean(axis=0)) / spread
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1), spread


def num_control(samples: int) -> int:
    """How many of the samples of a side train under `split`: half of them, or one more."""
    return -(-samples // 2)


def split_scores(
    pool: Float[np.ndarray, "M D"], p: Int[np.ndarray, "R n"], u: Int[np.ndarray, "R m"]
) -> HeldOut:
    """Trains on the first `num_control` rows of p and u and scores the others.

    Args:
      pool: [M,D] of `make_pool`.
      p: [R,n] rows of the pool that are P, in random order.
      u: [R,m] rows that are U.
    """
    n, m = num_control(p.shape[1]), num_control(u.shape[1])
    is_p = np.broadcast_to(np.arange(n + m) < n, (len(p), 1, n + m))
    control = pool[np.concatenate([p[:, :n], u[:, :m]], axis=1)]
    coefficients = fit_logistic(control, is_p, np.full(n + m, -1), np.array([RIDGE * (n + m)]))[0]
    test = pool[np.concatenate([p[:, n:], u[:, m:]], axis=1)]
    scores = special.expit((test @ coefficients[:, 0, 0, :, None])[..., 0] - np.log(n / m))
    tested = p.shape[1] - n
    return HeldOut(
        scores[:, :tested],
        scores[:, tested:],
        coefficients[:, 0, :, :-1],
        np.zeros(tested, int),
        np.zeros(u.shape[1] - m, int),
    )


def published_scores(
    pool: Float[np.ndarray, "M D"], p: Int[np.ndarray, "R n"], u: Int[np.ndarray, "R n"]
) -> HeldOut:
    """The published 5-fold scores of equally many samples, in their order: the folds count rows."""
    from sklearn.model_selection import KFold  # slow to import, and of this procedure only

    n = p.shape[1]
    fold = np.empty(n, int)
    for k, (_, test) in enumerate(KFold(FOLDS, shuffle=True, random_state=0).split(fold)):
        fold[test] = k
    is_p = np.broadcast_to(np.arange(2 * n) < n, (len(p), 1, 2 * n))
    x = pool[np.concatenate([p, u], axis=1)]
    scores, coefficients = _out_of_fold(x, is_p, np.tile(fold, 2), published=True)
    return HeldOut(scores[:, 0, :n], scores[:, 0, n:], coefficients[:, 0, :, :-1], fold, fold)


def refitted_statistics(
    pool: Float[np.ndarray, "M D"], is_p: Bool[np.ndarray, " M"], permutations: int, rng: np.random.Generator
) -> tuple[HeldOut, float, Float[np.ndarray, " B"]]:
    """5-fold scores of the whole pool (R = 1) with Welch's t, and t of random relabellings, refitted each.

    The folds ignore the labels, so all labellings are treated alike.
    """
    x, samples = pool[None], len(pool)
    fold = rng.permutation(samples) % FOLDS
    scores, coefficients = _out_of_fold(x, is_p[None, None], fold)
    held_out = HeldOut(
        scores[0][:, is_p], scores[0][:, ~is_p], coefficients[:, 0, :, :-1], fold[is_p], fold[~is_p]
    )
    permuted = []
    block = max(1, _REFITS // (FOLDS * samples))
    for start in range(0, permutations, block):
        labels = rng.permuted(np.tile(is_p, (min(block, permutations - start), 1)), axis=1)
        scores = _out_of_fold(x, labels[None], fold)[0][0]
        permuted.append(
            welch_tests(*(scores[side].reshape(len(scores), -1) for side in (labels, ~labels)))[0]
        )
    return held_out, float(welch_tests(held_out.p, held_out.u)[0][0]), np.concatenate(permuted)


def welch_tests(
    p: Float[np.ndarray, "R n"], u: Float[np.ndarray, "R m"]
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Welch's t and its degrees of freedom in every data set; t = 0 where neither side varies."""
    difference, var_p, var_u = p.mean(axis=1) - u.mean(axis=1), p.var(axis=1, ddof=1), u.var(axis=1, ddof=1)
    varies = var_p + var_u > 1e-24
    var_p, var_u = np.where(varies, var_p, 1), np.where(varies, var_u, 1)
    t, df = welch_statistic(difference, var_p, p.shape[1], var_u, u.shape[1])
    return np.where(varies, t, 0), df


def _out_of_fold(
    x: Float[np.ndarray, "R N D"],
    is_p: Bool[np.ndarray, "R L N"],
    fold: Int[np.ndarray, " N"],
    *,
    published: bool = False,
) -> tuple[Float[np.ndarray, "R L N"], Float[np.ndarray, "R L K D"]]:
    """Every sample's score by the fit to the other folds, and the fits."""
    train = fold != np.arange(FOLDS)[:, None]
    ridge = np.full(FOLDS, _PUBLISHED_RIDGE) if published else RIDGE * train.sum(axis=1)
    coefficients, logits = fit_logistic(x, is_p, fold, ridge)
    own = logits[:, :, fold, np.arange(len(fold))]
    if not published:
        num_p = is_p @ train.T.astype(float)
        # A training set of one side only is possible in a relabelling of very few samples.
        odds = np.maximum(num_p, 0.5) / np.maximum(train.sum(axis=1) - num_p, 0.5)
        own = own - np.log(odds)[..., fold]
    return special.expit(own), coefficients

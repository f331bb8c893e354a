"""The blind gate: can P be told from U without looking at the model?

If pixels, labels or compressed sizes alone separate P from U, a difference in membership scores says nothing
about training (Das et al., 2024, arXiv 2406.16201). A two-sample test on what a picture is and what it is
labelled (`jaxaudit.stats.covariates`) combines, by the harmonic mean of their p-values over one set of
relabellings, statistics that see different differences (`jaxaudit.stats.relabelling`):

  largest and hotelling of the features         one is shifted; a weighted sum is
  hotelling of the features within classes      orientation, position, style
  squares of random Fourier features of these   anything else (Rahimi and Recht, NIPS 2007: a kernel MMD) (1)
  largest of typicality                         labels, quality, a few odd pictures
  squares of the classes                        another mix of classes

The level is the gate's own, whatever the significance level of the verdict. It is no proof that P and U
agree: beside it stand the smallest shift of one feature that would have been found at this size in 80% of
cases,

  d = (t* + Φ⁻¹(0.8)) sqrt(1/n + 1/m),  t* the critical value of the largest                             (2)

and how well a blind classifier does, which says how much a difference matters where n is large and any
difference is significant: the AUC of out-of-fold ridge regression on all of these columns, averaged over
foldings.

Axes: n samples of P, m of U, N = n + m, K features, B relabellings.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import special

from jaxaudit.errors import InputError
from jaxaudit.results import Gate
from jaxaudit.stats import relabelling
from jaxaudit.stats.covariates import Covariates, covariates
from jaxaudit.stats.inputs import check_features, check_fraction, class_labels, feature_matrices
from jaxaudit.stats.intervals import auc_interval
from jaxaudit.stats.relabelling import Relabelling, standardised

GATE_LEVEL = 0.1
"""The gate's own significance level, whatever that of the verdict."""
_POWER = 0.8
_FOURIER = 256
_FOLDS = 5
_FOLDINGS = 10
_MOST_FOLDED = 100_000  # rows over all foldings: one folding of so many decides like any other
_RIDGE = 0.3
_RIDGE_WITHIN = 1.0


def blind_gate(
    p_blind: Real[np.ndarray, "n K"],
    u_blind: Real[np.ndarray, "m K"],
    *,
    p_labels: Int[np.ndarray, " n"] | None = None,
    u_labels: Int[np.ndarray, " m"] | None = None,
    level: float = GATE_LEVEL,
    permutations: int = 999,
    seed: int = 0,
) -> Gate:
    """Tests whether P and U differ in what never saw the model.

    Args:
      p_blind: [n,K] features of P, in any unit; constant columns are left out.
      u_blind: [m,K] features of U.
      p_labels, u_labels: classes, None for models without.
      level: significance level of the gate.
      permutations: relabellings.
      seed: of relabellings and foldings.

    Raises:
      InputError: if a feature is NaN or infinite, shapes do not fit, no feature varies, or there are too few
        samples or relabellings for a p-value <= level to exist.
    """
    check_fraction(level, "level")
    p, u, names = feature_matrices(p_blind, u_blind, None)
    check_features(p, u, names, allow_constant=True)
    classes = class_labels(p_labels, u_labels, len(p), len(u))
    rng = np.random.default_rng(seed)
    labelling = relabelling.relabel_for(level, len(p), len(u), permutations, rng)
    given = covariates(np.concatenate([p, u]), classes)
    blind = out_of_fold_scores(given.columns, len(p), seed=seed)
    return gate(given, labelling, len(p), blind=blind, level=level, seed=seed)


def gate(
    given: Covariates,
    labels: Relabelling,
    n: int,
    *,
    blind: Float[np.ndarray, " N"],
    level: float = GATE_LEVEL,
    seed: int = 0,
) -> Gate:
    """`blind_gate` of covariates of n samples of P above those of U, and their `out_of_fold_scores`.

    Raises:
      InputError: if no feature varies.
    """
    if not given.features.shape[1]:
        raise InputError(
            "Every blind feature is constant over P and U; they cannot test whether P and U differ."
        )
    rows = labels.rows
    t = labels.statistics(given.features)
    largest = relabelling.largest(t)
    found = {
        "features": largest,
        "features together": relabelling.hotelling(t, given.features[rows], _RIDGE),
        "features within classes": relabelling.hotelling(
            labels.statistics(given.within), given.within[rows], _RIDGE_WITHIN
        ),
        "anything else": relabelling.squares(labels.statistics(_fourier(given.within))),
    }
    if given.typicality.shape[1]:
        found["typicality and labels"] = relabelling.largest(labels.statistics(given.typicality))
    if given.classes.shape[1]:
        found["mix of classes"] = relabelling.squares(labels.statistics(given.classes))
    each = relabelling.p_values(np.stack(list(found.values())))
    p_value = float(relabelling.harmonic(each)[0])
    critical = float(np.quantile(largest[1:], 1 - level))
    m = len(given.features) - n
    return Gate(
        passed=p_value > level,
        p_value=p_value,
        p_values={name: float(p) for name, p in zip(found, each[:, 0], strict=True)},
        auc=auc_interval(blind[:n], blind[n:]),
        level=level,
        detectable_shift=(critical + float(special.ndtri(_POWER))) * float(np.sqrt(1 / n + 1 / m)),
        num_p=n,
        num_u=m,
        num_features=given.features.shape[1],
        permutations=len(labels.labels) - 1,
        seed=seed,
    )


def out_of_fold_scores(
    columns: Float[np.ndarray, "N K"], n: int, *, seed: int = 0
) -> Float[np.ndarray, " N"]:
    """Out-of-fold scores of ridge regression of "is one of the first n" on the columns, higher = P.

    Folds are stratified; scores are averaged over up to 10 foldings, so that no single one decides.
    """
    z, labels = standardised(columns), (np.arange(len(columns)) < n).astype(float)
    gram, moments = z.T @ z, z.T @ labels
    scores, rng = np.zeros(len(z)), np.random.default_rng(seed)
    foldings = int(np.clip(_MOST_FOLDED // len(z), 1, _FOLDINGS))
    for _ in range(foldings):
        fold = np.concatenate([rng.permutation(n), rng.permutation(len(z) - n)]) % _FOLDS
        for k in range(_FOLDS):
            # Sums over the other folds are sums over all, less those over this one.
            test, left_out = z[fold == k], labels[fold == k]
            size = len(z) - len(test)
            mean, share = -test.sum(axis=0) / size, (n - left_out.sum()) / size
            fitted = gram - test.T @ test - size * np.outer(mean, mean)
            fitted[np.diag_indices_from(fitted)] += _RIDGE * size
            weights = np.linalg.solve(fitted, moments - test.T @ left_out - size * share * mean)
            scores[fold == k] += (test - mean) @ weights
    return scores / foldings


def _fourier(z: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N 256"]:
    """cos(z w + φ) with w ~ N(0, 1/K): averages of products are a Gaussian kernel of the distance."""
    rng = np.random.default_rng(0)
    frequencies = rng.standard_normal((z.shape[1], _FOURIER)) / np.sqrt(max(z.shape[1], 1))
    return np.cos(z @ frequencies + rng.uniform(0, 2 * np.pi, _FOURIER))

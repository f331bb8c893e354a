"""What a picture is and what it is labelled, in columns that a test can compare or adjust for.

From blind features (they never saw the model) and class labels of P and U together; nothing here knows which
side a sample is on, so tests of these columns by relabelling stay exact.

  z    normal scores of the features                                                                     (1)
  z'   the same less the mean of the sample's class: what differs within classes

Typicality asks whether a picture looks like what it is labelled. With class means mu_c, shrunk by one sample
at 0, and one covariance S within classes, shrunk halfway to a multiple of the identity, all but that multiple
without the sample itself (leave-one-out, in closed form by the Sherman-Morrison formula):

  q_c = -(z - mu_c)' S⁻¹ (z - mu_c) / 2 + log n_c                                                        (2)
  own = q_y,  mixture = log sum_c exp q_c,  label = own - mixture,  ease = max_c q_c - mixture           (3)

`label` is the log-probability that a blind classifier gives the sample's label: low where a label is wrong or
a picture is mirrored, shifted, or hard. Beside it stand distances to the nearest samples, of the same label
and of any, and the lowest shares of each, for what differs in a few samples only.

Axes: N samples, K features, C classes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, special

from jaxaudit.stats.relabelling import normal_scores, standardised

_SHRINKAGE = 0.5
_NEIGHBOURS = 3
_MOST_REFERENCES = 2_000
_LOWEST = (0.05, 0.1, 0.2, 0.5)
_COMPONENTS = 20
_FEWEST_OF_CLASS = 4
_MOST_CLASSES = 100
_COLLINEAR = 1e-4  # singular values this much smaller than the largest say nothing of their own
_CHUNK = 4_000_000  # elements of one block of a distance matrix: 32 MB


@dataclasses.dataclass(frozen=True)
class Covariates:
    """From `covariates`.

    Attributes:
      features: [N,K] (1), of unit spread; constant features are left out.
      within: [N,K] the same within classes.
      classes: [N,C] 1 where the sample is of the class; classes of fewer than 4 samples share a column, and
        there is none without labels, or with one class.
      reference: [N,R] those of the features that are scores of a reference model.
      typicality: [N,T] normal scores of (3) and of the distances, then indicators of their lowest shares;
        what tells most comes first.
    """

    features: Float[np.ndarray, "N K"]
    within: Float[np.ndarray, "N K"]
    classes: Float[np.ndarray, "N C"]
    reference: Float[np.ndarray, "N R"]
    typicality: Float[np.ndarray, "N T"]

    @property
    def columns(self) -> Float[np.ndarray, "N D"]:
        """What a blind classifier may use: what is within classes follows from the rest, and of more than 100
        classes each is too rare to say much.
        """
        classes = self.classes[:, : self.classes.shape[1] if self.classes.shape[1] <= _MOST_CLASSES else 0]
        return np.hstack([self.features, self.typicality, classes])


def covariates(
    blind: Float[np.ndarray, "N K"],
    labels: Int[np.ndarray, " N"] | None = None,
    *,
    num_reference: int = 0,
) -> Covariates:
    """The columns of samples with these blind features, in any unit, and class labels.

    Without labels, or with one class, all samples are of one class. The last `num_reference` features are
    scores of a reference model.
    """
    varies = np.ptp(blind, axis=0) > 0 if len(blind) else np.ones(blind.shape[1], bool)
    z = standardised(normal_scores(blind[:, varies]))
    first = int(varies[: blind.shape[1] - num_reference].sum())
    classes = np.unique(labels, return_inverse=True)[1] if labels is not None else np.zeros(len(z), int)
    indicators, reference = _indicators(classes), z[:, first:]
    if not z.shape[1]:
        return Covariates(z, z, indicators, reference, np.zeros((len(z), 0)))
    return Covariates(z, _within(z, classes), indicators, reference, _typicality(z, classes))


def adjusted(scores: Float[np.ndarray, "N F"], given: Covariates) -> Float[np.ndarray, "N F"]:
    """What is left of the scores once what covariates explain linearly is taken away, as far as N allows.

    Residuals of least squares on classes, the scores of a reference model, typicality, and the leading
    principal components of the features within classes and over all: at most N/8 of each, N/16 of the last
    and 20 of either components. Of more classes than that, none; of more scores of a reference, their leading
    components; what features show beyond these components is not taken away. Permuting the residuals
    (Freedman and Lane 1983) is approximately exact; a difference between P and U in the covariates only makes
    the test more cautious.
    """
    samples, num_classes = given.classes.shape
    reference = given.reference
    known = [
        reference if reference.shape[1] <= samples // 8 else _components(reference, samples // 8),
        given.typicality[:, : samples // 8],
        _components(given.within, min(_COMPONENTS, samples // 8)),
        _components(given.features, min(_COMPONENTS, samples // 16)),
    ]
    # Least squares on classes subtracts their means; what else is known follows (Frisch and Waugh).
    by_class = 0 < num_classes <= samples // 8
    classes = given.classes.argmax(axis=1) if by_class else np.zeros(samples, int)
    columns = _within(np.hstack(known), classes)
    basis = linalg.orth(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12), rcond=_COLLINEAR)
    rest = _within(scores, classes)
    return rest - basis @ (basis.T @ rest)


def _typicality(z: Float[np.ndarray, "N K"], classes: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N T"]:
    own, mixture, ease = _log_densities(z, classes)
    same, anyone = _nearest(z, classes)
    named = np.column_stack([own - mixture, own, -same, anyone - same, ease, mixture, -anyone])
    if classes.max() == 0:
        named = named[:, [1, 2]]  # with one class all others follow from these
    tails = [(named <= np.quantile(named, share, axis=0)).astype(float) for share in _LOWEST]
    columns = np.hstack([normal_scores(named), *tails])
    return standardised(columns[:, np.ptp(columns, axis=0) > 0])


def _log_densities(
    z: Float[np.ndarray, "N K"], classes: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """own, mixture and ease of (3), each without the sample itself."""
    samples, features = z.shape
    counts = np.bincount(classes).astype(float)
    sums = _class_sums(z, classes)
    centred = _within(z, classes)
    covariance = centred.T @ centred / samples
    level = np.trace(covariance) / features + 1e-12
    shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(features)
    whiten = np.linalg.inv(np.linalg.cholesky(shrunk)).T
    z, sums, centred = z @ whiten, sums @ whiten, centred @ whiten
    means = sums / (counts + 1)[:, None]
    # Leaving out a sample changes its own class's mean, and takes weight · v v' from the covariance.
    n = counts[classes]
    weight = (1 - _SHRINKAGE) / samples * n / np.maximum(n - 1, 1)
    v2 = np.sum(centred**2, axis=1)
    gain = weight / np.maximum(1 - weight * v2, 1e-6)
    own_mean = (sums[classes] - z) / n[:, None]
    log_counts = np.log(counts + 0.5)
    own, mixture, ease = (np.empty(samples) for _ in range(3))
    norms = np.sum(means**2, axis=1)
    for start in range(0, samples, max(1, _CHUNK // len(counts))):
        rows = slice(start, start + max(1, _CHUNK // len(counts)))
        cross = z[rows] @ means.T
        distance = np.sum(z[rows] ** 2, axis=1)[:, None] - 2 * cross + norms
        along = np.sum(z[rows] * centred[rows], axis=1)[:, None] - centred[rows] @ means.T
        place = np.arange(len(cross)), classes[rows]
        apart = z[rows] - own_mean[rows]
        distance[place] = np.sum(apart**2, axis=1)
        along[place] = np.sum(apart * centred[rows], axis=1)
        q = -(distance + gain[rows, None] * along**2) / 2 + log_counts
        q[place] += np.log(np.maximum(n[rows] - 0.5, 0.5)) - log_counts[classes[rows]]
        own[rows], mixture[rows] = q[place], special.logsumexp(q, axis=1)
        ease[rows] = q.max(axis=1) - mixture[rows]
    return own, mixture, ease


def _nearest(
    z: Float[np.ndarray, "N K"], classes: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Mean distance to the 3 nearest others of the same label, and of any; of large sets, to every k-th."""
    reference = np.arange(0, len(z), max(1, -(-len(z) // _MOST_REFERENCES)))
    k = min(_NEIGHBOURS, len(reference) - 1)
    norms = np.sum(z**2, axis=1)
    furthest = 2 * np.sqrt(norms.max())
    same, anyone = np.empty(len(z)), np.empty(len(z))
    step = max(1, _CHUNK // len(reference))
    for start in range(0, len(z), step):
        rows = np.arange(start, min(start + step, len(z)))
        squared = norms[rows, None] + norms[reference] - 2 * z[rows] @ z[reference].T
        distance = np.sqrt(np.maximum(squared, 0))
        distance[rows[:, None] == reference] = furthest
        anyone[rows] = np.partition(distance, k - 1, axis=1)[:, :k].mean(axis=1)
        distance[classes[rows, None] != classes[reference]] = furthest
        same[rows] = np.partition(distance, k - 1, axis=1)[:, :k].mean(axis=1)
    return same, anyone


def _within(z: Float[np.ndarray, "N K"], classes: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N K"]:
    """z less the mean of its class."""
    means = _class_sums(z, classes) / np.bincount(classes)[:, None]
    return z - means[classes]


def _class_sums(z: Float[np.ndarray, "N K"], classes: Int[np.ndarray, " N"]) -> Float[np.ndarray, "C K"]:
    sums = np.zeros((classes.max() + 1, z.shape[1]))
    np.add.at(sums, classes, z)
    return sums


def _indicators(classes: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N C"]:
    counts = np.bincount(classes)
    common = np.flatnonzero(counts >= _FEWEST_OF_CLASS)
    columns = (classes[:, None] == common).astype(np.float32)
    if len(common) < len(counts):
        columns = np.column_stack([columns, 1 - columns.sum(axis=1)])
    return columns if columns.shape[1] > 1 else columns[:, :0]


def _components(z: Float[np.ndarray, "N K"], count: int) -> Float[np.ndarray, "N Q"]:
    """The scores on the leading `count` principal components."""
    centred = z - z.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, ::-1][:, :count]

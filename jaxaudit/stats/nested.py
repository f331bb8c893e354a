"""A classifier of members over many features, chosen and judged on different pictures.

Nested cross-validation: of K outer folds, each is scored by a classifier that was chosen and fitted on the
others, where every candidate is judged by its AUC over K inner folds. So no picture has a say in the choice
or the fit of what scores it. The published procedure chooses among the candidates by the very folds it
reports (`unnested`), and the best of many flatters itself: where there is nothing to find, DeLong's interval
lies above 1/2 in 12% of runs, nested in 4.3% (60 against 80 pictures, 400 runs), for 2.5%. The fits share
pictures, so an interval that takes scores for independent is a little too narrow: no verdict rests on it.

Candidates are the published ones: logistic regression with C from 0.01 to 100; a tree with depth and fewest
samples of a split of 2, 8, 16; a forest with these depths, and a network with two hidden layers of 10. Of the
forests of 10, 100 and 1,000 trees there is the one of 100: the number of trees is no choice to be tuned, and
more of them are no worse.

Sources: Dubiński et al., WACV 2024 (arXiv 2306.12983) and its extension, B.4. Nesting: Varma and Simon, BMC
Bioinformatics 7:91, 2006. Trees of a forest: Probst and Boulesteix, JMLR 18, 2018.

Axes: n members, m nonmembers, N both, F features.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from jaxaudit.stats.inputs import check_enough, check_features, feature_matrices
from jaxaudit.stats.roc import auc

FOLDS = 5
FEWEST = 2 * FOLDS
"""Pictures of a side, so that every inner fold has some."""
_DEPTHS = (2, 8, 16)

Candidates = Mapping[str, Any]
"""{name: a scikit-learn classifier with `predict_proba`}."""


def published_candidates(*, seed: int = 0) -> dict[str, Any]:
    """Those of the module; `seed` is of forests, trees and networks."""
    logistic = {f"logistic C={c:g}": LogisticRegression(C=c) for c in (0.01, 0.1, 1, 10, 100)}
    trees = {
        f"tree depth={depth} split={split}": DecisionTreeClassifier(
            max_depth=depth, min_samples_split=split, random_state=seed
        )
        for depth in _DEPTHS
        for split in (2, 8, 16)
    }
    forests = {
        f"forest depth={depth}": RandomForestClassifier(100, max_depth=depth, random_state=seed)
        for depth in _DEPTHS
    }
    network = MLPClassifier(
        (10, 10),
        batch_size=32,  # pyright: ignore[reportArgumentType]  (scikit-learn's stubs know "auto" alone)
        max_iter=100,
        early_stopping=True,
        learning_rate_init=1e-3,
        random_state=seed,
    )
    return {**logistic, **trees, **forests, "network": network}


@dataclasses.dataclass(frozen=True, eq=False)
class NestedScores:
    """What nested cross-validation makes of all pictures.

    Attributes:
      members: [n] probability of membership, by a classifier that has not seen the picture. nonmembers: [m].
      chosen: the classifier of each outer fold.
      unnested: the one that is best over all pictures.
      unnested_members, unnested_nonmembers: its probabilities, out of fold, but chosen by these pictures.
    """

    members: Float[np.ndarray, " n"]
    nonmembers: Float[np.ndarray, " m"]
    chosen: tuple[str, ...]
    unnested: str
    unnested_members: Float[np.ndarray, " n"]
    unnested_nonmembers: Float[np.ndarray, " m"]


def nested_cross_validation(
    members: Float[np.ndarray, "n F"],
    nonmembers: Float[np.ndarray, "m F"],
    *,
    candidates: Candidates | None = None,
    seed: int = 0,
) -> NestedScores:
    """Scores of all pictures, nested and not.

    Args:
      members, nonmembers: features, in any units; they are standardised on what a classifier is fitted to.
      candidates: to choose from; default `published_candidates`.
      seed: of the folds, and of the default candidates.

    Raises:
      InputError: if a feature is NaN or infinite, shapes do not fit, or a side holds fewer than `FEWEST`.
    """
    candidates = published_candidates(seed=seed) if candidates is None else candidates
    x, y, names = feature_matrices(members, nonmembers, None)
    check_enough(min(len(x), len(y)), FEWEST, "pictures of each side")
    check_features(x, y, names, allow_constant=True)
    features, is_member = np.concatenate([x, y]), np.arange(len(x) + len(y)) < len(x)
    nested, chosen = np.empty(len(features)), []
    for fold, (known, unseen) in enumerate(_folds(is_member, seed)):
        inside = _out_of_fold(features[known], is_member[known], candidates, seed + fold)
        best = _best(inside, is_member[known])
        nested[unseen] = _fitted(candidates[best], features, is_member, known, unseen)
        chosen.append(best)
    everywhere = _out_of_fold(features, is_member, candidates, seed)
    best = _best(everywhere, is_member)
    return NestedScores(
        nested[is_member],
        nested[~is_member],
        tuple(chosen),
        best,
        everywhere[best][is_member],
        everywhere[best][~is_member],
    )


def _folds(is_member: Bool[np.ndarray, " N"], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(known, unseen) rows of every fold, each with its share of either side."""
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(is_member, is_member))


def _out_of_fold(
    features: Float[np.ndarray, "N F"], is_member: Bool[np.ndarray, " N"], candidates: Candidates, seed: int
) -> dict[str, Float[np.ndarray, " N"]]:
    """{candidate: probabilities, each picture by a fit to the other folds}."""
    found = {name: np.empty(len(features)) for name in candidates}
    for known, unseen in _folds(is_member, seed):
        for name, candidate in candidates.items():
            found[name][unseen] = _fitted(candidate, features, is_member, known, unseen)
    return found


def _fitted(
    candidate: Any,
    features: Float[np.ndarray, "N F"],
    is_member: Bool[np.ndarray, " N"],
    known: np.ndarray,
    unseen: np.ndarray,
) -> Float[np.ndarray, " k"]:
    """Probabilities of unseen pictures by a fit to known ones."""
    pipeline = make_pipeline(StandardScaler(), clone(candidate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after 100 steps or epochs it is early stopping
        pipeline.fit(features[known], is_member[known])
    return pipeline.predict_proba(features[unseen])[:, 1]


def _best(scores: Mapping[str, Float[np.ndarray, " N"]], is_member: Bool[np.ndarray, " N"]) -> str:
    return max(scores, key=lambda name: auc(scores[name][is_member], scores[name][~is_member]))

"""What a statistic accepts: finite scores that can tell something apart, and enough of them.

Axes: n samples, F features (scores of one sample).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int, Real

from jaxaudit.errors import InputError


def score_vectors(
    members: Real[np.ndarray, " n"], nonmembers: Real[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Both as float64.

    Raises:
      InputError: if a side is not one-dimensional or empty, or a score is NaN or infinite.
    """
    vectors = np.asarray(members, np.float64), np.asarray(nonmembers, np.float64)
    for vector, what in zip(vectors, ("members' scores", "nonmembers' scores"), strict=True):
        if vector.ndim != 1 or vector.size == 0:
            raise InputError(f"{_capital(what)} have shape {vector.shape}; expected [n] with n >= 1.")
        check_finite(vector, what)
    return vectors


def check_finite(vector: Float[np.ndarray, " n"], what: str) -> None:
    """Raises InputError naming `what` and the first samples at which `vector` is NaN or infinite."""
    (wrong,) = np.nonzero(~np.isfinite(vector))
    if wrong.size:
        first = ", ".join(map(str, wrong[:5]))
        raise InputError(
            f"{_capital(what)} are NaN or infinite for {wrong.size} of {vector.size} samples "
            f"(indexes {first}{', ...' if wrong.size > 5 else ''}); a score must be a finite number."
        )


def check_not_constant(pooled: Float[np.ndarray, " n"], name: str) -> None:
    """Raises InputError if the score `name` has one value for all samples."""
    if pooled.min() == pooled.max():
        raise InputError(
            f"Score {name!r} is {pooled[0] + 0.0:g} for all {pooled.size} samples; "
            "a constant tells nothing apart, leave it out."
        )


def feature_matrices(
    p_features: Float[np.ndarray, "n F"], u_features: Float[np.ndarray, "m F"], names: Sequence[str] | None
) -> tuple[Float[np.ndarray, "n F"], Float[np.ndarray, "m F"], tuple[str, ...]]:
    """Both as float64, and the F names ("feature 0", ... if none are given).

    Raises:
      InputError: if the shapes or the number of names do not fit, or a set holds fewer than 2 samples.
    """
    p, u = np.asarray(p_features, np.float64), np.asarray(u_features, np.float64)
    if p.ndim != 2 or u.ndim != 2 or p.shape[1] != u.shape[1] or p.shape[1] == 0:
        raise InputError(f"Features of shapes {p.shape} and {u.shape} do not fit; expected [n,F] and [m,F].")
    check_enough(min(len(p), len(u)), 2, "samples in each of P and U for a variance")
    if names is not None and len(names) != p.shape[1]:
        raise InputError(f"{len(names)} names do not fit {p.shape[1]} features.")
    return p, u, tuple(names) if names is not None else tuple(f"feature {j}" for j in range(p.shape[1]))


def class_labels(
    p: Int[np.ndarray, " n"] | None, u: Int[np.ndarray, " m"] | None, n: int, m: int
) -> Int[np.ndarray, " N"] | None:
    """The labels of n samples of P and m of U together; None for models without.

    Raises:
      InputError: if they are given for one of P and U only, or their number does not fit.
    """
    if p is None and u is None:
        return None
    if p is None or u is None:
        raise InputError("Labels are given for one of P and U only; both or none are needed.")
    if p.shape != (n,) or u.shape != (m,):
        raise InputError(f"Labels of shapes {p.shape} and {u.shape} do not fit {n} and {m} samples.")
    return np.concatenate([p, u])


def named_features(
    p_features: Mapping[str, Float[np.ndarray, " n"]] | Float[np.ndarray, "n F"],
    u_features: Mapping[str, Float[np.ndarray, " m"]] | Float[np.ndarray, "m F"],
) -> tuple[Float[np.ndarray, "n F"], Float[np.ndarray, "m F"], tuple[str, ...]]:
    """Both as checked float64 matrices, and the F names ("feature_0", ... for matrices).

    Raises:
      InputError: if shapes or names do not fit, a set holds fewer than 2 samples, or a feature is NaN,
        infinite or constant over P and U (named, with the first samples).
    """
    names = None
    if isinstance(p_features, Mapping) and isinstance(u_features, Mapping):
        names = tuple(p_features)
        if missing := sorted(p_features.keys() ^ u_features.keys()):
            raise InputError(
                f"Features {', '.join(map(repr, missing[:5]))} are known for one of P and U only."
            )
        p_features, u_features = _columns(p_features, names, "P"), _columns(u_features, names, "U")
    if isinstance(p_features, Mapping) or isinstance(u_features, Mapping):
        raise InputError(
            "The features of P and U must both be {name: values}, or both arrays [n,F] and [m,F]."
        )
    p, u, _ = feature_matrices(p_features, u_features, names)
    names = names or tuple(f"feature_{j}" for j in range(p.shape[1]))
    check_features(p, u, names)
    return p, u, names


def _columns(
    features: Mapping[str, Float[np.ndarray, " n"]], names: Sequence[str], what: str
) -> Float[np.ndarray, "n F"]:
    columns = [np.asarray(features[name], np.float64) for name in names]
    shapes = {column.shape for column in columns}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise InputError(
            f"The features of {what} have shapes {sorted(shapes)}; expected one number per sample."
        )
    return np.stack(columns, axis=1)


def check_features(
    p: Float[np.ndarray, "n F"],
    u: Float[np.ndarray, "m F"],
    names: Sequence[str],
    *,
    allow_constant: bool = False,
) -> None:
    """Raises InputError naming the first feature that is not finite, or constant over P and U."""
    for j, name in enumerate(names):
        check_finite(p[:, j], f"values of score {name!r} in P")
        check_finite(u[:, j], f"values of score {name!r} in U")
        if not allow_constant:
            check_not_constant(np.concatenate([p[:, j], u[:, j]]), name)


def check_enough(count: int, needed: int, what: str) -> None:
    """Raises InputError if `count` < `needed`."""
    if count < needed:
        raise InputError(f"{count} are too few; at least {needed} {what} are needed.")


def check_fraction(value: float, name: str) -> None:
    """Raises InputError if `value` is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(f"{name}={value} is not between 0 and 1.")


def _capital(what: str) -> str:
    return what[0].upper() + what[1:]

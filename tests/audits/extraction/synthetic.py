"""Completions with chosen similarities, no model behind them."""

import numpy as np

from jaxaudit.attacks.similarity import Similarity
from jaxaudit.audits.extraction import Candidates, Completions, Reference, assess_extraction
from jaxaudit.audits.extraction.alike import choose_alike
from tests import tiny

SIMILARITY = Similarity("pixels", 0.9, "Correlation of grey levels.", "", tiny.unused)
STEPS = (1, 4, 16, 64)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def completions(similarity, *, features=None, nearest=0.5, labels=None, prefix="p", scores=None):
    """Of N pictures from P = 1, 2, ... scales; `similarity` [N,P]."""
    similarity = np.asarray(similarity, np.float32)
    count, prefixes = similarity.shape
    names = np.array([f"{prefix}{row:04d}" for row in range(count)])
    candidates = Candidates(
        sample_ids=names,
        labels=np.zeros(count, np.int32) if labels is None else np.asarray(labels, np.int32),
        digests=names,
        scores={"greedy_match": np.linspace(1, 0.5, count, dtype=np.float32) if scores is None else scores},
        score="greedy_match",
        num_ranked=10 * count,
    )
    if features is None:
        features = unit(np.eye(max(count, 8))[:count])
    return Completions(
        candidates,
        tuple(range(1, prefixes + 1)),
        similarity,
        np.full(similarity.shape, nearest, np.float32),
        np.full(similarity.shape, "other"),
        features,
    )


def assessed(candidates, validation, config, others=None):
    """`assess_extraction` of pictures none of which hang together."""
    alike = None
    if validation is not None:
        sides = candidates, validation
        chosen = choose_alike(*(side.candidates for side in sides), top_k=config.top_k, seed=config.seed)
        alike = tuple(
            np.array([side.by_id[name] for name in which.sample_ids]).reshape(-1, len(side.prefixes))
            for side, which in zip(sides, chosen, strict=True)
        )
    return assess_extraction(
        candidates, validation, others or reference(), SIMILARITY, STEPS, config, alike=alike
    )


def reference(count=50):
    rng = np.random.default_rng(0)
    names = np.array([f"r{row}" for row in range(count)])
    return Reference(names, names, unit(rng.normal(size=(count, 16)) + 1.5))

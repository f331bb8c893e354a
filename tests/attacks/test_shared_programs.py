"""Steps are values: equal ones, of targets built apart, share a compiled program; others get their own."""

import dataclasses

import chex
import numpy as np
import pytest

from jaxaudit.attacks.completion import DiscreteExtraction, ExtractionAttack
from jaxaudit.attacks.runner import Scorer
from jaxaudit.attacks.step_by_kind import STEPS
from jaxaudit.runtime.parallel import data_parallel
from tests import tiny, tiny_diffusion

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
TARGETS = {
    "discrete": tiny.rar_target.__wrapped__,
    "continuous": tiny.mar_target.__wrapped__,
    "diffusion": lambda: dataclasses.replace(tiny_diffusion.target(), name="again"),
}


@pytest.fixture(autouse=True)
def _fresh():
    chex.clear_trace_counter()
    data_parallel.cache_clear()


def score(target, names):
    return Scorer(target, names).submit(IMAGES, np.array([1, 0])).result()


@pytest.mark.parametrize("kind", TARGETS)
def test_equal_steps_share_a_program(kind, monkeypatch):
    first, second = TARGETS[kind](), TARGETS[kind]()
    assert first is not second
    step = STEPS[kind]
    monkeypatch.setattr(step, "__call__", chex.assert_max_traces(step.__call__, n=1))
    chex.assert_trees_all_equal(score(first, "*unified_loss"), score(second, "*unified_loss"))
    score(first, "*unified_loss")
    with pytest.raises(AssertionError, match="traced > 1 times"):
        score(first, "paper")


def test_equal_extractions_share_a_program(monkeypatch):
    encode = chex.assert_max_traces(DiscreteExtraction.encode, n=1)
    monkeypatch.setattr(DiscreteExtraction, "encode", encode)
    tokens = [ExtractionAttack(TARGETS["discrete"]()).encode(IMAGES).result() for _ in range(2)]
    chex.assert_trees_all_equal(*tokens)
    with pytest.raises(AssertionError, match="traced > 1 times"):
        ExtractionAttack(TARGETS["discrete"](), seed=1).encode(IMAGES)

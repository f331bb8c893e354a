"""Stages are compared with the matrix products beside them."""

import itertools

import jax.numpy as jnp
import pytest

from jaxaudit.audits.benchmark import timing
from jaxaudit.audits.benchmark.timing import Lap, Stage, matrix_product, speedup, time_in_turn


def test_a_share_is_that_of_the_products_before_and_after(monkeypatch):
    product, stage = Stage(lambda: None, flops=100), Stage(lambda: None, flops=50)
    products = itertools.chain([9, 1.0, 3.0, 2.0, 2.0])  # the first only compiles
    stages = iter([7, 4.0, 1.0])
    monkeypatch.setattr(
        timing, "lap", lambda each: (lambda s: Lap(s, s / 2))(next(products if each is product else stages))
    )
    speeds = time_in_turn({"stage": stage}, product, rounds=2, batch_size=8)
    shares = [0.5 * 2.0 / 4.0, 0.5 * 2.0 / 1.0]
    found = speeds["stage"]
    assert found.share_of_matmul == pytest.approx(sum(shares) / 2)  # median of two
    assert found.share_of_matmul_cpu == pytest.approx(sum(shares) / 2)
    assert found.images_per_s == 8 / 2.5
    assert found.gflop_per_image == 50 / 8 / 1e9
    assert found.first_call_s == 7
    assert speeds["matmul"].share_of_matmul == 1
    assert speeds["matmul"].images_per_s is None


def test_a_speedup_is_the_median_of_the_rounds():
    ours, other = [Lap(1.0, 2.0), Lap(2.0, 1.0), Lap(1.0, 1.0)], [Lap(3.0, 2.0)] * 3
    assert speedup(ours, other, "wall") == 3.0
    assert speedup(ours, other, "cpu") == 2.0


def test_operations_are_counted():
    assert matrix_product(128, jnp.float32).flops == 2 * 128**3
    assert Stage.of(lambda a, b: a @ b, jnp.ones((2, 3)), jnp.ones((3, 5))).flops == 2 * 2 * 3 * 5

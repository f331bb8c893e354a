"""What leakage goes with, and what generating an image costs."""

import math

import jax
import numpy as np
import pytest
from scipy import stats

from jaxaudit.attacks.drawing import NUM_LOOKS
from jaxaudit.audits.comparison import compared, comparison, generation_cost, one_image
from jaxaudit.protocols import PUBLISHED
from jaxaudit.results import (
    ComparedTarget,
    GenerationCost,
    Interval,
    PublishedComparedTarget,
    RequiredSize,
    replace,
)
from jaxaudit.runtime.flops import count_flops
from tests import tiny, tiny_diffusion
from tests.reports.synthetic import make_results


def one(steps, params, *, auc, needed=None, generation=None):
    size = None if needed is None else RequiredSize(None if math.isinf(needed) else needed, None, None, None)
    return ComparedTarget(
        target=f"w{params}_s{steps}",
        family="var",
        num_params=params,
        training_steps=steps,
        gflop=None,
        generation=generation,
        baseline="cond/loss",
        baseline_tpr=None,
        best="diff/loss",
        best_tpr=Interval(auc - 0.4, 0.0, 1.0),
        auc=Interval(auc, auc - 0.1, auc + 0.1),
        needed=size,
        status="no_evidence",
    )


GRID = [
    one(steps, params, auc=0.5 + 0.04 * math.log(steps) + 0.01 * params, needed=1000 / steps)
    for params in (1, 2, 3)
    for steps in (10, 20, 40, 80)
]


def test_correlations_are_those_of_what_is_known():
    found = {(each.leak, each.against): each for each in comparison(GRID).correlations}
    assert found.keys() == {
        (leak, against) for leak in ("auc", "tpr", "needed") for against in ("parameters", "training_steps")
    }
    auc, steps = [each.auc.estimate for each in GRID], [each.training_steps for each in GRID]
    by_steps = found["auc", "training_steps"]
    assert by_steps.spearman.estimate == pytest.approx(stats.spearmanr(auc, steps).statistic)
    assert by_steps.pearson.estimate == pytest.approx(stats.pearsonr(auc, np.log(steps)).statistic)
    assert by_steps.num_targets == 12
    assert found["tpr", "training_steps"].spearman.estimate == pytest.approx(by_steps.spearman.estimate)
    assert found["needed", "training_steps"].spearman.estimate == pytest.approx(-1)
    assert found["needed", "training_steps"].pearson.estimate == pytest.approx(-1)
    assert found["auc", "parameters"].spearman.low < 0 < found["auc", "parameters"].partial.low


def test_more_images_than_there_are_is_the_most():
    changed = [replace(GRID[0], needed=RequiredSize(None, None, None, "too few")), *GRID[1:]]
    found = {(each.leak, each.against): each for each in comparison(changed).correlations}
    assert found["needed", "training_steps"].pearson is None
    expected = stats.spearmanr(
        [each.training_steps for each in GRID], [1e9, *(1000 / each.training_steps for each in GRID[1:])]
    )
    assert found["needed", "training_steps"].spearman.estimate == pytest.approx(expected.statistic)


def test_few_targets_or_equal_ones_have_none():
    assert comparison(GRID[:4]).correlations == ()
    alike = [replace(each, num_params=5, training_steps=None) for each in GRID]
    assert comparison(alike).correlations == ()
    costs = [replace(each, generation=GenerationCost(i + 1.0, 0.1, "cpu")) for i, each in enumerate(alike)]
    assert {each.against for each in comparison(costs).correlations} == {"gflop"}


def test_a_target_is_what_its_audit_found():
    results, cost = make_results(effect=2.0), GenerationCost(1.0, 2.0, "cpu")
    results = replace(results, provenance={"generator_steps": 420})
    row = compared(results, cost)
    assert isinstance(row, ComparedTarget)
    assert (row.training_steps, row.generation) == (420, cost)
    assert row.auc == results.membership.per_score[row.best].auc
    assert row.needed == results.power_curves["diff"].required
    published = compared(make_results(protocol=PUBLISHED))
    assert isinstance(published, PublishedComparedTarget)
    assert published.generation is None


@pytest.mark.parametrize(
    "make_target",
    [tiny.var_target, tiny.mar_target, tiny.captioned_target, tiny_diffusion.target],
)
def test_every_kind_of_target_generates_an_image(make_target):
    target = make_target()
    image = jax.eval_shape(one_image(target), target.params)
    assert image.shape == (1, 8, 8, 3)
    assert count_flops(one_image(target), target.params) > 0


def test_a_diffusion_model_looks_once_a_step():
    seen = []
    target = tiny_diffusion.target(watch=lambda x, time, condition: seen.append(float(np.squeeze(time))))
    jax.block_until_ready(jax.jit(one_image(target))(target.params))
    jax.effects_barrier()
    assert len(seen) == NUM_LOOKS
    assert seen[0] > seen[-1]


def test_the_cost_of_generation_is_measured():
    target = tiny_diffusion.target()
    found = generation_cost(target)
    assert found.gflop == count_flops(one_image(target), target.params) / 1e9
    assert found.seconds > 0
    assert found.device == jax.devices()[0].device_kind
    assert generation_cost(target).gflop == found.gflop  # and again

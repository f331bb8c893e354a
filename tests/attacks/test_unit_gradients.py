import jax
import numpy as np
import pytest

from jaxaudit.attacks.mitigation import scale_units, unit_axis
from jaxaudit.attacks.runner import score
from jaxaudit.attacks.unit_gradients import gap_gradients
from jaxaudit.data import batches, open_source
from tests import tiny

STEP = 0.05


@pytest.mark.slow
def test_it_is_the_slope_of_the_gap_between_the_sides():
    """Against the scores themselves, of targets with one unit a little heavier and a little lighter."""
    target, sources = (
        tiny.var_target(),
        [open_source(f"digits:{side}[:6]") for side in ("members", "nonmembers")],
    )
    read = [list(batches(source, range(6), target.preprocessing, 4)) for source in sources]
    found = gap_gradients(target, *read, key=jax.random.key(0))
    axis = unit_axis(target)
    assert found.shape == (axis.num_units,)

    def gap(changed):
        means = []
        for side in read:
            parts = [score(changed, b.images, b.labels, names=["cond/loss"])["cond/loss"] for b in side]
            means.append(np.concatenate(parts).mean())
        return means[0] - means[1]

    for unit in np.argsort(-np.abs(found))[:3]:
        chosen = axis.split(np.arange(axis.num_units) == unit)
        up, down = (gap(scale_units(target, chosen, 1 + sign * STEP)) for sign in (1, -1))
        assert (up - down) / (2 * STEP) == pytest.approx(found[unit], rel=0.05, abs=1e-5)

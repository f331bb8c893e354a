import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats.mean import mean_interval


def test_the_interval_is_students():
    found = mean_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    # t_4 at 97.5% is 2.7764451, s = sqrt(2.5)
    assert found.estimate == 3.0
    assert found.high == pytest.approx(3 + 2.7764451 * np.sqrt(2.5 / 5), abs=1e-6)
    assert found.low == pytest.approx(6 - found.high)


@pytest.mark.usefixtures("unchecked")
def test_it_covers_as_often_as_it_says():
    values = np.random.default_rng(0).normal(1.0, 2.0, (2000, 6))
    inside = [found.low <= 1.0 <= found.high for found in map(mean_interval, values)]
    assert abs(np.mean(inside) - 0.95) < 3.3 * np.sqrt(0.95 * 0.05 / 2000)


def test_what_has_no_interval_is_refused():
    with pytest.raises(InputError, match="1 are too few"):
        mean_interval(np.array([1.0]))
    with pytest.raises(InputError, match="1 of 2 values are not finite"):
        mean_interval(np.array([1.0, np.nan]))

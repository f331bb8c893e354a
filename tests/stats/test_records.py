"""Records become plain JSON."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import numpy as np

from jaxaudit import stats
from jaxaudit.stats import Interval, Record


@dataclasses.dataclass(frozen=True)
class Nested(Record):
    value: Any
    rates: Any


def test_numpy_and_records_become_plain():
    record = Nested(
        value=[np.float32(0.5), np.int64(3), np.bool_(True), None, np.arange(2)],
        rates={0.01: Interval(0.1, np.float64(0.0), 0.2), "text": (1, "a")},
    )
    plain = record.to_dict()
    assert plain == {
        "value": [0.5, 3, True, None, [0, 1]],
        "rates": {"0.01": {"estimate": 0.1, "low": 0.0, "high": 0.2}, "text": [1, "a"]},
    }
    assert json.loads(json.dumps(plain)) == plain


def test_every_public_result_is_frozen():
    results = [
        value for value in vars(stats).values() if isinstance(value, type) and issubclass(value, Record)
    ]
    assert len(results) == 21
    assert all(result.__dataclass_params__.frozen for result in results if result is not Record)


def test_no_jax_is_imported():
    code = "import sys, jaxaudit.stats; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""bfloat16 beside float32."""

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.precision import PrecisionConfig, study_precision
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.evidence import Evidence
from jaxaudit.reports.precision.table import precision_markdown


@pytest.mark.slow
def test_both_precisions_score_the_same_pictures_and_are_compared(tmp_path):
    targets = [tuple(load_target("digits_rar", dtype=dtype) for dtype in ("float32", "bfloat16"))]
    config = PrecisionConfig(CollectConfig(scores=("diff/loss",), num_samples=40), bound=0.0, repetitions=200)
    study = study_precision(
        targets, open_source("digits:members"), open_source("digits:nonmembers"), tmp_path, config
    )
    (found,) = study.targets
    assert (found.target, found.num_members, found.num_nonmembers) == ("digits_rar", 40, 40)
    tables = {
        precision: [
            Evidence.open(tmp_path / f"digits_rar-{precision}").read(split).scores["diff/loss"]
            for split in ("members", "nonmembers")
        ]
        for precision in ("float32", "bfloat16")
    }
    assert not np.array_equal(*(tables[precision][0] for precision in tables))
    change = found.scores["diff/loss"]
    assert change.auc == stats.auc(*tables["float32"])
    assert change.auc_change.estimate == stats.auc(*tables["bfloat16"]) - change.auc
    assert change.suffers == (change.auc_change.low > 0 or change.auc_change.high < 0)
    assert found.verdicts.keys() == {"float32", "bfloat16"}
    text = precision_markdown(study)
    assert "| digits_rar | 40 + 40 | 1 |" in text
    assert "| `diff/loss` |" in text

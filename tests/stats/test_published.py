"""The published metrics against the recorded outputs of the published code."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.stats import published_metrics
from tests.golden import weights

CONFIG, IO = weights.load("mia_metrics")
SETS = CONFIG["score_sets"]


def ours(one, source):
    sign = -1 if one["members_lower"] else 1
    members, nonmembers = (sign * IO[f"s{one['index']:02d}_{side}"] for side in ("members", "nonmembers"))
    fprs = tuple(IO["fpr_thresholds"])
    return published_metrics(members, nonmembers, fprs, members_lower=one["members_lower"], source=source)


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one['index']}")
def test_autoregressive_metrics(one):
    metrics = ours(one, "iar")
    np.testing.assert_allclose(list(metrics.tpr_at_fpr.values()), IO["iar_tpr"][one["index"]], atol=1e-12)
    np.testing.assert_allclose(metrics.auc, IO["iar_auc"][one["index"]], atol=1e-12)
    np.testing.assert_allclose(metrics.accuracy, IO["iar_accuracy"][one["index"]], atol=1e-12)


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one['index']}")
def test_cdi_metrics(one):
    recorded = IO["cdi_tpr"][one["index"]]
    if np.isnan(recorded).any():  # it divided by the largest score, 0, and raised
        assert max(IO[f"s{one['index']:02d}_members"].max(), IO[f"s{one['index']:02d}_nonmembers"].max()) == 0
        return
    metrics = ours(one, "cdi")
    np.testing.assert_allclose(list(metrics.tpr_at_fpr.values()), recorded, atol=1e-12)
    np.testing.assert_allclose(metrics.auc, IO["cdi_auc"][one["index"]], atol=1e-12)
    np.testing.assert_allclose(metrics.accuracy, IO["cdi_accuracy"][one["index"]], atol=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_wrong_requests():
    with pytest.raises(InputError, match=r"as many members as nonmembers; got \(3,\) and \(4,\)"):
        published_metrics(np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="Unknown source 'cid'; did you mean cdi"):
        published_metrics(np.zeros(3), np.zeros(3), source="cid")

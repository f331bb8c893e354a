"""A fitted score of any kind of target: from its declaration to the assessment."""

import numpy as np
import pytest

from jaxaudit.attacks import registry
from jaxaudit.attacks.registry import fitted_score, get_scores
from jaxaudit.audits.assess import assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.data import open_source
from jaxaudit.evidence import Evidence
from jaxaudit.runtime.placement import Placement
from tests import tiny_diffusion

LOSSES = ("multiple_loss_100", "multiple_loss_200")


@pytest.fixture
def learned(monkeypatch):
    """A fitted score of diffusion models, declared for one test."""
    monkeypatch.setattr(registry, "_SCORES", dict(registry._SCORES))
    (early,), (late,) = (score.inputs for score in get_scores(LOSSES, kind="diffusion"))

    @fitted_score("learned", kind="diffusion", views={"": (early, late)}, source="A paper that learns")
    def declared(early, late, steps):
        """A function of the errors at two timesteps."""
        assert steps == ()
        return {"late": -late, "early": -early}


@pytest.mark.usefixtures("learned")
def test_a_fitted_diffusion_score_is_in_the_table_and_in_the_assessment(tmp_path):
    config = CollectConfig(scores=(*LOSSES, "learned"), placement=Placement(32), shard_size=50)
    sources = (open_source(f"digits:{split}[:100]") for split in ("members", "nonmembers"))
    collect_evidence(tiny_diffusion.target("nothing"), *sources, tmp_path, config)
    evidence = Evidence.open(tmp_path)
    table = evidence.read("members")
    assert list(table.scores) == list(LOSSES)
    names = evidence.columns.features["learned"]
    assert sorted(names) == ["early", "late"]
    expected = {"early": table.scores[LOSSES[0]], "late": table.scores[LOSSES[1]]}
    np.testing.assert_array_equal(
        table.features["learned"], np.stack([expected[name] for name in names], axis=1)
    )
    results = assess(evidence)
    assert "learned" in results.membership.per_score
    assert list(results.dataset_inference[""].names) == list(LOSSES)

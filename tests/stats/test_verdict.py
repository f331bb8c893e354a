"""Verdicts: their three outcomes, the sentence, and how often an innocent model is accused."""

import numpy as np
import pytest

from jaxaudit.results import encode
from jaxaudit.stats import verdict
from tests.stats import simulated


def sets(rng, n, m, shift=0.0, blind_shift=0.0):
    return {
        "p_features": simulated.features(rng, (n, 6), "skewed", shift),
        "u_features": simulated.features(rng, (m, 6), "skewed"),
        "p_blind": simulated.features(rng, (n, 4), shift=blind_shift),
        "u_blind": simulated.features(rng, (m, 4)),
    }


def judge(arrays, **options):
    return verdict(
        arrays["p_features"],
        arrays["u_features"],
        p_blind=arrays["p_blind"],
        u_blind=arrays["u_blind"],
        **options,
    )


def test_trained_on():
    one = judge(sets(np.random.default_rng(0), 200, 1000, shift=1))
    assert one.status == "trained_on"
    assert one.sentence.startswith(
        "Evidence that the model was trained on P: its 200 images score higher than 1,000 comparable images "
        "the model has not seen (one-sided test on the sum of 6 scores: p = 0.0001, alpha = 0.01; Welch p = "
    )
    effect = one.dataset_inference.welch.hedges_g
    assert f"g = {effect.estimate:.2f}, 95% interval {effect.low:.2f} to {effect.high:.2f}" in one.sentence
    assert "A classifier that never saw the model does not tell P from U (AUC 0." in one.sentence
    assert "the same test rejects" in one.sentence
    assert "% of 1,000 random splits (95% interval 0." in one.sentence
    assert (one.null_control.num_pseudo_p, one.null_control.num_pseudo_u) == (200, 800)
    encode(one.gate)


def test_no_evidence_is_not_innocence():
    one = judge(sets(np.random.default_rng(1), 100, 100))
    assert one.status == "no_evidence"
    assert one.sentence.startswith("No evidence that the model was trained on P: its 100 images do not score")
    assert "This does not show that it was not trained on P." in one.sentence
    assert not one.dataset_inference.rejected


def test_sets_that_differ_visibly_are_not_testable_whatever_the_scores():
    one = judge(sets(np.random.default_rng(2), 100, 300, shift=2, blind_shift=1.5))
    assert one.status == "not_testable"
    assert one.sentence.startswith(
        "Not testable: P and U differ. A classifier that never saw the model tells 100 images"
    )
    assert f"p = {one.gate.p_value:.2g}, alpha = 0.01)" in one.sentence
    assert one.dataset_inference is None
    assert one.null_control is None
    encode(one.gate)


@pytest.mark.parametrize(("n", "m", "accused", "untestable"), [(30, 30, 1, 1), (8, 60, 0, 0)])
def test_an_innocent_model_is_accused_at_most_at_alpha(n, m, accused, untestable):
    rng = np.random.default_rng(3)
    statuses = [judge(sets(rng, n, m), seed=seed).status for seed in range(100)]
    assert (statuses.count("trained_on"), statuses.count("not_testable")) == (accused, untestable)

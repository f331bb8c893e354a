import jax
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.registry import ScorePlan, get_scores
from jaxaudit.attacks.runner import Scorer
from jaxaudit.errors import InputError
from jaxaudit.sharding import make_mesh
from jaxaudit_kernels.likelihood import token_statistics
from tests.tiny import var_target

NAMES = [
    "cond/loss",
    "cond/zlib",
    "diff/loss",
    "diff/zlib_ref",
    "diff/min_k_pp_20",
    "diff/icas",
    "diff/hinge",
]


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (11, 8, 8, 3)).astype(np.float32)
    return images, generator.integers(0, 10, 11)


@pytest.fixture(scope="module")
def scores(batch):
    return jaxaudit.score(var_target(), *batch, names=NAMES)


def test_scores_are_those_of_the_full_logits(batch, scores):
    images, labels = batch
    target = var_target()
    tokens = target.encode(images)
    cond = target.logits(tokens, labels)
    null = target.logits(tokens, np.full_like(labels, target.null_label))
    views = {"cond": cond, "null": null, "diff": cond - null}
    plan = ScorePlan(get_scores(NAMES))
    device = plan.device({view: token_statistics(logits, tokens) for view, logits in views.items()})
    expected = plan.host(jax.device_get(device), np.asarray(tokens))
    assert list(scores) == NAMES
    for name in NAMES:
        np.testing.assert_allclose(scores[name], expected[name], atol=1e-5, rtol=1e-5)


def test_an_image_scored_twice_gets_the_same_bits(batch, scores):
    again = jaxaudit.score(var_target(), *batch, names=NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(scores[name], again[name])


def test_a_score_does_not_depend_on_the_rest_of_the_batch(batch, scores):
    images, labels = batch
    for rows in (slice(4, 5), slice(None, None, -1)):
        some = jaxaudit.score(var_target(), images[rows], labels[rows], names=NAMES)
        for name in NAMES:
            np.testing.assert_allclose(some[name], scores[name][rows], atol=1e-5)


@pytest.mark.parametrize(("num_devices", "parallelism"), [(8, "jit"), (8, "pmap"), (1, "pmap")])
def test_devices_do_not_change_scores(batch, scores, num_devices, parallelism):
    scorer = Scorer(var_target(), NAMES, mesh=make_mesh(num_devices), parallelism=parallelism)
    spread = scorer.submit(*batch, padded_size=16).result()
    for name in NAMES:
        np.testing.assert_allclose(spread[name], scores[name], atol=1e-5)


def test_without_a_difference_score_the_null_label_is_not_evaluated(batch, scores, monkeypatch):
    from jaxaudit.attacks import runner

    monkeypatch.setattr(runner, "guided_token_statistics", None)
    alone = jaxaudit.score(var_target(), *batch, names=["cond/loss", "cond/min_k_10"])
    np.testing.assert_allclose(alone["cond/loss"], scores["cond/loss"], atol=1e-5)


def test_wrong_input_is_refused(batch):
    images, labels = batch
    with pytest.raises(InputError, match=r"\(11, 8, 8, 1\).*expected \[11,8,8,3\]"):
        jaxaudit.score(var_target(), images[..., :1], labels)
    with pytest.raises(InputError, match=r"Label 11 is out of range: the target has classes 0\.\.9"):
        jaxaudit.score(var_target(), images, np.full(11, 11))
    with pytest.raises(InputError, match="did you mean .*diff/loss"):
        jaxaudit.score(var_target(), images, labels, names="diff/los")

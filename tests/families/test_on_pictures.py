"""From digits to a verdict by what every program calls, with few random parameters of a diffusion family."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.identify import identify_data
from jaxaudit.data import Preprocessing, open_source
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.placement import Placement
from tests.marks import slow_but

BLOCKS = {"num_classes": 10, "depth": 3, "width": 16, "num_heads": 2, "latent_size": 8, "latent_channels": 3}
CONFIGS = {
    "dimr": BLOCKS | {"fine_depth": 1, "fine_width": 8, "kernel_size": 3},
    "mdt": BLOCKS | {"decoder_depth": 1, "patch_size": 4},
    "dit_moe": BLOCKS | {"num_experts": 4},
    "lfm": BLOCKS | {"learned_variance": False},
    "sit": BLOCKS,
    "ldm": {
        "num_classes": 10, "context_dim": 6, "width": 8, "ch_mult": [1, 2], "num_res_blocks": 1,
        "attention_levels": [1], "heads": [1, 2], "latent_size": 8, "latent_channels": 3,
    },
}  # fmt: skip
SCORES = {
    "dimr": ("multiple_loss_300", "clid_300"),
    "mdt": ("multiple_loss_300", "masked_gap_300"),
    "dit_moe": ("multiple_loss_300", "clid_300"),
    "lfm": ("multiple_loss_300", "velocity_loss_50"),
    "sit": ("multiple_loss_300", "velocity_loss_50"),
    "ldm": ("multiple_loss_300", "secmi"),
}
FAMILIES = ["dimr", "mdt"]
EVERY = sorted(CONFIGS)


@functools.cache
def target(family, dtype=jnp.float32):
    module, config = get_family(family), {"generator": CONFIGS[family], "tokenizer": None}
    params = random_params(module.abstract_params(config), seed=1)
    pictures = Preprocessing(8, "none", 8, -1.0, 1.0)
    return module.build_target("tiny", config, params, pictures, {"fingerprint": "tiny"}, dtype=dtype)


@functools.cache
def scored(family, devices=1, dtype=jnp.float32):
    random = np.random.default_rng(0)
    images, labels = random.uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32), np.arange(5)
    scorer = Scorer(target(family, dtype), SCORES[family], mesh=make_mesh(devices))
    return scorer.submit(images, labels, ids=[f"picture/{i}" for i in range(5)], padded_size=8).result()


@pytest.mark.parametrize("family", slow_but(FAMILIES))
def test_eight_devices_score_as_one_does(family):
    for name, values in scored(family, devices=8).items():
        assert np.ptp(values) > 0
        np.testing.assert_allclose(values, scored(family)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_scores_about_the_same(family):
    for name, values in scored(family, dtype=jnp.bfloat16).items():
        np.testing.assert_allclose(values, scored(family)[name], rtol=0.02, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(set(EVERY) - set(FAMILIES)))
def test_the_others_do_too(family):
    test_eight_devices_score_as_one_does(family)
    test_half_precision_scores_about_the_same(family)
    test_every_unit_is_measured(family)


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_owners_get_an_answer(family, tmp_path):
    """Nothing was trained, so nothing is identified."""
    sides = open_source("digits:members[:60]"), open_source("digits:nonmembers[:60]")
    config = CollectConfig(scores=SCORES[family], placement=Placement(20), shard_size=60)
    answer = identify_data(target(family), *sides, tmp_path, config, AssessConfig())
    assert answer.status in ("not_identified", "too_few")
    assert answer.audit.target.family == family


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_evidence_of_digits_becomes_a_verdict(family, tmp_path):
    """Nothing was trained, so nothing is found."""
    sides = open_source("digits:members[:60]"), open_source("digits:nonmembers[:60]")
    config = CollectConfig(scores=SCORES[family], placement=Placement(20), shard_size=60)
    evidence = collect_evidence(target(family), *sides, tmp_path, config)
    results = assess(evidence, AssessConfig())
    assert set(results.membership.per_score) == set(SCORES[family])
    assert results.finding.status == "no_evidence"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_unit_is_measured(family):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    meter = ActivationMeter(target(family), Views(num_views=2), key=jax.random.key(1))
    found = meter.submit(images, np.array([1, 2]), ids=["a", "b"]).result()
    assert found.shape == (2, 1, sum(target(family).hidden_widths.values()))
    assert np.isfinite(found).all()
    assert found.std() > 0

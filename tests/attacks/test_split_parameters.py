"""Parameters split over devices: scores are those of one device, and none holds a split parameter whole."""

import functools

import jax
import numpy as np
import pytest
from flax import traverse_util

from jaxaudit.attacks.completion import ExtractionAttack
from jaxaudit.attacks.condition import condition_of
from jaxaudit.attacks.localization import ActivationMeter
from jaxaudit.attacks.mitigation import scale_units
from jaxaudit.attacks.runner import Scorer
from jaxaudit.checkpoint import builtin_names, load_target
from jaxaudit.data import open_source
from jaxaudit.data.loading import batches
from jaxaudit.runtime.mesh import mesh_of
from jaxaudit.runtime.placement import Placement

DEVICES = {"rows": 2, "model": 4}
SCORES = {
    "digits_dit": ("denoising_loss", "noise_opt_norm"),
    "digits_flow": ("denoising_loss",),
    "digits_mar": ("*/loss",),
    "digits_rar": ("*/loss", "*/min_k_pp_20", "diff/hinge"),
    "digits_sd": ("denoising_loss",),
    "digits_uvit": ("denoising_loss",),
    "digits_var": ("*/loss", "*/min_k_pp_20", "diff/hinge"),
    "digits_var_memorised": ("*/loss", "*/min_k_pp_20", "diff/hinge"),
}
"""Some that read all the network says, and one with gradients and line searches."""
QUICK = ("digits_rar",)


@functools.cache
def split(name):
    return load_target(name, placement=Placement(shard_params=4))


def pictures(target):
    source = open_source("digits:members[:2]")
    return next(batches(source, range(2), target.preprocessing, 2))


def both(measure, name):
    """What `measure` finds with whole parameters on one device, and with split ones on eight."""
    return measure(load_target(name)), measure(split(name))


def test_no_target_is_forgotten():
    assert sorted(SCORES) == builtin_names()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in SCORES],
)
def test_every_target_scores_as_on_one_device(name):
    def measure(target):
        batch = pictures(target)
        scorer, told = Scorer(target, SCORES[name]), condition_of(target, batch)
        return scorer.submit(batch.images, told, ids=batch.ids, padded_size=2).result()

    whole, parts = both(measure, name)
    assert dict(mesh_of(split(name).params).shape) == DEVICES
    assert whole.keys() == parts.keys()
    for score, values in whole.items():
        np.testing.assert_allclose(parts[score], values, rtol=1e-5, atol=1e-5, err_msg=score)


@pytest.mark.parametrize("name", SCORES)
def test_no_device_is_given_the_whole_of_a_split_parameter(name):
    """Restored as they are; every kernel of a block is split."""
    target = split(name)
    leaves = traverse_util.flatten_dict(target.params["generator"], sep="/")
    pieces = {path: leaf.size // leaf.addressable_shards[0].data.size for path, leaf in leaves.items()}
    assert set(pieces.values()) == {1, 4}
    assert all(
        len({str(shard.index) for shard in leaf.addressable_shards}) == pieces[path]
        for path, leaf in leaves.items()
    )
    kernels = [path for path in leaves if "block" in path and path.endswith("kernel")]
    assert {pieces[path] for path in kernels} == {4}
    original = load_target(name).params["generator"]
    jax.tree.map(np.testing.assert_array_equal, target.params["generator"], original)


def test_completions_are_those_of_one_device():
    def measure(target):
        batch, attack = pictures(target), ExtractionAttack(target)
        tokens = attack.encode(batch.images).result()
        return tokens, attack.complete(tokens, batch.labels, attack.prefixes[-1], ids=batch.ids).result()

    (tokens, whole), (same, parts) = both(measure, "digits_var")
    np.testing.assert_array_equal(same, tokens)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)


def test_units_are_those_of_one_device_and_scaling_them_keeps_the_pieces():
    def measure(target):
        first, width = next(iter(target.hidden_widths.items()))
        scaled = scale_units(target, {first: np.arange(width) % 2 == 0}, 0.5)
        batch = pictures(target)
        meter = ActivationMeter(scaled)
        side = meter.views.canvas(target.preprocessing).image_size
        images = np.resize(batch.images, (2, side, side, 3))
        return scaled, meter.submit(images, batch.labels, ids=batch.ids).result()

    (_, whole), (scaled, parts) = both(measure, "digits_uvit")
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)
    kernel = scaled.params["generator"]["in_blocks_0"]["mlp"]["fc1"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(96, 96)}

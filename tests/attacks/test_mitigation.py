import dataclasses

import chex
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaudit import checkpoint
from jaxaudit.attacks.mitigation import (
    add_output_noise,
    add_told_noise,
    choose_units,
    lightest_units,
    scale_units,
    unit_axis,
)
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis, UnitMap
from jaxaudit.families import dit, uvit
from tests import tiny, uneven

TARGETS = [tiny.var_target, tiny.rar_target, tiny.llamagen_target, tiny.mar_target, uneven.target]
EVERY = {f"block {i}": np.ones(32, bool) for i in range(2)}
"""Every unit of the tiny RAR."""


@pytest.fixture(scope="module")
def units():
    rng = np.random.default_rng(0)
    maximum = rng.random((3, 14)).astype(np.float32)
    return UnitMap(
        stages=("scale 1", "scale 2", "scale 3"),
        axis=UnitAxis(tuple(uneven.WIDTHS), tuple(uneven.WIDTHS.values())),
        subsets=(1.0,),
        sizes=(4,),
        unit_mem=rng.random((1, 3, 14)).astype(np.float32),
        floored=np.zeros((1, 3, 14), np.float32),
        maximum=maximum,
        second=np.zeros((3, 14), np.float32),
        rest=maximum * np.float32(0.3),
        argument=rng.integers(0, 4, (3, 14)).astype(np.int32),
        class_mem=None,
        class_argument=None,
        ids=tuple("abcd"),
        labels=np.arange(4, dtype=np.int32),
    )


def flat(chosen):
    return np.concatenate(list(chosen.values()))


def test_a_unit_is_chosen_if_it_is_a_top_one_at_any_scale(units):
    chosen = choose_units(units, 0.3)
    assert {name: layer.shape for name, layer in chosen.items()} == {
        name: (width,) for name, width in uneven.WIDTHS.items()
    }
    best = units.unit_mem[0].max(0).tolist()
    top = sorted(range(14), key=lambda unit: -best[unit])[:4]
    places = [(name, i) for name, width in uneven.WIDTHS.items() for i in range(width)]
    assert {places[unit] for unit in top} == {
        (name, i) for name, layer in chosen.items() for i in layer.nonzero()[0]
    }


def test_controls_choose_as_many_units_by_activation_or_by_chance(units):
    active = flat(choose_units(units, 0.3, by="activation"))
    mean = (0.3 * units.maximum * 3 + units.maximum).max(0) / 4
    assert mean[active].min() > mean[~active].max()
    random = flat(choose_units(units, 0.3, by="random", seed=1))
    assert active.sum() == random.sum() == 4
    np.testing.assert_array_equal(random, flat(choose_units(units, 0.3, by="random", seed=1)))
    assert (random != flat(choose_units(units, 0.3, by="random", seed=2))).any()


@pytest.mark.parametrize("make", TARGETS)
def test_scaling_changes_the_incoming_weights_of_the_chosen_units_alone(make):
    target = make()
    chosen = {name: np.arange(width) % 3 == 1 for name, width in target.hidden_widths.items()}
    layers = {path: name for name, path in target.hidden_layers.items()}
    scaled = scale_units(target, chosen, 0.5)
    differing = []
    for path, before in flatten_dict(target.params).items():
        after = flatten_dict(scaled.params)[path]
        if np.array_equal(after, before):
            continue
        differing.append(path)
        columns = chosen[layers[path[:-1]]]
        after, before = np.asarray(after), np.asarray(before)
        np.testing.assert_array_equal(after[:, columns], 0.5 * before[:, columns])
        np.testing.assert_array_equal(after[:, ~columns], before[:, ~columns])
    assert [path[-1] for path in differing] == ["kernel"] * len(layers)
    assert scaled.provenance["fingerprint"] != target.provenance["fingerprint"]
    assert scaled.provenance["mitigations"][0]["scaled_units"] == flat(chosen).sum()


def test_a_layer_of_the_map_is_the_same_layer_of_the_parameters():
    """Weights of zero leave the GELU of the bias, the same at every token of that layer's unit."""
    target = tiny.rar_target()
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(0, 24, (2, 16)), np.array([3, 4])
    activations = scale_units(target, {"block 1": np.arange(32) == 5}, 0.0).activations(tokens, labels)
    constant = {name: np.ptp(np.asarray(hidden), axis=(0, 1)) < 1e-7 for name, hidden in activations.items()}
    assert constant["block 1"].nonzero()[0].tolist() == [5]
    assert not constant["block 0"].any()


def test_layers_left_out_are_layers_of_which_no_unit_is_chosen():
    target, chosen = uneven.target(), {"middle": np.arange(5) == 2}
    none = {name: np.zeros(width, bool) for name, width in uneven.WIDTHS.items()}
    one, other = scale_units(target, chosen, 0.5), scale_units(target, none | chosen, 0.5)
    assert one.provenance == other.provenance
    chex.assert_trees_all_equal(one.params, other.params)


@pytest.mark.parametrize("family", [dit, uvit])
def test_diffusion_models_have_the_paths_too(family):
    config = next(iter(family.VARIANTS.values())).config
    params, preprocessing = family.abstract_params(config), next(iter(family.VARIANTS.values())).preprocessing
    target = family.build_target("released", config, params, preprocessing, {})
    widths = target.hidden_widths
    assert len(widths) == config["generator"]["depth"] + (family is uvit)
    assert set(widths.values()) == {4 * config["generator"]["width"]}


def test_a_scaled_target_is_saved_and_loaded_like_any_other(tmp_path):
    target = tiny.rar_target()
    scaled = scale_units(target, EVERY, 0.5)
    checkpoint.save_target(
        tmp_path / "scaled",
        family="rar",
        config=tiny.RAR_CONFIG,
        params=scaled.params,
        preprocessing=scaled.preprocessing,
        provenance=scaled.provenance,
    )
    again = checkpoint.load_target(tmp_path / "scaled")
    tokens = np.zeros((1, 16), np.int32)
    np.testing.assert_array_equal(again.logits(tokens, np.array([1])), scaled.logits(tokens, np.array([1])))
    assert again.provenance["mitigations"] == scaled.provenance["mitigations"]


def test_mitigations_follow_one_another():
    twice = add_output_noise(scale_units(tiny.rar_target(), EVERY, 0.5), 0.1)
    assert [next(iter(each)) for each in twice.provenance["mitigations"]] == ["scaled_units", "output_noise"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda units: choose_units(units, 0.0), "share of 0.0"),
        (lambda units: choose_units(units, 0.1, by="unitmem"), "did you mean unit_mem"),
        (
            lambda units: scale_units(tiny.rar_target(), {"block 1": np.ones(31, bool)}, 0.5),
            r"expected \[32\]",
        ),
        (
            lambda units: scale_units(tiny.rar_target(), {"block": np.ones(32, bool)}, 0.5),
            "did you mean block 1, block 0",
        ),
        (lambda units: scale_units(tiny.rar_target(), EVERY, float("nan")), "factor=nan"),
        (lambda units: add_output_noise(tiny.rar_target(), 0.0), "must be positive"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_requests_that_cannot_be_met_are_refused(units, change, words):
    with pytest.raises(InputError, match=words):
        change(units)


@pytest.mark.parametrize("make", TARGETS[:2], ids=lambda make: make.__name__)
def test_the_weights_show_which_units_were_scaled_down_where_they_were_alike(make):
    target = make()
    axis = unit_axis(target)
    chosen = axis.split(np.random.default_rng(0).random(axis.num_units) < 0.2)
    share = flat(chosen).mean()
    scaled = scale_units(alike(target), chosen, 0.5)
    found = lightest_units(scaled, share)
    np.testing.assert_array_equal(flat(found), flat(chosen))
    back = scale_units(scaled, found, 2.0)
    chex.assert_trees_all_equal(back.params, alike(target).params)


def alike(target):
    """The target, the weights of whose units have signs at random and one size."""
    leaves = flatten_dict(target.params)
    for path in target.hidden_layers.values():
        leaves[(*path, "kernel")] = np.sign(np.asarray(leaves[(*path, "kernel")])).astype(np.float32)
    return dataclasses.replace(target, params=unflatten_dict(leaves))


def test_noise_among_the_parameters_is_the_noise_of_the_functions():
    target, tokens, labels = tiny.rar_target(), np.arange(32).reshape(2, 16) % 24, np.array([1, 2])
    constant, told = (add(target, 0.5, seed=3) for add in (add_output_noise, add_told_noise))
    np.testing.assert_array_equal(constant.logits(tokens, labels), told.logits(tokens, labels))
    other = add_told_noise(target, 1.5, seed=4)
    assert other.functions is told.functions
    assert other.provenance["fingerprint"] != told.provenance["fingerprint"]

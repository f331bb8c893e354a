import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxaudit import checkpoint
from jaxaudit.attacks.mitigation import add_output_noise, choose_units, scale_units
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitMap
from jaxaudit.families import dit, get_family, uvit
from tests import tiny

TARGETS = {"var": tiny.var_target, "rar": tiny.rar_target, "mar": tiny.mar_target}


@pytest.fixture(scope="module")
def units():
    rng = np.random.default_rng(0)
    unit_mem = rng.random((1, 3, 2, 10)).astype(np.float32)
    maximum = rng.random((3, 2, 10)).astype(np.float32)
    argument = rng.integers(0, 4, (3, 2, 10)).astype(np.int32)
    stages = ("scale 1", "scale 2", "scale 3")
    ids, labels = tuple("abcd"), np.arange(4, dtype=np.int32)
    return UnitMap(stages, (1.0,), (4,), unit_mem, maximum, maximum * 0.3, argument, None, None, ids, labels)


def test_a_unit_is_chosen_if_it_is_a_top_one_at_any_scale(units):
    chosen = choose_units(units, 0.2)
    assert chosen.shape == (2, 10)
    assert chosen.sum() == 4
    best = units.unit_mem[0].max(0)
    assert best[chosen].min() > best[~chosen].max()


def test_controls_choose_as_many_units_by_activation_or_by_chance(units):
    active = choose_units(units, 0.2, by="activation")
    mean = (0.3 * units.maximum * 3 + units.maximum).max(0) / 4
    assert mean[active].min() > mean[~active].max()
    random = choose_units(units, 0.2, by="random", seed=1)
    assert active.sum() == random.sum() == 4
    np.testing.assert_array_equal(random, choose_units(units, 0.2, by="random", seed=1))
    assert (random != choose_units(units, 0.2, by="random", seed=2)).any()


@pytest.mark.parametrize("family", TARGETS)
def test_scaling_changes_the_incoming_weights_of_the_chosen_units_alone(family):
    target = TARGETS[family]()
    layers = get_family(family).hidden_layers(target.params)
    width = target.params
    for name in layers[0]:
        width = width[name]
    chosen = np.random.default_rng(0).random((len(layers), width["kernel"].shape[1])) < 0.3
    scaled = scale_units(target, chosen, 0.5)
    differing = []
    for path, before in flatten_dict(target.params).items():
        after = flatten_dict(scaled.params)[path]
        if np.array_equal(after, before):
            continue
        differing.append(path)
        block = layers.index(path[:-1])
        np.testing.assert_array_equal(
            np.asarray(after)[:, chosen[block]], 0.5 * np.asarray(before)[:, chosen[block]]
        )
        np.testing.assert_array_equal(
            np.asarray(after)[:, ~chosen[block]], np.asarray(before)[:, ~chosen[block]]
        )
    assert [path[-1] for path in differing] == ["kernel"] * len(layers)
    assert scaled.provenance["fingerprint"] != target.provenance["fingerprint"]
    assert scaled.provenance["mitigations"][0]["scaled_units"] == chosen.sum()


def test_a_block_of_the_map_is_the_same_block_of_the_parameters():
    """Weights of zero leave the GELU of the bias, the same at every token of that block's unit."""
    target = tiny.rar_target()
    rng = np.random.default_rng(0)
    tokens, labels = rng.integers(0, 24, (2, 16)), np.array([3, 4])
    chosen = np.zeros((2, 32), bool)
    chosen[1, 5] = True
    activations = scale_units(target, chosen, 0.0).activations(tokens, labels)
    constant = {
        block: np.ptp(np.asarray(hidden), axis=(0, 1)) < 1e-7 for block, hidden in activations.items()
    }
    assert constant[1].nonzero()[0].tolist() == [5]
    assert not constant[0].any()


@pytest.mark.parametrize("family", [dit, uvit])
def test_diffusion_models_have_the_paths_too(family):
    config = next(iter(family.VARIANTS.values())).config
    params = family.abstract_params(config)
    layers = family.hidden_layers(params)
    assert len(layers) == config["generator"]["depth"] + (family is uvit)
    for path in layers:
        leaf = params
        for name in path:
            leaf = leaf[name]
        assert set(leaf) == {"kernel", "bias"}


def test_a_scaled_target_is_saved_and_loaded_like_any_other(tmp_path):
    target = tiny.rar_target()
    scaled = scale_units(target, np.ones((2, 32), bool), 0.5)
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
    twice = add_output_noise(scale_units(tiny.rar_target(), np.ones((2, 32), bool), 0.5), 0.1)
    assert [next(iter(each)) for each in twice.provenance["mitigations"]] == ["scaled_units", "output_noise"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda units: choose_units(units, 0.0), "share of 0.0"),
        (lambda units: choose_units(units, 0.1, by="unitmem"), "did you mean unit_mem"),
        (lambda units: scale_units(tiny.rar_target(), np.ones((2, 31), bool), 0.5), r"expected \[2,32\]"),
        (lambda units: scale_units(tiny.rar_target(), np.ones((2, 32), bool), float("nan")), "factor=nan"),
        (lambda units: add_output_noise(tiny.rar_target(), 0.0), "must be positive"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(units, change, words):
    with pytest.raises(InputError, match=words):
        change(units)

"""Rules for how parameters are split, and over how many devices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxaudit.errors import InputError
from jaxaudit.families import FAMILIES
from jaxaudit.runtime import placement
from jaxaudit.runtime.mesh import make_mesh, mesh_of
from jaxaudit.runtime.parallel import data_parallel
from jaxaudit.runtime.partition import (
    by_columns,
    by_features,
    by_rows,
    bytes_per_device,
    param_specs,
    place,
)
from jaxaudit.runtime.placement import Placement
from tests.marks import slow_but

RULES = (*by_columns("qkv"), *by_rows("attn/proj"), *by_features("table/embedding"))


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


PARAMS = {
    "generator": {
        "block": {
            "attn": {"qkv": {"kernel": shape(4, 12), "bias": shape(12)}, "proj": {"kernel": shape(4, 4)}},
            "not_qkv": {"kernel": shape(4, 12)},
        },
        "stack": {"attn": {"qkv": {"kernel": shape(3, 4, 12)}, "proj": {"kernel": shape(3, 4, 4)}}},
        "odd": {"attn": {"qkv": {"kernel": shape(4, 6)}}},
        "table": {"embedding": shape(5, 8)},
        "patches": {"proj": {"kernel": shape(4, 4)}},
    },
    "tokenizer": {"attn": {"qkv": {"kernel": shape(4, 12)}}},
}
COLUMNS, ROWS = PartitionSpec(None, "model"), PartitionSpec("model", None)
WHOLE = PartitionSpec()


def test_rules_hold_for_last_axes_that_divide_evenly_in_the_generator():
    assert param_specs(PARAMS, RULES, 4) == {
        "generator": {
            "block": {
                "attn": {
                    "qkv": {"kernel": COLUMNS, "bias": PartitionSpec("model")},
                    "proj": {"kernel": ROWS},
                },
                "not_qkv": {"kernel": WHOLE},
            },
            "stack": {
                "attn": {
                    "qkv": {"kernel": PartitionSpec(None, None, "model")},
                    "proj": {"kernel": PartitionSpec(None, "model", None)},
                }
            },
            "odd": {"attn": {"qkv": {"kernel": WHOLE}}},
            "table": {"embedding": COLUMNS},
            "patches": {"proj": {"kernel": WHOLE}},
        },
        "tokenizer": {"attn": {"qkv": {"kernel": WHOLE}}},
    }
    assert set(jax.tree.leaves(param_specs(PARAMS, RULES, 1))) == {WHOLE}


def test_what_is_placed_is_where_it_is_said_to_be():
    params = jax.tree.map(lambda leaf: np.random.default_rng(0).normal(size=leaf.shape), PARAMS)
    mesh = make_mesh(8, split=4)
    placed = place(params, RULES, mesh)
    assert mesh_of(placed) == mesh
    jax.tree.map(np.testing.assert_allclose, placed, params)
    on_first = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(placed))
    assert on_first == bytes_per_device(placed, RULES, 4) < bytes_per_device(placed, RULES, 1)


@pytest.mark.parametrize("name", slow_but(FAMILIES, "var", "dit", "sd"))
def test_what_is_large_in_the_largest_released_model_is_split(name):
    """Of the numbers of the generator, no more than 2% are whole on each of four devices."""
    family = FAMILIES[name]
    variant = max(family.VARIANTS.values(), key=lambda variant: variant.num_params["generator"])
    params = family.abstract_params(variant.config)["generator"]
    specs = param_specs({"generator": params}, family.PARTITION, 4)["generator"]
    whole = [
        math.prod(leaf.shape)
        for leaf, spec in zip(jax.tree.leaves(params), jax.tree.leaves(specs), strict=True)
        if spec == WHOLE
    ]
    total = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sum(whole) <= 0.02 * total
    assert total == variant.num_params["generator"]


@pytest.mark.parametrize(
    ("memory", "split"),
    [(None, 1), (3000, 1), (2900, 2), (1800, 4), (1000, 4)],
)
def test_auto_splits_over_as_few_devices_as_leave_room(monkeypatch, memory, split):
    """They need 1,776, 1,112, 852 and 1,636 bytes on each device: eight cannot divide what four can."""
    monkeypatch.setattr(placement, "_memory", lambda device: memory)
    mesh = Placement().mesh(PARAMS, RULES)
    assert dict(mesh.shape) == {"rows": 8 // split, "model": split}
    assert Placement().record(mesh)["shard_params"] == split


def test_what_cannot_be_split_so_is_an_error(monkeypatch):
    for asked, sentence in ((3, r"cannot be split 3 ways over 8"), (0, "shard_params=0 is neither 'auto'")):
        with pytest.raises(InputError, match=sentence):
            Placement(shard_params=asked).mesh(PARAMS, RULES)
    with pytest.raises(InputError, match="'pmap' cannot split parameters"):
        data_parallel(lambda params, batch: batch, make_mesh(8, split=2), parallelism="pmap")
    monkeypatch.setattr(placement, "_memory", lambda device: 800)
    with pytest.raises(InputError, match="Split over 4 of 8 device"):
        Placement().mesh(PARAMS, RULES)

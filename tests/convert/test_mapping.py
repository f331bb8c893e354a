"""The conversion engine on small tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert import mapping
from checkpoints_convert.mapping import (
    conv,
    convert,
    drop,
    drop_if_zero,
    fold,
    keep,
    linear,
    linear_halves,
    norm,
)
from jaxaudit.errors import InputError

TABLE = (
    *linear(r"layers\.(\d+)\.fc", r"layers_\1/fc"),
    *conv(r"stem", "stem"),
    *norm(r"norm", "norm"),
    (r"embed\.weight", "embed/embedding", keep),
    (r"step", "step", keep),
    (r"mask", None, drop),
    (r"layers\.(\d+)\.zero", None, drop_if_zero),
)


def state_dict(depth: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    draw = lambda *shape: random.standard_normal(shape, np.float32)  # noqa: E731
    state = {
        "stem.weight": draw(5, 3, 2, 4),
        "stem.bias": draw(5),
        "norm.weight": draw(5),
        "norm.bias": draw(5),
    }
    state |= {"embed.weight": draw(7, 5), "step": np.int64([3]), "mask": np.full((2, 2), -np.inf, np.float32)}
    for i in range(depth):
        state |= {
            f"layers.{i}.fc.weight": draw(6, 5),
            f"layers.{i}.fc.bias": draw(6),
            f"layers.{i}.zero": np.zeros(5),
        }
    return state


def abstract(depth: int) -> dict:
    spec = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(shape, dtype)  # noqa: E731
    tree = {
        "stem": {"kernel": spec(2, 4, 3, 5), "bias": spec(5)},
        "norm": {"scale": spec(5), "bias": spec(5)},
    }
    tree |= {"embed": {"embedding": spec(7, 5)}, "step": spec(1, dtype=jnp.int32)}
    return tree | {f"layers_{i}": {"fc": {"kernel": spec(5, 6), "bias": spec(6)}} for i in range(depth)}


def values(params):
    return jax.tree.map(np.asarray, params)


def test_every_tensor_arrives_turned_as_its_layer_needs():
    state = state_dict(3)
    params = values(convert(state, TABLE, abstract(3)))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(
        lambda x: (x.shape, x.dtype), abstract(3)
    )
    x = np.random.default_rng(1).standard_normal(5, np.float32)
    for i in range(3):  # y_o = Σ_i w_oi x_i, both ways
        np.testing.assert_allclose(
            x @ params[f"layers_{i}"]["fc"]["kernel"], state[f"layers.{i}.fc.weight"] @ x, rtol=1e-6
        )
    for o, i, h, w in np.ndindex(5, 3, 2, 4):
        assert params["stem"]["kernel"][h, w, i, o] == state["stem.weight"][o, i, h, w]
    np.testing.assert_array_equal(params["norm"]["scale"], state["norm.weight"])


def test_a_random_tree_comes_back():
    """Writes random trees out under PyTorch names and layouts; the table brings them back exactly."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        wanted = jax.tree.map(
            lambda spec, r=random: r.integers(-99, 99, spec.shape).astype(spec.dtype),
            abstract(int(random.integers(1, 5))),
        )
        state = {}
        for module, leaves in wanted.items():
            if module.startswith("layers_"):
                name = module.replace("_", ".") + ".fc"
                state |= {f"{name}.weight": leaves["fc"]["kernel"].T, f"{name}.bias": leaves["fc"]["bias"]}
            elif module == "stem":
                state |= {
                    "stem.weight": np.moveaxis(leaves["kernel"], (3, 2), (0, 1)),
                    "stem.bias": leaves["bias"],
                }
            elif module == "step":
                state["step"] = leaves
            else:
                state[f"{module}.weight"] = leaves.get("scale", leaves.get("embedding"))
                state |= {"norm.bias": leaves["bias"]} if module == "norm" else {}
        names = random.permutation(list(state))
        specs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), wanted)
        params = convert({name: state[name] for name in names}, TABLE, specs)
        assert jax.tree.all(jax.tree.map(np.array_equal, params, wanted))


def test_shapes_alone_convert_too():
    shapes = {key: jax.ShapeDtypeStruct(value.shape, value.dtype) for key, value in state_dict(2).items()}
    assert convert(shapes, TABLE, abstract(2)) == abstract(2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_become_float32(dtype):
    state = {
        key: value.astype(jnp.dtype(dtype)) if value.dtype == np.float32 else value
        for key, value in state_dict(1).items()
    }
    kernel = convert(state, TABLE, abstract(1))["layers_0"]["fc"]["kernel"]
    assert kernel.dtype == np.asarray(kernel).dtype == np.float32
    np.testing.assert_array_equal(kernel, state["layers.0.fc.weight"].astype(np.float32).T)


def test_float32_is_not_copied():
    state = state_dict(1)
    kernel = convert(state, TABLE, abstract(1))["layers_0"]["fc"]["kernel"]
    assert np.shares_memory(np.asarray(kernel), state["layers.0.fc.weight"])


def test_everything_wrong_is_in_one_message():
    state = state_dict(4)
    for i in range(4):
        state[f"layers.{i}.extra.weight"] = np.zeros((2, 3), np.float32)
    for i in (0, 1, 2):
        del state[f"layers.{i}.fc.bias"]
    state["stem.weight"] = np.zeros((5, 3, 4, 2), np.float32)
    state["embed.weight"] = np.zeros((7, 6), np.float32)
    state["norm.weight"][1:3] = np.nan, np.inf
    state["norm.bias"] = np.arange(5)
    state["layers.1.zero"][2] = 1.0
    state["layers.7.fc.bias"] = np.zeros(6, np.float32)
    with pytest.raises(InputError) as error:
        convert(state, TABLE, abstract(4), source="model.pth")
    assert str(error.value).split("\n") == [
        "model.pth does not fit the model:",
        "  2 tensors of the wrong shape:",
        "    stem.weight [5, 3, 4, 2], turned into [4, 2, 3, 5], not [2, 4, 3, 5]",
        "    embed.weight [7, 6], not [7, 5]",
        "  1 tensors with NaN or infinite values:",
        "    norm.weight 2 of 5 values",
        "  1 tensors of the wrong type:",
        "    norm.bias int64, not float32",
        "  1 buffers that should be zero:",
        "    layers.1.zero 1 of 5 values are not",
        "  5 tensors not part of the model:",
        "    layers.{0..3}.extra.weight [2, 3] (4 times)",
        "    layers.7.fc.bias [6]",
        "  3 parameters missing:",
        "    layers_{0..2}/fc/bias [6] (3 times)",
    ]


def test_the_wrong_number_of_axes_is_a_wrong_shape():
    state = state_dict(1) | {"stem.weight": np.zeros((5, 3), np.float32)}
    with pytest.raises(InputError, match=r"stem\.weight \[5, 3\], not \[2, 4, 3, 5\]"):
        convert(state, TABLE, abstract(1))


def test_a_tensor_may_be_two_layers():
    random = np.random.default_rng(0)
    state = {"proj.weight": random.random((6, 2), np.float32), "proj.bias": random.random(6, np.float32)}
    layer = {
        "kernel": jax.ShapeDtypeStruct((2, 3), np.float32),
        "bias": jax.ShapeDtypeStruct((3,), np.float32),
    }
    table = linear_halves("proj", "values", "gates")
    found = convert(state, table, {"values": layer, "gates": layer})
    for start, name in ((0, "values"), (3, "gates")):
        rows = slice(start, start + 3)
        np.testing.assert_array_equal(found[name]["kernel"], state["proj.weight"][rows].T)
        np.testing.assert_array_equal(found[name]["bias"], state["proj.bias"][rows])
    with pytest.raises(InputError, match=r"2 parameters missing:\n *gates/kernel \[2, 3\]"):
        convert(state, table[:2], {"values": layer, "gates": layer})


def test_ambiguous_rows_and_shared_destinations_are_errors():
    with pytest.raises(InputError, match="3 tensors in more than one row of the table"):
        convert(state_dict(3), (*TABLE, (r"layers\.\d+\.fc\.bias", None, drop)), abstract(3))
    table = (*TABLE, (r"copy", "norm/scale", keep))
    with pytest.raises(InputError, match=r"same destination:\n    copy like norm\.weight"):
        convert(state_dict(1) | {"copy": np.zeros(5, np.float32)}, table, abstract(1))


def test_names_fold_over_list_indexes_only():
    entries = [(f"down.{i}.block.{j}.conv1.weight", "x") for i in range(5) for j in range(2)]
    entries += [
        ("mid/block_1/norm1/scale", "x"),
        ("mid/block_2/norm1/scale", "x"),
        ("pos_1LC", "x"),
        ("a.3", "y"),
    ]
    assert fold(entries) == [
        "down.{0..4}.block.{0,1}.conv1.weight x (10 times)",
        "mid/block_{1,2}/norm1/scale x (2 times)",
        "pos_1LC x",
        "a.3 y",
    ]


def test_long_lists_are_cut():
    state = state_dict(1) | {f"{chr(97 + i)}.weight": np.zeros(1, np.float32) for i in range(20)}
    with pytest.raises(InputError) as error:
        convert(state, TABLE, abstract(1))
    assert "20 tensors not part of the model" in str(error.value)
    assert str(error.value).endswith("... and 8 more lines like these")
    assert len(str(error.value).split("\n")) == 2 + mapping._LINES_PER_GROUP + 1

"""Conversion holds a few tensors at a time, however many there are."""

import weakref

import jax
import numpy as np
import pytest

from checkpoints_convert import pytorch
from checkpoints_convert.pipeline import convert_files
from jaxaudit.checkpoint import load_target, save_target, writing
from tests.convert.recipe import write_checkpoint
from tests.golden import weights

GROUP = 100_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    cases = {"generator": "rar", "tokenizer": "rar_tokenizer"}
    return {
        part: write_checkpoint(
            folder / f"{part}.bin",
            {
                key: {"shape": shape, "dtype": "float32"}
                for key, shape in weights.load(case)[0]["state_dict"].items()
            },
        )
        for part, case in cases.items()
    }


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_few_tensors_are_mapped_at_a_time(files, tmp_path, monkeypatch, dtype):
    held, peak, original = {}, [], pytorch.mapped

    def counted(*arguments, **options):
        array = original(*arguments, **options)
        held[id(array.base)] = array.nbytes
        weakref.finalize(array.base, held.pop, id(array.base))
        peak.append(sum(held.values()))
        return array

    monkeypatch.setattr(pytorch, "mapped", counted)
    monkeypatch.setattr(writing, "_GROUP", GROUP)
    converted = convert_files("rar", files, dtype=dtype)
    leaves = jax.tree.leaves(converted.params)
    largest = 4 * max(leaf.size for leaf in leaves)
    assert not held
    assert max(peak) == largest  # they are looked at one after the other
    record = save_target(tmp_path / "target", **vars(converted))
    assert not held
    assert largest <= max(peak) <= max(GROUP, largest)
    assert 4 * record["num_params"] > 10 * max(peak)
    assert len(peak) == 2 * len(leaves)
    assert record["dtypes"] == [dtype]
    loaded = load_target(tmp_path / "target")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, jax.tree.map(np.asarray, converted.params))

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.parallel import data_parallel
from jaxaudit.runtime.processes import initialize_processes
from jaxaudit_kernels.partitioning import left_to_compiler


def function(params, batch):
    return {"y": batch["x"] @ params, "n": batch["n"] + 1}


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return {"x": generator.normal(size=(11, 4)).astype(np.float32), "n": np.arange(11)}


@pytest.mark.parametrize("parallelism", ["jit", "pmap"])
@pytest.mark.parametrize("num_devices", [1, 3, 8])
@pytest.mark.parametrize("padded_size", [1, 16])
def test_uneven_batches_come_back_whole(batch, parallelism, num_devices, padded_size):
    params = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    run = data_parallel(function, make_mesh(num_devices), parallelism=parallelism)
    result = run(params, batch, padded_size).result()
    np.testing.assert_allclose(result["y"], batch["x"] @ params, atol=1e-6)
    np.testing.assert_array_equal(result["n"], np.arange(11) + 1)


def test_a_device_sees_its_own_rows(batch):
    seen = []

    def where(params, batch):
        seen.append(batch["x"].shape)
        return batch["x"] * params

    run = data_parallel(where, make_mesh(8))
    pending = run(jnp.float32(2), {"x": np.ones((16, 4), np.float32)}, 16)
    assert len(pending._outputs.sharding.device_set) == 8
    assert seen == [(2, 4)]


@pytest.mark.parametrize(("split", "expected"), [(1, False), (4, True)])
def test_what_is_traced_can_tell_whether_the_compiler_splits_it(split, expected):
    seen = []

    def tell(params, batch):
        seen.append(left_to_compiler())
        return batch * params

    data_parallel(tell, make_mesh(8, split=split))(jnp.float32(2), np.ones((8, 2), np.float32), 8).result()
    assert set(seen) == {expected}


def test_too_many_devices_is_an_error():
    with pytest.raises(InputError, match=f"num_devices=9, but this process has {len(jax.devices())}"):
        make_mesh(9)


@pytest.mark.parametrize("spec", ["here", "a:1,2", "a:1,two,0"])
def test_a_wrong_process_spec_is_an_error(spec):
    with pytest.raises(InputError, match="ADDRESS:PORT"):
        initialize_processes(spec)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.usefixtures("unchecked")
def test_unknown_parallelism_is_an_error():
    with pytest.raises(InputError, match="'jit' or 'pmap'"):
        data_parallel(function, make_mesh(1), parallelism="threads")

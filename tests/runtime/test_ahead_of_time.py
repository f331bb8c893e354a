import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaudit.runtime.ahead_of_time import Compiled, compile_ahead
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.parallel import data_parallel, lower_rows

PARAMS = {"w": jax.ShapeDtypeStruct((16, 48), jnp.float32)}
BATCH = {"x": jax.ShapeDtypeStruct((5, 3, 16), jnp.float32)}


def logits(params, batch):
    z = batch["x"] @ params["w"]
    return jnp.sort(z, axis=-1)[..., 0]


def test_bytes_are_those_of_a_device_whose_rows_are_a_share():
    compiled = compile_ahead(logits, PARAMS, BATCH, make_mesh(2))
    assert compiled.arguments == 4 * (16 * 48 + 3 * 3 * 16)  # 5 rows are filled up to 6
    assert compiled.outputs == 4 * 3 * 3
    assert compiled.temporaries >= 4 * 3 * 3 * 48
    assert compiled.memory == compiled.arguments + compiled.outputs + compiled.temporaries
    assert compiled.cpu_seconds > 0
    assert compiled.wall_seconds > 0


def test_logits_in_memory_are_found():
    compiled = compile_ahead(logits, PARAMS, BATCH, make_mesh(1))
    assert any(np.prod(shape) == 5 * 3 * 48 for shape in compiled.logits(48, 5 * 3))
    assert compiled.logits(48, 5 * 3 + 2) == []  # nor is the head, [16,48], taken for them
    assert compiled.logits(47, 1) == []


def test_what_is_inside_a_fusion_is_not_in_memory():
    text = """HloModule step
%fused_computation.1 (p.0: f32[8,16]) -> f32[8] {
  %dot.1 = f32[8,100]{1,0} dot(f32[8,16]{1,0} %p.0, f32[16,100]{1,0} %c)
}
ENTRY %main (p: f32[8,16]) -> f32[8] {
  %fusion.1 = f32[8]{0} fusion(f32[8,16]{1,0} %p), kind=kLoop, calls=%fused_computation.1
  %call.2 = (bf16[8,100]{1,0}, u8[0]{0}) custom-call(%p), custom_call_target="__cudnn$fmhaSoftmax"
  %call.3 = f32[8,4]{1,0:T(8,128)} custom-call(%p), custom_call_target="__cudnn$fmhaSoftmax"
}
"""
    compiled = Compiled(0, 0, 0, 0.0, 0.0, text)
    assert compiled.float32_arrays() == {(8, 16), (8,), (8, 4)}
    assert compiled.kernels() == {"__cudnn$fmhaSoftmax": 2}
    assert compiled.logits(100, 8) == []


def test_the_compiled_program_is_the_one_that_runs():
    generator = np.random.default_rng(0)
    params = {"w": generator.standard_normal((16, 48)).astype(np.float32)}
    batch = {"x": generator.standard_normal((5, 3, 16)).astype(np.float32)}
    for parallelism in ("jit", "pmap"):
        mesh = make_mesh(2)
        compile_ahead(logits, PARAMS, BATCH, mesh, parallelism=parallelism)
        found = data_parallel(logits, mesh, parallelism=parallelism)(params, batch, 5).result()
        np.testing.assert_allclose(found, np.sort(batch["x"] @ params["w"])[..., 0], rtol=1e-5)


def test_it_lowers_for_platforms_that_are_not_here():
    for platform in ("tpu", "cuda"):
        text = lower_rows(logits, PARAMS, BATCH, make_mesh(1), platform=platform).as_text()
        assert "tensor<5x3x48xf32>" in text


def test_hidden_units_as_many_as_the_vocabulary_are_no_logits():
    line = '  %{} = f32[15,48]{{1,0}} custom-call(%a), metadata={{op_name="jit(f)/{}/dot_general"}}'
    hidden, head = line.format("h", "blocks_0/ffn/fc1"), line.format("z", "head")
    program = functools.partial(Compiled, 0, 0, 0, 0.0, 0.0)
    assert program(f"ENTRY %main () -> f32[] {{\n{hidden}\n}}").logits(48, 15) == []
    assert program(f"ENTRY %main () -> f32[] {{\n{hidden}\n{head}\n}}").logits(48, 15) == [(15, 48)]

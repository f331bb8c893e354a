import jax
import jax.numpy as jnp
import pytest

from jaxaudit.runtime.flops import count_flops

SPEC = jax.ShapeDtypeStruct


def test_products_and_convolutions():
    assert count_flops(jnp.matmul, SPEC((3, 5), "float32"), SPEC((5, 7), "float32")) == 2 * 3 * 5 * 7
    batched = count_flops(lambda a, b: jnp.einsum("bij,bkj->bik", a, b), *(SPEC((4, 3, 5), "float32"),) * 2)
    assert batched == 2 * 4 * 3 * 3 * 5

    def convolution(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    flops = count_flops(convolution, SPEC((2, 8, 8, 3), "float32"), SPEC((3, 3, 3, 6), "float32"))
    assert flops == 2 * (2 * 4 * 4 * 6) * (3 * 3 * 3)


def test_it_agrees_with_the_compiler_where_there_is_no_loop():
    def program(x, w):
        return jax.jit(jnp.tanh)(x @ w) @ w.T

    specs = SPEC((64, 128), "float32"), SPEC((128, 256), "float32")
    compiler = jax.jit(program).lower(*specs).cost_analysis()["flops"]
    assert count_flops(program, *specs) == pytest.approx(compiler, rel=0.01)


def test_a_loop_counts_as_often_as_it_runs():
    def once(x):
        return x @ x

    def loop(x):
        return jax.lax.scan(lambda carry, _: (once(carry), None), x, length=10)[0]

    spec = SPEC((8, 8), "float32")
    assert count_flops(loop, spec) == 10 * count_flops(once, spec)
    assert count_flops(lambda x: jax.lax.map(once, x), SPEC((6, 8, 8), "float32")) == 6 * count_flops(
        once, spec
    )
    assert count_flops(lambda x: jax.lax.cond(x[0, 0] > 0, once, lambda y: y, x), spec) == count_flops(
        once, spec
    )


def test_of_branches_for_platforms_the_one_for_all_counts():
    def program(x):
        return jax.lax.platform_dependent(x, tpu=lambda x: x @ x @ x, default=lambda x: x @ x)

    spec = SPEC((8, 8), "float32")
    assert count_flops(jax.jit(program), spec) == count_flops(lambda x: x @ x, spec)


def test_a_loop_of_unknown_length_is_refused():
    def program(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 10, lambda y: y @ y, x)

    with pytest.raises(ValueError, match="not known before it runs"):
        count_flops(program, SPEC((8, 8), "float32"))

"""Against programs whose memory can be counted by hand. Axes: M rows, K, N channels."""

import jax
import jax.numpy as jnp

from jaxaudit.runtime.memory import memory_use

M, K, N = 64, 128, 512


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def size(*shape):
    return 4 * jax.ShapeDtypeStruct(shape, jnp.float32).size


def test_an_array_lives_until_the_last_that_reads_it():
    def program(x, w):
        first = x @ w  # [M,N]
        second = first @ w.T  # [M,K]
        return (second @ w) @ w.T

    use = memory_use(program, spec(M, K), spec(K, N))
    assert use.peak == size(M, N) + size(M, K)
    products = 2 * (size(M, K) + size(K, N) + size(M, N)) + 2 * (size(M, N) + size(N, K) + size(M, K))
    assert use.traffic == products


def test_elementwise_work_is_part_of_what_reads_it():
    def program(x, w):
        return jnp.sum(jnp.exp(jnp.tanh(x @ w) * 2), axis=1)

    use = memory_use(program, spec(M, K), spec(K, N))
    assert use.peak == size(M, N) + size(M)
    assert use.traffic == size(M, K) + size(K, N) + 2 * size(M, N) + size(M)


def test_what_a_product_reads_exists():
    def program(x, w, v):
        return jnp.tanh(x @ w) @ v

    assert memory_use(program, spec(M, K), spec(K, N), spec(N, 1)).peak == 2 * size(M, N)


def test_a_residual_stream_is_not_computed_twice():
    def program(x, w):
        for _ in range(10):
            x = x + x @ w
        return x

    assert memory_use(program, spec(M, K), spec(K, K)).peak <= 3 * size(M, K)


def test_the_body_of_a_loop_uses_the_same_memory_every_time():
    def body(x, w):
        return (x @ w) @ w.T, None

    def looped(x, ws):
        return jax.lax.scan(body, x, ws)[0]

    few, many = (memory_use(looped, spec(M, K), spec(count, K, N)) for count in (2, 20))
    assert few.peak == many.peak >= size(M, N) + size(M, K)
    assert 9 < many.traffic / few.traffic < 10.1


def test_of_branches_the_largest_counts():
    def program(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: (x @ w) @ w.T, lambda: x)

    assert memory_use(program, spec(M, K), spec(K, N)).peak >= size(M, N) + size(M, K)


def test_what_nobody_reads_is_not_made():
    def program(x, w):
        _ = jnp.sort(x @ w)
        return x * 2

    assert memory_use(program, spec(M, K), spec(K, N)).peak == 0

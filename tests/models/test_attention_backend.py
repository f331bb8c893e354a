"""Attention by fused kernels: chosen by platform, dtype and width; the TPU's against XLA's, interpreted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from jaxaudit.errors import InputError
from jaxaudit.families import FAMILIES
from jaxaudit.models import attention_backend
from jaxaudit.models.attention import block_causal_attention
from jaxaudit.models.attention_backend import check_pieces, choose_backend
from jaxaudit.runtime.flops import count_flops
from tests.marks import slow_but

SCALES = tuple(side * side for side in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16))
CAUSAL = (1,) * 257
WIDTHS = (48, 64, 72, 80, 88)
"""Of the heads of the released models."""


@pytest.fixture
def cudnn(monkeypatch):
    """A process that could compile for CUDA: JAX asks which cuDNN is installed, and is told."""
    module = "jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version"
    monkeypatch.setattr(module, lambda: 91000)
    attention_backend._cudnn_obstacle.cache_clear()
    yield
    attention_backend._cudnn_obstacle.cache_clear()


def heads(length, width, dtype=jnp.bfloat16, batch=2, count=2):
    return [jax.ShapeDtypeStruct((batch, count, length, width), dtype)] * 3


def lowered(platform, backend, blocks, width, dtype=jnp.bfloat16):
    attend = functools.partial(block_causal_attention, blocks=blocks, layout="b h l d", backend=backend)
    traced = jax.jit(attend).trace(*heads(sum(blocks), width, dtype))
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_step_for_cuda_calls_cudnn(cudnn, width):
    assert choose_backend("auto", platform="gpu", dtype=jnp.bfloat16, head_width=width) == "cudnn"
    assert "__cudnn$fmhaSoftmax" in lowered("cuda", "cudnn", (257,), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_step_for_tpus_calls_the_kernel(width):
    assert choose_backend("auto", platform="tpu", dtype=jnp.bfloat16, head_width=width) == "pallas"
    assert "tpu_custom_call" in lowered("tpu", "pallas", (257,), width)


def test_what_cudnn_computes_of_blocks(cudnn):
    """Every scale of its own is a call, the small ones of one group are not; causal is one call."""
    text = lowered("cuda", "cudnn", SCALES, 64)
    assert text.count("@__cudnn$fmhaSoftmax") == 4
    attend = functools.partial(
        block_causal_attention, blocks=CAUSAL, layout="b h l d", group_size=257, backend="cudnn"
    )
    text = jax.jit(attend).trace(*heads(257, 48)).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@__cudnn$fmhaSoftmax") == 1
    assert "CAUSAL" in text


def draw(length, width, past=0):
    rng = np.random.default_rng(0)
    lengths = (length, past + length, past + length)
    return [jnp.asarray(rng.standard_normal((1, 2, n, width), np.float32)) for n in lengths]


def interpreted(function, *inputs):
    """What a program with TPU kernels computes, here."""
    with pltpu.force_tpu_interpret_mode():
        return jax.jit(function)(*inputs)


@pytest.mark.parametrize(
    ("blocks", "past", "group_size", "layout"),
    [
        (SCALES, 0, 128, "b h l d"),
        ((257,), 0, 128, "b l h d"),
        (CAUSAL, 0, 257, "b h l d"),
        ((1, 4, 9, 16, 25), 5, 16, "b l h d"),
    ],
)
def test_the_kernel_is_the_attention_of_xla(blocks, past, group_size, layout):
    q, k, v = (jnp.moveaxis(x, 1, layout.split().index("h")) for x in draw(sum(blocks), 24, past=past))

    attend = functools.partial(
        block_causal_attention, blocks=blocks, layout=layout, scale=0.7, group_size=group_size
    )
    fused = interpreted(functools.partial(attend, backend="pallas"), q, k, v)
    assert fused.dtype == jnp.float32
    np.testing.assert_allclose(fused, jax.jit(attend)(q, k, v), rtol=1e-5, atol=1e-5)


def test_the_gradient_beside_the_kernel_is_that_of_xla():
    attend = functools.partial(block_causal_attention, blocks=(1, 4, 9), layout="b h l d")

    def gradients(backend):
        return jax.grad(lambda *x: jnp.sum(jnp.sin(attend(*x, backend=backend))), argnums=(0, 1, 2))

    inputs = draw(14, 8)
    fused = interpreted(gradients("pallas"), *inputs)
    for ours, theirs in zip(fused, jax.jit(gradients("xla"))(*inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_cudnn_has_a_gradient(cudnn):
    attend = functools.partial(block_causal_attention, blocks=(256,), layout="b l h d", backend="cudnn")
    gradient = jax.jit(jax.grad(lambda *x: jnp.sum(attend(*x))))
    inputs = [jax.ShapeDtypeStruct((2, 256, 2, 72), jnp.bfloat16)] * 3
    text = gradient.trace(*inputs).lower(lowering_platforms=("cuda",)).as_text()
    assert "__cudnn$fmhaSoftmaxBackward" in text


@pytest.mark.parametrize(
    ("platform", "dtype", "width", "found"),
    [
        ("cpu", jnp.bfloat16, 64, "xla"),
        ("gpu", jnp.float32, 64, "xla"),
        ("gpu", jnp.bfloat16, 20, "xla"),
        ("gpu", jnp.bfloat16, 512, "xla"),
        ("gpu", jnp.bfloat16, 64, "cudnn"),
        ("tpu", jnp.float32, 20, "pallas"),
    ],
)
def test_auto_takes_what_can_be_used(cudnn, platform, dtype, width, found):
    assert choose_backend("auto", platform=platform, dtype=dtype, head_width=width) == found
    assert choose_backend("xla", platform=platform, dtype=dtype, head_width=width) == "xla"


def test_without_cudnn_installed_xla_is_chosen():
    attention_backend._cudnn_obstacle.cache_clear()
    assert choose_backend("auto", platform="gpu", dtype=jnp.bfloat16, head_width=64) == "xla"
    with pytest.raises(InputError, match="'cudnn'.*64.*cuDNN is not detected"):
        choose_backend("cudnn", platform="gpu", dtype=jnp.bfloat16, head_width=64)


@pytest.mark.parametrize(
    ("choice", "platform", "dtype", "width", "message"),
    [
        ("cudnn", "tpu", jnp.bfloat16, 64, "'cudnn': there is none on a tpu; use 'auto' or 'xla'"),
        ("pallas", "cpu", jnp.float32, 64, "'pallas': there is none on a cpu"),
        ("cudnn", "gpu", jnp.float32, 64, "float32 heads of width 64 are refused"),
        ("cudnn", "gpu", jnp.bfloat16, 20, "bfloat16 heads of width 20 .*multiple of 8"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(cudnn, choice, platform, dtype, width, message):
    with pytest.raises(InputError, match=message):
        choose_backend(choice, platform=platform, dtype=dtype, head_width=width)


@pytest.mark.parametrize(("kernel", "platform"), [("cudnn", "gpu"), ("pallas", "tpu")])
def test_no_kernel_adds_biases(cudnn, kernel, platform):
    facts = {"platform": platform, "dtype": jnp.bfloat16, "head_width": 64, "biased": True}
    assert choose_backend("auto", **facts) == choose_backend("xla", **facts) == "xla"
    with pytest.raises(InputError, match=f"'{kernel}': its logits have biases, which no kernel adds"):
        choose_backend(kernel, **facts)


def test_networks_in_pieces_have_no_kernels():
    check_pieces("auto", 2)
    check_pieces("xla", 2)
    check_pieces("cudnn", 1)
    with pytest.raises(InputError, match="'cudnn': there is none where parameters are split over 2 devices"):
        check_pieces("cudnn", 2)


BIASED = {"mdt"}
"""Families whose logits have biases, which no kernel adds."""

SHALLOW = {"depth": 2, "num_res_blocks": 1}
OF_FAMILY = {"dimr": {"depth": 3, "fine_depth": 1, "num_heads": 15}}
"""What few blocks are for whom; the 16 heads of DiMR-XL are 60 wide, which cuDNN refuses, 15 would be 64."""


@pytest.mark.parametrize(
    "name", slow_but([name for name in FAMILIES if name not in BIASED], "var", "dit", "ldm")
)
def test_the_choice_reaches_the_network_of_every_family(cudnn, name):
    """Whole images of the smallest released model, made shallow, lowered for CUDA and for TPUs."""
    family = FAMILIES[name]
    variant = min(family.VARIANTS.values(), key=lambda variant: variant.num_params["generator"])
    generator = dict(variant.config["generator"])
    few = SHALLOW | OF_FAMILY.get(name, {})
    generator |= {field: number for field, number in few.items() if field in generator}
    config = {**variant.config, "generator": generator}
    params = family.abstract_params(config)

    def text(platform):
        target = family.build_target(
            "x", config, params, variant.preprocessing, {}, dtype=jnp.bfloat16,
            platform={"cuda": "gpu"}.get(platform, platform),
        )  # fmt: skip
        traced = jax.jit(PASS[target.kind](target)).trace(params)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    assert "__cudnn$fmhaSoftmax" in text("cuda")
    assert "tpu_custom_call" in text("tpu")


def _latents(target):
    return jnp.zeros((1, *target.latent_shape), jnp.float32)


def _condition(target):
    if target.context_shape:
        return jnp.zeros((1, *target.context_shape), jnp.float32)
    return LABELS if target.num_classes else None


LABELS = jnp.zeros(1, jnp.int32)
PASS = {
    "discrete": lambda target: (
        lambda params: target.functions.hidden(
            params, jnp.zeros((1, target.num_tokens), jnp.int32), _condition(target)
        )
    ),
    "continuous": lambda target: (
        lambda params: target.functions.conditions(
            params, _latents(target), LABELS, jnp.zeros((1, 3), jnp.int32)
        )
    ),
    "diffusion": lambda target: (
        lambda params: target.functions.denoise(params, _latents(target), jnp.int32(0), _condition(target))
    ),
}
"""A pass over one image, by the kind of target."""


def test_kernels_are_counted_like_the_products_they_are(cudnn):
    def flops(backend, blocks, width):
        attend = functools.partial(
            block_causal_attention, blocks=blocks, layout="b h l d", group_size=257, backend=backend
        )
        return count_flops(attend, *heads(sum(blocks), width))

    for blocks in ((256,), CAUSAL):
        assert flops("cudnn", blocks, 64) == flops("xla", blocks, 64)
    assert flops("pallas", (256,), 64) == flops("xla", (256,), 64)

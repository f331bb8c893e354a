"""The networks of DiT-MoE, small and large kind, against outputs of the official code."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.dit_moe import GENERATOR
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.models.dit_moe import DiTMoE, DiTMoEConfig, MoEBlock
from jaxaudit_kernels.learned_variance import training_losses
from jaxaudit_kernels.process import add_noise, noise_levels
from jaxaudit_kernels.processes import linear_beta
from tests.golden import weights

SMALL = {"num_classes": 10, "num_heads": 4, "latent_size": 8, "num_experts": 4}
CONFIGS = {
    "dit_moe": DiTMoEConfig(**SMALL, depth=3, width=48),
    "dit_moe_flow": DiTMoEConfig(**SMALL, depth=2, width=64, qk_norm=True),
}
CASES = sorted(CONFIGS)
CAPTURED = ("t_embedder", "gate", "moe", "shared_experts", "attn")


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


@functools.cache
def compiled(case):
    """(params, x, t, labels) -> output, everything captured, and what the shared experts are given."""
    model = DiTMoE(CONFIGS[case])

    def run(params, x, t, labels):
        given = {}

        def note(call, args, kwargs, context):
            if context.module.name == "shared_experts" and context.method_name == "__call__":
                given[context.module.path[0]] = args[0]
            return call(*args, **kwargs)

        with nn.intercept_methods(note):
            out, captured = model.apply(
                {"params": params},
                x,
                t,
                labels,
                capture_intermediates=lambda module, _: (
                    isinstance(module, MoEBlock) or module.name in CAPTURED
                ),
                mutable=["intermediates", "activations"],
            )
        return out, captured, given

    return jax.jit(run)


def parameters(case, state):
    spec = jax.ShapeDtypeStruct
    latents, one = spec((1, 8, 8, 4), jnp.float32), spec((1,), jnp.int32)
    abstract = jax.eval_shape(DiTMoE(CONFIGS[case]).init, jax.random.key(0), latents, one, one)["params"]
    return jax.tree.map(jnp.asarray, convert(state, GENERATOR, abstract))


@functools.cache
def golden(case):
    """Parameters, inputs (images NHWC), recorded outputs."""
    recorded, io = weights.load(case)
    inputs = {name: jnp.asarray(nhwc(x)) for name, x in weights.inputs(recorded).items()}
    return parameters(case, weights.state_dict(recorded, io)), inputs, io


@functools.cache
def official(case):
    """Output and what was captured on the recorded inputs."""
    params, inputs, _ = golden(case)
    out, captured, given = compiled(case)(params, *(inputs[name] for name in ("x", "t", "y")))
    return out, captured["intermediates"], captured["activations"], given


@pytest.mark.parametrize("case", CASES)
def test_official_outputs(case):
    (params, inputs, io), (out, seen, hidden, given) = golden(case), official(case)
    close(out, nhwc(io["out"]))
    nulls = np.full(4, 10, np.int32)
    close(compiled(case)(params, inputs["x"], inputs["t"], nulls)[0], nhwc(io["out_null"]))
    close(seen["t_embedder"]["__call__"][0], io["t_embedding"])
    if case == "dit_moe_flow":
        close(seen["blocks_0"]["attn"]["__call__"][0], io["block0_attn_out"])
        rounded = nhwc(io["out_qk_half"])  # the released models round queries and keys
        np.testing.assert_allclose(out, rounded, rtol=0, atol=0.002 * np.abs(rounded).max())
    for i in range(CONFIGS[case].depth):
        block, stride = seen[f"blocks_{i}"], 2 if i else 1
        close(block["__call__"][0], io[f"block{i}_out"])
        close(block["moe"]["__call__"][0][..., ::stride], io[f"block{i}_moe_out"])
        close(block["moe"]["shared_experts"]["__call__"][0][..., ::stride], io[f"block{i}_shared_out"])
        expert = params[f"blocks_{i}"]["moe"]["shared_experts"]
        gate, up = (given[f"blocks_{i}"] @ expert[f"{part}_proj"]["kernel"] for part in ("gate", "up"))
        close(nn.silu(gate)[..., ::4], io[f"block{i}_shared_silu"])
        units = hidden[f"blocks_{i}"]["moe"]["shared_experts"]["hidden"][0]
        close(units[..., ::4], io[f"block{i}_shared_silu"] * up[..., ::4])


@pytest.mark.parametrize("case", CASES)
def test_official_choice_of_experts(case):
    """And the term that keeps experts busy in training, 0.01 E Σ_e ⟨chosen⟩_e ⟨p⟩_e."""
    _, _, io = golden(case)
    for i in range(CONFIGS[case].depth):
        p = jax.nn.softmax(official(case)[1][f"blocks_{i}"]["moe"]["gate"]["__call__"][0])
        close(p, io[f"block{i}_router_probs"])
        chosen = np.sort(jax.lax.top_k(p, 2)[1], axis=-1)
        np.testing.assert_array_equal(chosen, io[f"block{i}_experts"])
        close(np.take_along_axis(np.asarray(p), chosen, -1), io[f"block{i}_expert_weights"])
        share = np.bincount(chosen.reshape(-1), minlength=4) / chosen.size
        close(0.01 * 4 * np.sum(share * np.mean(p, (0, 1))), io["aux_loss"][i], rtol=1e-5, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_true_gradients_go_through_experts_and_router(case):
    """The official evaluation mode leaves both out."""
    params, inputs, io = golden(case)
    model = DiTMoE(CONFIGS[case])

    @jax.jit
    def gradient(x):
        return jax.grad(
            lambda x: jnp.sum(model.apply({"params": params}, x, inputs["t"], inputs["y"]) * inputs["probe"])
        )(x)

    found, expected = gradient(inputs["x"]), nhwc(io["grad_x"])
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=2e-5)
    assert np.abs(found - nhwc(io["grad_x_official_eval"])).max() > 0.01 * largest


@pytest.mark.parametrize("case", CASES)
def test_official_guided_output(case):
    """Guidance, which the official code applies to three of the four channels, mixes our two views."""
    params, inputs, io = golden(case)
    x, t = (inputs[name][np.array([0, 1, 0, 1])] for name in ("x", "t"))
    labels = np.array([*inputs["y"][:2], 10, 10], np.int32)
    out = compiled(case)(params, x, t, labels)[0]
    guided = out[2:, ..., :3] + 3.5 * (out[:2, ..., :3] - out[2:, ..., :3])
    close(jnp.concatenate([jnp.tile(guided, (2, 1, 1, 1)), out[..., 3:]], -1), nhwc(io["cfg_out"]))


@pytest.mark.parametrize("case", CASES)
def test_official_output_of_small_signals(case):
    """Where the epsilon of the norms decides."""
    recorded, io = weights.load(case)
    probe = recorded["small_signal_probe"]
    state = {
        key: value * np.float32(probe["scale"] if re.search(probe["keys_matching"], key) else 1)
        for key, value in weights.state_dict(recorded, io).items()
    }
    inputs = golden(case)[1]
    out = compiled(case)(parameters(case, state), *(inputs[name] for name in ("x", "t", "y")))[0]
    close(out, nhwc(io["small_out"]))


def test_official_losses_of_the_small_kind():
    params, inputs, io = golden("dit_moe")
    process, (t, noise, x_start) = linear_beta(), (inputs[name] for name in ("loss_t", "noise", "x_start"))
    x_t = add_noise(x_start, noise_levels(process, t), noise)
    close(x_t, nhwc(io["x_t"]))
    out = compiled("dit_moe")(params, x_t, t, inputs["y"])[0]
    for name, loss in training_losses(process, out, x_start, t, noise).items():
        close(loss, io[name])


@pytest.mark.parametrize("experts_per_token", [0, 9])
def test_unusable_configs(experts_per_token):
    with pytest.raises(InputError, match=f"experts_per_token={experts_per_token} of num_experts=8"):
        DiTMoEConfig(experts_per_token=experts_per_token)

"""Both MDT networks, whole and with hidden tokens, against outputs of the official code; properties."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.mdt import GENERATOR
from jaxaudit.errors import InputError
from jaxaudit.models.mdt import MDT, Block, MDTConfig, others, position_bias
from jaxaudit_kernels.learned_variance import training_losses
from jaxaudit_kernels.process import add_noise, noise_levels
from jaxaudit_kernels.processes import linear_beta
from tests.golden import weights

SMALL = {"num_classes": 10, "decoder_depth": 2, "width": 64, "num_heads": 4, "latent_size": 8}
CONFIGS = {
    "mdt_v1": MDTConfig(depth=4, skips=False, hidden_share=0.3, **SMALL),
    "mdt_v2": MDTConfig(depth=6, **SMALL),
}
CASES = sorted(CONFIGS)
FIRST = {"mdt_v1": "blocks_0", "mdt_v2": "en_inblocks_0"}
LAST_OF_ENCODER = {"mdt_v1": "blocks_1", "mdt_v2": "en_outblocks_1"}


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


@functools.cache
def golden(case):
    """Parameters, inputs (images NHWC), recorded outputs."""
    recorded, io = weights.load(case)
    inputs = {name: jnp.asarray(nhwc(x)) for name, x in weights.inputs(recorded).items()}
    return parameters(case, weights.state_dict(recorded, io)), inputs, io


def parameters(case, state):
    spec = jax.ShapeDtypeStruct
    latents, one = spec((1, 8, 8, 4), jnp.float32), spec((1,), jnp.int32)
    abstract = jax.eval_shape(MDT(CONFIGS[case]).init, jax.random.key(0), latents, one, one)["params"]
    return jax.tree.map(jnp.asarray, convert(state, GENERATOR, abstract))


@functools.cache
def compiled(case):
    """(params, z_t, t, labels, hidden) -> output and everything captured; two programs for all tests."""

    def run(params, z_t, t, labels, hidden):
        return MDT(CONFIGS[case]).apply(
            {"params": params},
            z_t,
            t,
            labels,
            hidden,
            capture_intermediates=lambda module, _: isinstance(module, Block) or module.name == "t_embedder",
            mutable=["intermediates", "activations"],
        )

    return jax.jit(run)


def run(case, z_t, t, labels, hidden=None, *, params=None):
    """Output and everything captured."""
    t, labels = np.asarray(t, np.int32), np.asarray(labels, np.int32)
    return compiled(case)(golden(case)[0] if params is None else params, jnp.asarray(z_t), t, labels, hidden)


def hidden_tokens(io):
    """The recorded mask, 1 where hidden, as positions."""
    return np.stack([np.flatnonzero(row) for row in io["mask"]]).astype(np.int32)


@pytest.mark.parametrize("case", CASES)
def test_official_outputs(case):
    params, inputs, io = golden(case)
    out, captured = run(case, inputs["x"], inputs["t"], inputs["y"])
    close(out, nhwc(io["out"]))
    close(captured["intermediates"]["t_embedder"]["__call__"][0], io["t_embedding"])
    for name in CONFIGS[case].blocks:
        recorded = re.sub(r"s_(\d)", r"\1", name)
        close(captured["intermediates"][name]["__call__"][0], io[f"{recorded}_out"])
        hidden = captured["activations"][name]["mlp"]["hidden"][0]
        close(hidden[..., ::4], io[f"{recorded}_mlp_hidden"])
    close(position_bias(params[FIRST[case]]["relative_position_bias"], 4, None)[0], io["rel_pos_bias"])
    null = np.full(4, 10)
    close(run(case, inputs["x"], inputs["t"], null)[0], nhwc(io["out_null"]))


@pytest.mark.parametrize("case", CASES)
def test_official_outputs_with_hidden_tokens(case):
    """Theirs are in the order of `ids_keep`, ours by position."""
    params, inputs, io = golden(case)
    hidden, kept = hidden_tokens(io), io["ids_keep"]
    assert hidden.shape == (4, CONFIGS[case].num_hidden)
    np.testing.assert_array_equal(others(jnp.asarray(hidden), 16), np.sort(kept, axis=1))
    out, captured = run(case, inputs["x"], inputs["t"], inputs["y"], hidden)
    close(out, nhwc(io["out_masked"]))
    order = np.argsort(kept, axis=1)[:, :, None]
    blocks = captured["intermediates"]
    for name, recorded in ((FIRST, "masked_first_block_out"), (LAST_OF_ENCODER, "masked_encoder_out")):
        close(blocks[name[case]]["__call__"][0], np.take_along_axis(io[recorded], order, axis=1))
    close(blocks["sideblocks_0"]["__call__"][0], io["side_block_out"])
    table = params[FIRST[case]]["relative_position_bias"]
    close(position_bias(table, 4, jnp.asarray(kept))[:2], io["masked_rel_pos_bias"])


@pytest.mark.parametrize("case", CASES)
def test_official_losses(case):
    """The official loss of MDTv2 counts the error min(SNR, 5) / SNR times; ours is the error."""
    _, inputs, io = golden(case)
    process, t = linear_beta(), np.asarray(inputs["loss_t"])
    close(process.alphas_cumprod, io["alphas_cumprod"], rtol=1e-6, atol=0)
    x_t = add_noise(inputs["x_start"], noise_levels(process, jnp.asarray(t)), inputs["noise"])
    close(x_t, nhwc(io["x_t"]))
    snr = process.alphas_cumprod[t] / (1 - process.alphas_cumprod[t])
    weight = np.minimum(snr, 5) / snr if case == "mdt_v2" else 1.0
    for hidden, ending in ((None, ""), (hidden_tokens(io), "_masked")):
        out, _ = run(case, x_t, t, inputs["y"], hidden)
        losses = training_losses(process, out, inputs["x_start"], jnp.asarray(t), inputs["noise"])
        close(weight * losses["mse"], io[f"mse{ending}"])
        close(losses["vb"], io[f"vb{ending}"])
        close(weight * losses["mse"] + losses["vb"], io[f"loss{ending}"])
        if not ending:
            close(losses["mse"], io["mse_unweighted"])


@pytest.mark.parametrize("case", CASES)
def test_official_guided_output(case):
    """Their guidance, of three channels and less of it the noisier the latents, mixes our two views."""
    _, inputs, io = golden(case)
    rows = np.array([0, 1, 0, 1])
    t = np.asarray(inputs["t"])[rows]
    out, _ = run(case, inputs["x"][rows], t, [*inputs["y"][:2], 10, 10])
    share = (1 - np.cos(np.pi * (1 - t[:2] / 1000) ** 2.0)) / 2
    scale = (1 + 2.8 * share)[:, None, None, None].astype(np.float32)
    guided = out[2:, ..., :3] + scale * (out[:2, ..., :3] - out[2:, ..., :3])
    close(jnp.concatenate([jnp.tile(guided, (2, 1, 1, 1)), out[..., 3:]], -1), nhwc(io["cfg_out"]))


@pytest.mark.parametrize("case", CASES)
def test_official_output_of_small_signals(case):
    """Where the norms' epsilon decides."""
    recorded, io = weights.load(case)
    probe, state = recorded["small_signal_probe"], weights.state_dict(recorded, io)
    for key in state:
        if re.search(probe["keys_matching"], key):
            state[key] = state[key] * np.float32(probe["scale"])
    inputs = golden(case)[1]
    out, _ = run(case, inputs["x"], inputs["t"], inputs["y"], params=parameters(case, state))
    close(out, nhwc(io["small_out"]))


@pytest.mark.parametrize("case", CASES)
def test_the_encoder_does_not_see_what_is_hidden(case):
    """MDTv2's decoder does, through its skips from the patches."""
    _, inputs, io = golden(case)
    hidden, kept = hidden_tokens(io), np.sort(io["ids_keep"], axis=1)
    patches = np.array(inputs["x"]).reshape(4, 4, 2, 4, 2, 4)
    for row, positions in enumerate(hidden):
        patches[row, positions // 4, :, positions % 4] = 7.0
    arguments = inputs["t"], inputs["y"], hidden
    before, after = (run(case, x, *arguments) for x in (inputs["x"], patches.reshape(4, 8, 8, 4)))
    last = LAST_OF_ENCODER[case]
    seen, still = (captured["intermediates"][last]["__call__"][0] for _, captured in (before, after))
    assert seen.shape == (*kept.shape, 64)
    np.testing.assert_array_equal(seen, still)
    assert np.array_equal(before[0], after[0]) == (case == "mdt_v1")
    turned, _ = run(case, inputs["x"], inputs["t"], inputs["y"], hidden[:, ::-1])
    np.testing.assert_array_equal(turned, before[0])


def test_half_precision_computes_about_the_same():
    params, inputs, io = golden("mdt_v2")
    half = MDT(CONFIGS["mdt_v2"], jnp.bfloat16)
    out = jax.jit(half.apply)({"params": params}, inputs["x"], inputs["t"], inputs["y"])
    assert out.dtype == jnp.float32
    error = out - nhwc(io["out"])
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.std(io["out"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 0}, "num_classes=0: an MDT needs at least one class"),
        ({"num_heads": 7}, "num_heads=7 does not divide width=1152"),
        ({"width": 66, "num_heads": 6}, "width=66 is not a multiple of 4"),
        ({"latent_size": 33}, "patch_size=2 does not divide latent_size=33"),
        ({"decoder_depth": 28}, "decoder_depth=28 of depth=28 blocks"),
        ({"decoder_depth": 3}, "depth=28 leaves 25 blocks to the encoder, which with skips needs an even"),
        ({"hidden_share": 0.0}, "hidden_share=0.0 hides 0 of 256 tokens"),
        ({"hidden_share": 1.0}, "hidden_share=1.0 hides 256 of 256 tokens"),
    ],
)
def test_unusable_configs(fields, message):
    with pytest.raises(InputError, match=message):
        MDTConfig(**fields)

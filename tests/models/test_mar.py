"""MAR and its diffusion head against outputs of the official code, and properties."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert.mapping import convert
from checkpoints_convert.mar import GENERATOR
from jaxaudit.errors import InputError
from jaxaudit.models import mar, mar_generation, mar_head
from jaxaudit.models.mar import MAR, Block, MARConfig
from jaxaudit.models.patches import patchify, unpatchify
from jaxaudit_kernels.denoising import ddim
from jaxaudit_kernels.learned_variance import ancestral_step, reverse_step
from jaxaudit_kernels.process import add_noise, denoised, noise_levels
from jaxaudit_kernels.processes import respace
from tests.golden import weights

CONFIG = MARConfig(
    num_classes=10,
    depth=2,
    width=64,
    num_heads=4,
    buffer_size=8,
    side=6,
    latent_channels=8,
    head_depth=3,
    head_width=80,
)
MODEL, HEAD = MAR(CONFIG), CONFIG.head()
SPACED = respace(mar_head.TRAINING, 100)


@functools.cache
def golden():
    """Parameters, inputs (latents as tokens), recorded outputs, and the recording's config."""
    recorded, io = weights.load("mar")
    spec = jax.ShapeDtypeStruct
    abstract = jax.eval_shape(
        MODEL.init,
        jax.random.key(0),
        spec((1, 36, 8), jnp.float32),
        spec((1,), jnp.int32),
        spec((1, 5), jnp.int32),
        spec((1, 5, 8), jnp.float32),
        spec((1, 5), jnp.int32),
    )["params"]
    params = jax.tree.map(jnp.asarray, convert(weights.state_dict(recorded, io), GENERATOR, abstract))
    inputs = jax.tree.map(jnp.asarray, weights.inputs(recorded))
    inputs["tokens"] = patchify(jnp.moveaxis(inputs["latents"], 1, -1), 1, mar.PATCH_ORDER)
    return params, inputs, io, recorded


def head_params():
    return golden()[0]["diffloss"]["net"]


def hidden_positions(mask):
    return np.nonzero(mask)[1].reshape(len(mask), -1).astype(np.int32)


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


def stream(name):
    """The Gaussian draws of a recording, in order."""
    random = np.random.RandomState(golden()[3]["noise_streams"][name])
    return lambda *shape: random.standard_normal(shape).astype(np.float32)


def test_patchify():
    _, inputs, io, _ = golden()
    latents = jnp.moveaxis(inputs["latents"], 1, -1)
    np.testing.assert_array_equal(inputs["tokens"], io["tokens"])
    pairs = patchify(latents, 2, mar.PATCH_ORDER)
    np.testing.assert_array_equal(pairs, io["tokens_patch2"])
    np.testing.assert_array_equal(unpatchify(pairs, 2, mar.PATCH_ORDER), latents)


def run_transformer(params, tokens, labels, hidden):
    visible = mar.complement(hidden, 36)

    def both(model):
        encoded = model.encode(tokens, labels, visible)
        return encoded, model.decode(encoded, visible), model.conditions(tokens, labels, hidden)

    return MODEL.apply(
        {"params": params},
        method=both,
        capture_intermediates=lambda module, _: isinstance(module, Block),
        mutable=["intermediates", "activations"],
    )


@pytest.mark.parametrize("setting", ["A", "B"])
def test_official_conditions_and_activations(setting):
    params, inputs, io, _ = golden()
    hidden = np.tile(hidden_positions(io[f"mask_{setting}"]), (2, 1))
    labels = np.concatenate([inputs["labels"], [CONFIG.num_classes] * 2])
    tokens = jnp.tile(inputs["tokens"], (2, 1, 1))
    (encoded, z, at_hidden), captured = jax.jit(run_transformer)(params, tokens, labels, hidden)
    close(z[:2], io[f"z_cond_{setting}"])
    close(z[2:], io[f"z_null_{setting}"])
    np.testing.assert_allclose(at_hidden, np.take_along_axis(z, hidden[..., None], 1), atol=1e-6)
    close(encoded[:2], io[f"encoder_out_cond_{setting}"])
    if setting == "A":
        return
    close(encoded[2:], io["encoder_out_null_B"])
    for part in ("encoder", "decoder"):
        for i in range(2):
            block = captured["activations"][f"{part}_blocks_{i}"]["mlp"]["hidden"][0][:2]
            close(block[:, :: 1 if part == "encoder" else 2, ::8], io[f"{part}_block{i}_mlp_hidden_B"])
            output = captured["intermediates"][f"{part}_blocks_{i}"]["__call__"][0][:2]
            close(output[..., ::2], io[f"{part}_block{i}_out_B"])


def test_hidden_tokens_do_not_reach_the_conditions():
    """The gradient of every condition with respect to every hidden token is exactly zero."""
    params, inputs, io, _ = golden()
    hidden = jnp.asarray(hidden_positions(io["mask_B"]))

    @jax.jit
    def gradient(tokens):
        def total(tokens):
            z = MODEL.apply({"params": params}, tokens, inputs["labels"], hidden, method="conditions")
            return jnp.sum(z * jnp.cos(jnp.arange(z.size, dtype=jnp.float32)).reshape(z.shape))

        return jnp.abs(jax.grad(total)(tokens)).sum(-1)

    reach = np.asarray(gradient(inputs["tokens"]))
    np.testing.assert_array_equal(reach[io["mask_B"] == 1], 0.0)
    assert (reach[io["mask_B"] == 0] > 0).all()


def test_masking_equals_leaving_out():
    """The form with hidden tokens kept but unattended gives the conditions of the form without them."""
    params, inputs, io, _ = golden()
    every = jnp.broadcast_to(jnp.arange(36), (2, 36))
    shown = jnp.asarray(io["mask_B"] == 0)

    @jax.jit
    def conditions(tokens):
        variables = {"params": params}
        h = MODEL.apply(variables, tokens, inputs["labels"], every, shown, method="encode")
        return MODEL.apply(variables, h, every, shown, method="decode")

    close(conditions(inputs["tokens"]), io["z_cond_B"])


@functools.cache
def head_outputs():
    """Everything recorded of the head on its own, and the losses of `mar_head.losses`, in one program."""
    inputs = golden()[1]
    x, noise, z = inputs["head_x_start"], inputs["head_noise"], inputs["head_z"]
    t, index = inputs["head_t"], inputs["step_index"]

    @jax.jit
    def run(net):
        x_t = add_noise(x, noise_levels(mar_head.TRAINING, t), noise)
        output = HEAD.apply({"params": net}, x_t, t, z)
        guided = mar_head.guided(HEAD, net, x_t[None, :6], t[None, :6], z[None, :6], z[None, 6:], 2.5)
        step_output = HEAD.apply({"params": net}, x, jnp.asarray(SPACED.times)[index], z)
        seen = denoised(SPACED, step_output, x, index)
        mean, log_variance = reverse_step(SPACED, x, index, seen)
        here, before = noise_levels(SPACED, index), noise_levels(SPACED, index - 1)
        losses = mar_head.losses(HEAD, net, z[None], x[None], t[None], noise[None, None])
        return {
            "head_x_t": x_t,
            "head_net_out": output,
            "head_cfg_out": guided[0],
            "step_mean": mean,
            "step_log_variance": log_variance,
            "step_p_sample": ancestral_step(SPACED, x, index, seen, noise, temperature=0.9),
            "step_ddim": ddim(x, here, before, seen.eps),
            **{f"head_{name}": value[0, 0] for name, value in losses.items()},
        }

    return run(head_params())


def test_official_head_outputs():
    io = golden()[2]
    for name, actual in head_outputs().items():
        # Guidance: ours returns the conditional half.
        expected = io[name][:6] if name == "head_cfg_out" else io[name]
        close(actual, expected, err_msg=name)


def test_losses_share_the_conditioning_of_a_timestep():
    """One timestep for all, one per token and one per noise and token are the same losses."""
    inputs = golden()[1]
    x, z = inputs["head_x_start"].reshape(2, 6, 8), inputs["head_z"].reshape(2, 6, 64)
    noise = jax.random.normal(jax.random.key(0), (3, 2, 6, 8))
    losses = jax.jit(functools.partial(mar_head.losses, HEAD))
    one = losses(head_params(), z, x, 500, noise)
    per_token = losses(head_params(), z, x, np.full((2, 6), 500), noise)
    per_noise = losses(head_params(), z, x, np.full((3, 2, 6), 500), noise)
    for name, value in one.items():
        assert value.shape == (3, 2, 6)
        close(per_token[name], value, atol=1e-5)
        close(per_noise[name], value, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(6,\) are neither"):
        mar_head.losses(HEAD, head_params(), z, x, jnp.full(6, 500), noise)


def test_official_partial_chain():
    _, inputs, io, _ = golden()
    draw = stream("chain")
    noises = np.stack([draw(6, 8) for _ in range(61)])[:, None]
    sample = jax.jit(functools.partial(mar_head.sample, HEAD, process=SPACED, temperature=0.9))
    z, start = inputs["head_z"][None, :6], inputs["chain_start"][None]
    close(sample(head_params(), z=z, start=start, noises=noises)[0], io["chain_from_60"])


@pytest.mark.parametrize("case", ["sample_nocfg", "sample_cfg"])
def test_official_full_chains(case):
    """They end at values of 1e5, so they are compared relative to the largest."""
    _, inputs, io, _ = golden()
    draw, z = stream(case), inputs["head_z"][None]
    conditions = (
        {"z": z[:, :6]} if case == "sample_nocfg" else {"z": z[:, :3], "null_z": z[:, 3:6], "guidance": 2.5}
    )
    count = conditions["z"].shape[1]
    start = draw(count, 8)[None]
    noises = np.stack([draw(6, 8)[:count] for _ in range(100)])[:, None]
    sample = jax.jit(functools.partial(mar_head.sample, HEAD, process=SPACED, temperature=0.9))
    actual = sample(head_params(), start=start, noises=noises, **conditions)
    expected = io[case][:count]
    close(actual[0] / np.abs(expected).max(), expected / np.abs(expected).max(), rtol=0, atol=2e-5)


@functools.cache
def recorded_generation():
    """start and noises of every generation step from the recorded stream, as `complete` wants them."""
    io = golden()[2]
    draw, orders = stream("generation"), io["gen_orders"]
    counts = mar_generation.hidden_counts(36, 3)
    width = max(-np.diff(counts))
    starts, noises = np.zeros((3, 2, width, 8), np.float32), np.zeros((3, 100, 2, width, 8), np.float32)
    for step, (before, after) in enumerate(itertools.pairwise(counts)):
        predicted = [sorted(order[after:before]) for order in orders]
        rows = {(b, p): i for i, (b, p) in enumerate((b, p) for b in range(2) for p in predicted[b])}
        start, chain = draw(len(rows), 8), [draw(2 * len(rows), 8) for _ in range(100)]
        for b in range(2):
            for k, position in enumerate(orders[b, after:before][::-1]):
                row = rows[b, position]
                starts[step, b, k] = start[row]
                noises[step, :, b, k] = [each[row] for each in chain]
    return jnp.asarray(starts), jnp.asarray(noises)


def test_official_generation():
    """Three guided iterations with the recorded noise, relative to the largest value (1e5)."""
    params, inputs, io, recorded = golden()
    starts, noises = recorded_generation()
    options = recorded["generation"]

    @jax.jit
    def run(params):
        return mar_generation.complete(
            MODEL,
            params,
            jnp.full((2, 36, 8), jnp.nan),  # nothing of it is kept
            inputs["labels"],
            jnp.asarray(io["gen_orders"][:, ::-1]),
            lambda step, _: (starts[step], noises[step]),
            prefix=0,
            steps=options["num_iter"],
            sampling_steps=100,
            temperature=options["temperature"],
            guidance=options["cfg"],
        )

    expected = np.moveaxis(io["gen_latents"], 1, -1)
    actual, largest = unpatchify(run(params), 1, mar.PATCH_ORDER), np.abs(expected).max()
    close(actual / largest, expected / largest, rtol=0, atol=2e-5)


def test_generation_counts():
    counts = mar_generation.hidden_counts(256, 64)
    assert (len(counts), counts[:3], counts[-3:]) == (65, (256, 255, 254), (12, 6, 0))
    assert mar_generation.hidden_counts(4, 4) == (4, 3, 2, 1, 0)  # at least one token per step
    assert mar_generation.hidden_counts(9, 1) == (9, 0)
    with pytest.raises(InputError, match=r"steps=10 is not in 1\.\.9"):
        mar_generation.hidden_counts(9, 10)


def test_complement():
    positions = jnp.array([[4, 0], [1, 2]])
    np.testing.assert_array_equal(mar.complement(positions, 5), [[1, 2, 3], [0, 3, 4]])

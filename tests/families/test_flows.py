"""Flows as targets: official outputs of SiT, LFM and the large kind of DiT-MoE, at the recorded times."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from checkpoints_convert import CONVERSIONS
from checkpoints_convert.mapping import convert
from jaxaudit.attacks.localization import ActivationMeter
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.assess import assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.configs import from_dict
from jaxaudit.data import open_source, preprocess
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.models.adaptive import position_table
from jaxaudit.models.dit import Block, DiT, DiTConfig
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.partition import place
from jaxaudit.runtime.placement import Placement
from jaxaudit_kernels.process import add_noise, network_input, noise_levels, what_is_predicted
from tests.golden import weights

TOKENIZER = {
    "latent_channels": 4,
    "ch": 32,
    "ch_mult": [1],
    "num_res_blocks": 1,
    "encoder_attention_levels": [],
    "scale": 0.18215,
    "image_size": 8,
}
GENERATOR = {"num_classes": 10, "depth": 3, "width": 64, "num_heads": 4, "latent_size": 8}
PREPROCESSING = Preprocessing(8, "none", 8, -1.0, 1.0)
LEAST = 1e-5
FAMILY = {"sit": "sit", "lfm": "lfm", "dit_moe_flow": "dit_moe"}
GENERATORS = {
    "sit": GENERATOR,
    "lfm": GENERATOR | {"learned_variance": False},
    "dit_moe_flow": GENERATOR | {"depth": 2, "num_experts": 4, "qk_norm": True},
}
PROCESSES = {
    "sit": {"name": "linear_flow", "time_of": "data"},
    "lfm": {"name": "linear_flow", "least_spread": LEAST},
    "dit_moe_flow": {"name": "linear_flow"},
}
NOISE_TO_SIGNAL = {
    "sit": lambda t: (1 - t) / t,
    "lfm": lambda t: (LEAST + (1 - LEAST) * t) / (1 - t),
    "dit_moe_flow": lambda t: t / (1 - t),
}
"""Of x at the time t, in the words of each paper."""
NAMES = {"sit": ("x_t", "u_t"), "lfm": ("z_t", "u"), "dit_moe_flow": ("z_t", None)}
"""What the records call the noised latents of the loss, and its target."""


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def close(actual, expected, **options):
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-4, "atol": 1e-4} | options)


def network_params(case, state):
    config = {"generator": GENERATORS[case], "tokenizer": TOKENIZER}
    abstract = get_family(FAMILY[case]).abstract_params(config)
    table = CONVERSIONS[FAMILY[case]].parts["generator"].table
    generator = jax.tree.map(jnp.asarray, convert(state, table, abstract["generator"]))
    return {"generator": generator, "tokenizer": random_params(abstract["tokenizer"])}


@functools.cache
def golden(case):
    """Parameters, inputs and recorded outputs, images NHWC."""
    recorded, io = weights.load(case)
    inputs = {name: nhwc(x) for name, x in weights.inputs(recorded).items()}
    inputs.setdefault("loss_t", io.get("loss_t"))
    params = network_params(case, weights.state_dict(recorded, io))
    return params, inputs, {name: nhwc(x) for name, x in io.items()}


@functools.cache
def at_recorded_times(case):
    """A target whose levels are the recorded times but that of pure noise; rows of x and of the loss there.

    At pure noise a velocity tells nothing of the noise that x does not.
    """
    params, inputs, _ = golden(case)
    pure = 0.0 if case == "sit" else 1.0
    rows = {name: np.flatnonzero(inputs[name] != pure) for name in ("t", "loss_t")}
    times = np.concatenate([inputs[name][kept] for name, kept in rows.items()]).astype(np.float64)
    levels, found = np.unique(NOISE_TO_SIGNAL[case](times), return_inverse=True)
    config = {
        "generator": GENERATORS[case],
        "tokenizer": TOKENIZER,
        "process": PROCESSES[case] | {"noise_to_signal": levels.tolist()},
    }
    target = get_family(FAMILY[case]).build_target("golden", config, params, PREPROCESSING, {})
    return target, rows, dict(zip(rows, np.split(found, [len(rows["t"])]), strict=True))


@pytest.mark.parametrize("case", FAMILY)
def test_official_noise_and_losses(case):
    """ε̂ from the official velocity by the formula of each paper, and the official loss of the velocity."""
    target, rows, levels = at_recorded_times(case)
    _, inputs, io = golden(case)
    process, (state, _) = target.process, NAMES[case]
    x = np.concatenate([inputs["x"][rows["t"]], io[state][rows["loss_t"]]])
    level = np.concatenate([levels["t"], levels["loss_t"]])
    labels = np.concatenate([inputs["y"][rows["t"]], inputs["y"][rows["loss_t"]]])
    scale = process.scale[level][:, None, None, None].astype(np.float32)
    of_x, of_loss = np.split(np.asarray(target.predict_noise(x / scale, level, labels)), [len(rows["t"])])
    if case == "lfm":
        t = inputs["t"][rows["t"]][:, None, None, None]
        close(of_x, inputs["x"][rows["t"]] + (1 - t) * io["out"][rows["t"]])
    else:
        close(of_x, io["noise_from_out"][rows["t"]])
    if "noise_from_pred" in io:
        close(of_loss, io["noise_from_pred"][rows["loss_t"]])
    error = process.error_scale[levels["loss_t"]][:, None, None, None]
    error = error * (inputs["noise"][rows["loss_t"]] - of_loss)
    close(np.mean(error**2, axis=(1, 2, 3)), io["loss"][rows["loss_t"]])


@pytest.mark.parametrize("case", FAMILY)
def test_official_paths(case):
    """What the network reads and is told, and the velocity it is taught."""
    target, rows, levels = at_recorded_times(case)
    _, inputs, io = golden(case)
    kept, level, (state, velocity) = rows["loss_t"], jnp.asarray(levels["loss_t"]), NAMES[case]
    x_start, noise = jnp.asarray(inputs["x_start"][kept]), jnp.asarray(inputs["noise"][kept])
    x_t = add_noise(x_start, noise_levels(target.process, level), noise)
    x, time = network_input(target.process, x_t, level)
    close(x, io[state][kept], rtol=1e-5, atol=1e-5)
    close(time, inputs["loss_t"][kept], rtol=1e-6, atol=1e-7)
    if velocity is not None:
        close(what_is_predicted(target.process, x_start, noise, level), io[velocity][kept])


@functools.cache
def compiled(case):
    """(params, x, t, labels) -> output and everything captured, for a network that is DiT's."""
    model = DiT(from_dict(DiTConfig, GENERATORS[case]))

    def run(params, x, t, labels):
        return model.apply(
            {"params": params},
            x,
            t,
            labels,
            capture_intermediates=lambda module, _: (
                isinstance(module, Block) or module.name in ("t_embedder", "y_embedder")
            ),
            mutable=["intermediates", "activations"],
        )

    return jax.jit(run)


@pytest.mark.parametrize("case", ["sit", "lfm"])
def test_official_networks(case):
    params, inputs, io = golden(case)
    x, t, y = inputs["x"], inputs["t"], inputs["y"]
    run, nulls = functools.partial(compiled(case), params["generator"]), np.full(4, 10, np.int32)
    out, captured = run(x, t, y)
    seen, hidden = captured["intermediates"], captured["activations"]
    close(out, io["out_before_chunk" if case == "sit" else "out"])
    close(out[..., :4], io["out"])
    null = run(x, t, nulls)[0][..., :4]
    close(null, io["out_null"])
    close(seen["t_embedder"]["__call__"][0], io["t_embedding"])
    for i in range(3):
        close(seen[f"blocks_{i}"]["__call__"][0], io[f"block{i}_out"])
        close(hidden[f"blocks_{i}"]["mlp"]["hidden"][0][..., ::4], io[f"block{i}_mlp_hidden"])
    state, velocity = NAMES[case]
    close(run(io[state], inputs["loss_t"], y)[0][..., :4], io["pred"])
    if case == "sit":
        close(seen["y_embedder"]["__call__"][0], io["y_embedding"])
        close(position_table(64, 4)[None], io["pos_embed_sincos"])
        error = run(io[state], inputs["loss_t"], nulls)[0][..., :4] - io[velocity]
        close(np.mean(error**2, axis=(1, 2, 3)), io["velocity_loss_null"])
    else:
        close(null, io["out_without_label"])
        close(run(x, np.full(4, t[1]), y)[0], io["out_scalar_t"])


@pytest.mark.parametrize(("case", "strength", "guided"), [("sit", 3.5, 3), ("lfm", 1.5, 4)])
def test_official_guided_outputs(case, strength, guided):
    """SiT guides three of the four channels, as DiT does, LFM all of them."""
    params, inputs, io = golden(case)
    twice, labels = np.array([0, 1, 0, 1]), np.array([*inputs["y"][:2], 10, 10], np.int32)
    out = compiled(case)(params["generator"], inputs["x"][twice], inputs["t"][twice], labels)[0][..., :4]
    mixed = out[2:, ..., :guided] + strength * (out[:2, ..., :guided] - out[2:, ..., :guided])
    close(np.concatenate([np.tile(mixed, (2, 1, 1, 1)), out[..., guided:]], -1), io["cfg_out"])


@pytest.mark.parametrize("case", ["sit", "lfm"])
def test_official_output_of_small_signals(case):
    """Where the epsilon of the norms decides."""
    recorded, io = weights.load(case)
    probe, (_, inputs, _) = recorded["small_signal_probe"], golden(case)
    state = {
        key: value * np.float32(probe["scale"] if re.search(probe["keys_matching"], key) else 1)
        for key, value in weights.state_dict(recorded, io).items()
    }
    params = network_params(case, state)["generator"]
    out = compiled(case)(params, inputs["x"], inputs["t"], inputs["y"])[0]
    close(out[..., :4], nhwc(io["small_out"]))


def test_hidden_units_of_a_mixture_are_those_of_the_shared_expert():
    target, rows, levels = at_recorded_times("dit_moe_flow")
    _, inputs, io = golden("dit_moe_flow")
    scale = target.process.scale[levels["t"]][:, None, None, None].astype(np.float32)
    x, labels = inputs["x"][rows["t"]], inputs["y"][rows["t"]]
    found = target.activations(x / scale, levels["t"], labels)
    assert list(found) == ["block 0", "block 1"]
    assert target.hidden_widths == {"block 0": 128, "block 1": 128}
    for i, hidden in enumerate(found.values()):
        down = target.params["generator"][f"blocks_{i}"]["moe"]["shared_experts"]["down_proj"]["kernel"]
        close((hidden @ down)[..., :: i + 1], io[f"block{i}_shared_out"][rows["t"]])


TINY = {
    "generator": {
        "num_classes": 10,
        "depth": 1,
        "width": 16,
        "num_heads": 2,
        "latent_size": 8,
        "latent_channels": 3,
        "num_experts": 3,
        "qk_norm": True,
    },
    "tokenizer": None,
    "process": PROCESSES["dit_moe_flow"],
}
SCORES = ("velocity_loss_50", "clid_300")
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0])


def tiny_target(*, split=1, **options):
    """A DiT-MoE in pixel space, untrained."""
    family = get_family("dit_moe")
    params = random_params(family.abstract_params(TINY))
    if split > 1:
        params = place(params, family.PARTITION, make_mesh(8, split=split))
    return family.build_target("tiny", TINY, params, PREPROCESSING, {"fingerprint": "tiny"}, **options)


def assert_scored_alike(found, images, labels, ids):
    """As on one device with whole parameters."""
    expected = jaxaudit.score(tiny_target(), images, labels, names=tuple(found), ids=ids)
    for score, values in expected.items():
        assert len(set(values.tolist())) == len(images)
        np.testing.assert_allclose(found[score], values, rtol=1e-5, atol=1e-5, err_msg=score)


@pytest.mark.slow
def test_an_untrained_mixture_is_audited_on_eight_devices(tmp_path):
    sides = [open_source(f"digits:{split}[:64]") for split in ("members", "nonmembers")]
    config = CollectConfig(scores=SCORES, placement=Placement(8), shard_size=64)
    evidence = collect_evidence(tiny_target(), *sides, tmp_path, config)
    assert assess(evidence).finding.status == "no_evidence"
    table, first = evidence.read("members"), slice(4)
    assert tuple(table.scores) == SCORES
    pictures = [preprocess(sides[0].load(i).image, PREPROCESSING) for i in range(4)]
    found = {name: values[first] for name, values in table.scores.items()}
    assert_scored_alike(found, np.stack(pictures), table.labels[first], table.sample_ids[first])


def test_scores_of_split_experts_are_those_of_whole_ones():
    target, ids = tiny_target(split=4), list("abcd")
    kernel = target.params["generator"]["blocks_0"]["moe"]["experts_2"]["down_proj"]["kernel"]
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(16, 16)}
    found = Scorer(target, SCORES[:1]).submit(IMAGES, LABELS, ids=ids, padded_size=4).result()
    assert_scored_alike(found, IMAGES, LABELS, ids)


def test_half_precision_computes_about_the_same():
    half, full = (
        jaxaudit.score(tiny_target(dtype=dtype), IMAGES, LABELS, names=SCORES[0])[SCORES[0]]
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    np.testing.assert_allclose(half, full, rtol=0.02)


def test_units_of_a_mixture_are_measured():
    meter = ActivationMeter(tiny_target())
    found = meter.submit(IMAGES, LABELS, ids=[str(i) for i in range(4)]).result()
    assert found.shape == (4, 1, 32)
    assert np.all(found > 0)


def test_who_predicts_noise_has_no_velocity_loss():
    config = TINY | {"process": {"name": "linear_beta"}}
    target = get_family("dit_moe").build_target("small", config, {}, PREPROCESSING, {})
    with pytest.raises(InputError, match="velocity_loss_50 cannot be had: small predicts no velocity"):
        jaxaudit.score(target, IMAGES, LABELS, names="velocity_loss_50")


def test_released_facts():
    facts = {
        name: (variant.licence, variant.config.get("process"), variant.config["tokenizer"]["scale"])
        for family in ("sit", "lfm", "dit_moe")
        for name, variant in get_family(family).VARIANTS.items()
    }
    assert facts == {
        "sit_xl_2_256": ("MIT", None, 0.18215),
        "lfm_b_2_256": ("AGPL-3.0-only", None, 0.18215),
        "dit_moe_s_2_8e2a": ("NOASSERTION", None, 0.18215),
        "dit_moe_s_2_16e2a": ("NOASSERTION", None, 0.18215),
        "dit_moe_b_2_8e2a": ("NOASSERTION", None, 0.18215),
        "dit_moe_xl_2_8e2a": ("NOASSERTION", {"name": "linear_flow"}, 0.18215),
        "dit_moe_g_2_16e2a": ("NOASSERTION", {"name": "linear_flow"}, 0.18215),
    }

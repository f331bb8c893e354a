"""The yardstick does the work of the networks it stands for, no more and no less."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from experiments.yardstick.latents import DenoiserPipeline, MaskedPipeline
from experiments.yardstick.pairs import PAIRS, measure_pair
from experiments.yardstick.tokens import TokenPipeline
from jaxaudit.audits.benchmark.scoring import benchmark_config
from jaxaudit.families import FAMILIES
from jaxaudit.runtime.flops import count_flops
from tests import tiny

LABELS = np.zeros(1, np.int32)


def flops(function, *shapes, labels=False):
    """Counted by torch, on arrays that are not there."""
    inputs = [torch.zeros(shape, device="meta") for shape in shapes]
    if labels:
        inputs.append(torch.zeros(1, dtype=torch.long, device="meta"))
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops()


def abstract(name):
    family = next(family for family in FAMILIES.values() if name in family.VARIANTS)
    config = benchmark_config(name)
    params = family.abstract_params(config)
    target = family.build_target(name, config, params, family.VARIANTS[name].preprocessing, {})
    return config["tokenizer"], config["generator"], params, target


@pytest.mark.parametrize(("name", "skips"), [("dit_xl_2_256", False), ("uvit_h_2_256", True)])
def test_denoisers_cost_what_ours_cost(name, skips):
    tokenizer, generator, params, target = abstract(name)
    with torch.device("meta"):
        network = DenoiserPipeline(tokenizer, generator, passes=1, skips=skips)
    ours = count_flops(target.functions.denoise, params, np.zeros((1, 32, 32, 4), np.float32), LABELS, LABELS)
    theirs = flops(network.denoise, (1, 4, 32, 32), (1,), labels=True)
    assert theirs == pytest.approx(ours, rel=0.002)
    encode = count_flops(target.functions.encode, params, np.zeros((1, 256, 256, 3), np.float32))
    assert flops(network.autoencoder, (1, 3, 256, 256)) == pytest.approx(encode, rel=0.01)


@pytest.mark.parametrize(("name", "per_token", "spared"), [("var_d16", False, 0.04), ("rar_b", True, -0.01)])
def test_token_models_cost_what_ours_cost_but_for_masked_attention(name, per_token, spared):
    tokenizer, generator, params, target = abstract(name)
    with torch.device("meta"):
        network = TokenPipeline(tokenizer, generator, steps=target.tokens_per_step, per_token=per_token)
    tokens = np.zeros((1, target.num_tokens), np.int32)
    ours = count_flops(target.functions.hidden, params, tokens, LABELS)
    ours += 2 * target.num_tokens * generator["width"] * generator["vocab_size"]
    image = (1, 3, 256, 256)
    theirs = flops(network.logits, image, labels=True) - flops(network.tokenise, image)
    assert 1 - ours / theirs == pytest.approx(spared, abs=0.01)
    encode = count_flops(target.functions.encode, params, np.zeros((1, 256, 256, 3), np.float32))
    assert flops(network.encoder, image) == pytest.approx(encode, rel=0.07)


def test_mar_recomputes_the_conditioning_for_every_noise():
    tokenizer, generator, params, target = abstract("mar_base")
    with torch.device("meta"):
        network = MaskedPipeline(tokenizer, generator, num_hidden=244, num_noises=64)
    hidden, z = np.zeros((1, 244), np.int32), np.zeros((1, 244, 768), np.float32)
    conditions = count_flops(
        target.functions.conditions, params, np.zeros((1, 256, 16), np.float32), LABELS, hidden
    )
    image, losses = (1, 3, 256, 256), flops(network.losses, (1, 256, 768), (1, 256, 16))
    rest = flops(network, image, labels=True) - flops(network.autoencoder, image) - losses
    assert rest == pytest.approx(conditions, rel=0.002)

    def apart(params, z, latents, times, noise):  # a time of its own for every noise
        return target.functions.head_losses(params, z, latents, times, noise)

    latents, times = np.zeros((1, 244, 16), np.float32), np.zeros((64, 1, 244), np.int32)
    ours = count_flops(apart, params, z, latents, times, np.zeros((64, 1, 244, 16), np.float32))
    assert losses == pytest.approx(ours * 256 / 244, rel=0.002)  # visible tokens too


def test_a_pipeline_makes_a_number_for_every_score():
    config = tiny.VAR_CONFIG
    torch.manual_seed(0)
    network = TokenPipeline(config["tokenizer"], config["generator"], steps=(1, 4, 16), per_token=False)
    scores = network(torch.zeros(2, 3, 8, 8), torch.tensor([1, 2]))
    assert scores.shape == (2, 48)
    assert torch.isfinite(scores).all()


def test_rows_name_targets():
    for rows in PAIRS.values():
        for row in rows:
            assert row.measure is measure_pair
            assert benchmark_config(row.arguments["target"])

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
from jaxaudit.checkpoint import load_target
from jaxaudit.runtime.flops import count_flops

LABELS = np.zeros(1, np.int32)


def flops(function, *shapes, labels=False):
    """Counted by torch, on arrays that are not there."""
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        inputs = [torch.zeros(shape) for shape in shapes]
        function(*inputs, *([torch.zeros(1, dtype=torch.long)] if labels else []))
    return counter.get_total_flops()


def zeros(*shape):
    return np.zeros((1, *shape), np.float32)


@pytest.mark.parametrize(("name", "skips"), [("digits_dit", False), ("digits_uvit", True)])
def test_denoisers_cost_what_ours_cost(name, skips):
    config, target = benchmark_config(name), load_target(name)
    with torch.device("meta"):
        network = DenoiserPipeline(config["tokenizer"], config["generator"], passes=1, skips=skips)
    height, width, channels = target.latent_shape
    latents = zeros(height, width, channels)
    ours = count_flops(target.functions.denoise, target.params, latents, LABELS, LABELS)
    theirs = flops(network.denoise, (1, channels, height, width), (1,), labels=True)
    assert theirs == pytest.approx(ours, rel=0.01)


@pytest.mark.parametrize(
    ("name", "per_token", "extras"),
    [("digits_var", False, 1.0), ("digits_rar", True, 66 / 64)],  # positions that ours reads beside tokens
)
def test_token_models_cost_what_ours_cost(name, per_token, extras):
    config, target = benchmark_config(name), load_target(name)
    generator, side = config["generator"], target.preprocessing.image_size
    steps = target.tokens_per_step
    with torch.device("meta"):
        network = TokenPipeline(config["tokenizer"], generator, steps=steps, per_token=per_token)
    tokens = np.zeros((1, target.num_tokens), np.int32)
    ours = count_flops(target.functions.hidden, target.params, tokens, LABELS)
    ours += 2 * target.num_tokens * generator["width"] * generator["vocab_size"]
    image = (1, 3, side, side)
    theirs = flops(network.logits, image, labels=True) - flops(network.tokenise, image)
    assert theirs * extras == pytest.approx(ours, rel=0.04)


def test_mar_recomputes_the_conditioning_for_every_noise():
    config, target = benchmark_config("digits_mar"), load_target("digits_mar")
    (length, channels), width = target.latent_shape, config["generator"]["width"]
    count, side = length - 3, target.preprocessing.image_size
    with torch.device("meta"):
        network = MaskedPipeline(config["tokenizer"], config["generator"], num_hidden=count, num_noises=8)
    hidden, image = np.arange(count, dtype=np.int32)[None], (1, 3, side, side)
    conditions = count_flops(
        target.functions.conditions, target.params, zeros(length, channels), LABELS, hidden
    )
    losses = flops(network.losses, (1, length, width), (1, length, channels))
    encode = flops(network.autoencoder, image)
    assert flops(network, image, labels=True) - encode - losses == pytest.approx(conditions, rel=0.002)
    encodes = count_flops(target.functions.encode, target.params, zeros(side, side, 3))
    assert encode == pytest.approx(encodes, rel=0.01)
    times = np.zeros(
        (8, 1, count), np.int32
    )  # one of its own for every noise, as if conditioning were not shared
    inputs = zeros(count, width), zeros(count, channels), times, np.zeros((8, 1, count, channels), np.float32)
    apart = count_flops(target.functions.head_losses, target.params, *inputs)
    assert losses == pytest.approx(apart * length / count, rel=0.002)  # visible tokens too


def test_a_pipeline_makes_a_number_for_every_score():
    config, target = benchmark_config("digits_var"), load_target("digits_var")
    torch.manual_seed(0)
    network = TokenPipeline(
        config["tokenizer"], config["generator"], steps=target.tokens_per_step, per_token=False
    )
    scores = network(torch.zeros(2, 3, 8, 8), torch.tensor([1, 2]))
    assert scores.shape == (2, 48)
    assert torch.isfinite(scores).all()


def test_rows_name_targets():
    for rows in PAIRS.values():
        for row in rows:
            assert row.measure is measure_pair
            assert benchmark_config(row.arguments["target"])

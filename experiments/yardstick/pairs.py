"""Ours and the yardstick, timed alternately in one process, as rows of the suite.

What stands on our side: for VAR and RAR all scores of cond and diff, for MAR those of cond, for DiT and U-ViT
the gray-box ones of the published set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.benchmark.scoring import benchmark_config, benchmark_target
from jaxaudit.audits.benchmark.suite import Row
from jaxaudit.audits.benchmark.timing import speedup, time_side_by_side
from jaxaudit.results import YardstickSpeed
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.targets import Target

from .latents import DenoiserPipeline, MaskedPipeline
from .tokens import TokenPipeline

_GRAY = ("denoising_loss_ref", "secmi_ref", "pia_ref", "pian_ref", "multiple_loss_*_ref")
_SCORES = {"var": ("all",), "rar": ("all",), "mar": ("cond/*",), "dit": _GRAY, "uvit": _GRAY}


def measure_pair(
    *, target: str, precision: str = "float32", batch_size: int = 4, rounds: int = 3
) -> YardstickSpeed:
    """A target, by name, beside its yardstick in float32, the precision of the published code.

    Args:
      target: one that comes with jaxaudit, or a released model's shape.
      precision: of ours.
      batch_size: pictures of a batch, on either side.
      rounds: timed calls of either.
    """
    ours = benchmark_target(target, precision=precision)
    scores = _SCORES[ours.family]
    scorer = Scorer(ours, scores, mesh=make_mesh(1))
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    torch.manual_seed(0)
    yardstick = _YARDSTICKS[ours.family](benchmark_config(target), ours, scorer).eval()
    generator = np.random.default_rng(0)
    size = ours.preprocessing.image_size
    low, high = ours.preprocessing.low, ours.preprocessing.high
    images = generator.uniform(low, high, (batch_size, size, size, 3)).astype(np.float32)
    labels = generator.integers(0, ours.num_classes, batch_size)
    theirs = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels)
    laps = time_side_by_side(
        lambda: scorer.submit(images, labels.astype(np.int32)).result(),
        lambda: yardstick(*theirs),
        rounds=rounds,
    )
    return YardstickSpeed(
        target=ours.name,
        precision=precision,
        scores=scores,
        batch_size=batch_size,
        seconds=float(np.median([lap.wall for lap in laps[0]])),
        yardstick_seconds=float(np.median([lap.wall for lap in laps[1]])),
        speedup=speedup(*laps, "wall"),
        speedup_cpu=speedup(*laps, "cpu"),
    )


def _tokens(config: Mapping[str, Any], ours: Target, scorer: Scorer) -> TokenPipeline:
    del scorer
    per_token = ours.family == "rar"
    parts = config["tokenizer"], config["generator"]
    return TokenPipeline(*parts, steps=ours.tokens_per_step, per_token=per_token)


def _masked(config: Mapping[str, Any], ours: Target, scorer: Scorer) -> MaskedPipeline:
    del scorer
    published = MaskedLossConfig()
    return MaskedPipeline(
        config["tokenizer"],
        config["generator"],
        num_hidden=published.num_hidden(ours.num_tokens),
        num_noises=published.num_noises,
    )


def _denoiser(config: Mapping[str, Any], ours: Target, scorer: Scorer) -> DenoiserPipeline:
    evaluations = scorer.evaluations()
    assert evaluations is not None  # it is a diffusion model
    parts, passes = (config["tokenizer"], config["generator"]), evaluations["naive"]["passes"]
    return DenoiserPipeline(*parts, passes=passes, skips=ours.family == "uvit")


_YARDSTICKS: dict[str, Callable[..., torch.nn.Module]] = {
    "var": _tokens,
    "rar": _tokens,
    "mar": _masked,
    "dit": _denoiser,
    "uvit": _denoiser,
}


def _row(name: str, target: str, **options: Any) -> Row:
    return Row(name, "yardstick", measure_pair, {"target": target, **options})


PAIRS: dict[str, tuple[Row, ...]] = {
    "full": (
        _row("pair_var_d16", "var_d16", rounds=5),
        _row("pair_var_d16_bfloat16", "var_d16", precision="bfloat16", rounds=5),
        _row("pair_rar_b", "rar_b"),
        _row("pair_mar_base", "mar_base", batch_size=2),
        _row("pair_dit_xl_2_256", "dit_xl_2_256", batch_size=2, rounds=2),
        _row("pair_uvit_h_2_256", "uvit_h_2_256", batch_size=2, rounds=2),
    ),
    "quick": tuple(
        _row(f"pair_{name}", name, rounds=1)
        for name in ("digits_var", "digits_rar", "digits_mar", "digits_dit", "digits_uvit")
    ),
}
"""The rows of each suite."""

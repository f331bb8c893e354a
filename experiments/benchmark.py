"""Where the time of an audit goes: images per second of every stage, against this machine's matmul speed.

  jaxaudit benchmark --target=var_d16 --random_weights
  jaxaudit benchmark --target=dit_xl_2_256 --random_weights --access=gray --batch_size=1

The matrix product and all stages are timed in turn, round after round in one process, and compared within a
round, so that a machine that is busy in between slows both. FLOPs: matrix products and convolutions.
"""

import functools
import io
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit import cli
from jaxaudit.attacks.runner import Scorer
from jaxaudit.checkpoint import random_target
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.outputs import check_file
from jaxaudit.results import BenchmarkResults, StageSpeed, write_results
from jaxaudit.runtime.flops import count_flops
from jaxaudit.targets import DiffusionTarget, DiscreteTarget, Kind, Target
from jaxaudit_kernels.gradient_masking import denoised_and_gradient
from jaxaudit_kernels.likelihood import guided_token_statistics
from jaxaudit_kernels.precision import matmul_precision

from . import shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _RANDOM = flags.DEFINE_bool("random_weights", False, "Random weights in the shape of a released model.")
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores of the whole step, as for `jaxaudit audit`.")
shared_flags.define_access()
with cli.flag_group("Timing"):
    _ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one to warm up.", lower_bound=1)
    _GEMM = flags.DEFINE_integer(
        "gemm", 4096, "Side of the square matrix product.", lower_bound=128, upper_bound=1 << 16
    )
shared_flags.define_seed()
shared_flags.define_devices(batch_size=4)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "A JSON file for the numbers.")


def main(argv: Sequence[str]) -> None:
    """Times what the flags name."""
    del argv
    flag, console = flags.FLAGS, cli.terminal()
    if _OUT.value:
        check_file(_OUT.value)
    placement = shared_flags.placement()
    if _RANDOM.value:
        target = random_target(
            flag.target,
            seed=flag.seed,
            dtype=flag.precision,
            placement=placement,
            attention=flag.attention,
        )
    else:
        target = shared_flags.load(console)
    access = shared_flags.access()
    scorer = Scorer(target, _SCORES.value, access=access, parallelism=flag.parallelism)
    with tempfile.TemporaryDirectory() as folder, reported(console, "Compiling and timing"):
        stages = _stages(target, scorer, Path(folder), flag.batch_size, flag.seed)
        seconds = _time(stages)
    gemm_rate = 2 * _GEMM.value**3 / np.asarray(seconds["matmul"])
    rows = {}
    for name, stage in stages.items():
        times = np.asarray(seconds[name])
        of_images = name != "matmul"
        rows[name] = StageSpeed(
            images_per_s=flag.batch_size / float(np.median(times)) if of_images else None,
            gflop_per_image=stage.flops / flag.batch_size / 1e9 if of_images and stage.flops else None,
            gflop_per_s=float(np.median(stage.flops / times)) / 1e9 if stage.flops else None,
            share_of_matmul=float(np.median(stage.flops / times / gemm_rate)) if stage.flops else None,
        )
    results = BenchmarkResults(
        target=target.name,
        device=jax.local_devices()[0].device_kind,
        num_devices=scorer.mesh.size,
        batch_size=flag.batch_size,
        precision=flag.precision,
        evaluations_per_image=scorer.evaluations(),
        peak_memory_bytes=_peak_memory(),
        stages=rows,
    )
    if _OUT.value:
        Path(_OUT.value).parent.mkdir(parents=True, exist_ok=True)
        write_results(_OUT.value, results)
    _print(results, console)


class Stage:
    """A callable to be timed; `flops` of one call, 0 for work outside JAX."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.flops = count_flops(function, *arguments) if hasattr(function, "lower") else 0
        self._call = functools.partial(function, *arguments)

    def __call__(self) -> Any:
        """Runs it and waits for the result."""
        return jax.block_until_ready(self._call())


def _stages(target: Target, scorer: Scorer, folder: Path, batch_size: int, seed: int) -> dict[str, Stage]:
    """The matrix product and every stage of an audit, each on its own, then the whole compiled step."""
    generator = np.random.default_rng(seed)
    source = _write_pictures(folder, target.preprocessing.image_size, batch_size, generator)
    batch = next(batches(source, range(batch_size), target.preprocessing, batch_size))
    images, labels = jnp.asarray(batch.images), None
    if target.num_classes:
        labels = jnp.asarray(generator.integers(0, target.num_classes, batch_size), jnp.int32)
    model = _MODEL_STAGES.get(target.kind)
    if model is None or target.context_shape:
        raise InputError(f"There is no benchmark of {target.name}, a {target.kind} target.")
    stages, dtype = model(target, scorer, images, labels)
    side = _GEMM.value
    matrix = jax.random.normal(jax.random.key(seed), (side, side), dtype)
    product = functools.partial(
        jnp.matmul, precision=matmul_precision(dtype), preferred_element_type=jnp.float32
    )
    whole = Stage(lambda: scorer.submit(batch.images, labels).result())
    whole.flops = batch_size * scorer.flops_per_image()
    return {
        "matmul": Stage(jax.jit(product), matrix, matrix),
        "load": Stage(lambda: list(batches(source, range(batch_size), target.preprocessing, batch_size))),
        **stages,
        "whole step": whole,
    }


def _token_stages(
    target: DiscreteTarget, scorer: Scorer, images: jax.Array, labels: jax.Array
) -> tuple[dict[str, Stage], Any]:
    """Of a model of discrete tokens, and the dtype of its matrix products."""
    functions, params, batch_size = target.functions, scorer.params, len(images)
    tokens = target.encode(images)
    null = labels if target.null_label is None else jnp.full_like(labels, target.null_label)
    both = jnp.stack([labels, null], axis=1).reshape(-1)
    twice = jnp.repeat(tokens, 2, axis=0)
    hidden = jax.jit(functions.hidden)(params, twice, both).reshape(batch_size, 2, target.num_tokens, -1)
    plan = scorer.plan

    @jax.jit
    def statistics(params: Any, hidden: jax.Array, tokens: jax.Array) -> dict[str, jax.Array]:
        kernel, bias = functions.head(params)
        return plan.device(guided_token_statistics(hidden[:, 0], hidden[:, 1], kernel, bias, tokens))

    return {
        "tokenise": Stage(jax.jit(functions.encode), params, images),
        "forward": Stage(jax.jit(functions.hidden), params, twice, both),
        "statistics": Stage(statistics, params, hidden, tokens),
    }, hidden.dtype


def _diffusion_stages(
    target: DiffusionTarget, scorer: Scorer, images: jax.Array, labels: jax.Array | None
) -> tuple[dict[str, Stage], Any]:
    """Of a diffusion model, and the dtype of its matrix products."""
    functions, params = target.functions, scorer.params
    latents, level = target.encode(images), jnp.full(len(images), target.process.level(500))

    @jax.jit
    def gradient(params: Any, z: jax.Array, level: jax.Array, labels: Any) -> Any:
        return denoised_and_gradient(functools.partial(functions.denoise, params), z, level, labels, z)

    stages = {
        "encode": Stage(jax.jit(functions.encode), params, images),
        "forward": Stage(jax.jit(functions.denoise), params, latents, level, labels),
    }
    evaluations = scorer.step.evaluations()
    if evaluations and evaluations["planned"].gradients:
        stages["gradient"] = Stage(gradient, params, latents, level, labels)
    return stages, jax.tree.leaves(params["generator"])[0].dtype


_MODEL_STAGES: dict[Kind, Callable[..., Any]] = {
    "discrete": _token_stages,
    "diffusion": _diffusion_stages,
}
"""The stages of each kind of target."""


def _write_pictures(folder: Path, size: int, count: int, generator: np.random.Generator) -> Any:
    """JPEGs a quarter larger than the target's input, as an audit would read them."""
    side = size + size // 4 if size > 8 else size
    for index in range(count):
        pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((side // 4, side // 4)).resize((side, side)).save(buffer, "JPEG")
        (folder / f"{index}.jpg").write_bytes(buffer.getvalue())
    return open_source(f"folder:{folder}?label=0")


def _time(stages: dict[str, Stage]) -> dict[str, list[float]]:
    """Seconds of every stage in every round; the first round only compiles."""
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for round_number in range(_ROUNDS.value + 1):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _peak_memory() -> int:
    """Bytes: of the device where it keeps count, of this process otherwise."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _print(results: BenchmarkResults, console: Console) -> None:
    table = Table(
        "stage",
        "images/s",
        "GFLOP/image",
        "GFLOP/s",
        "of matmul",
        box=box.SIMPLE_HEAD,
        title=results.target,
    )
    for name, row in results.stages.items():
        cells = (row.images_per_s, row.gflop_per_image, row.gflop_per_s)
        share = row.share_of_matmul
        table.add_row(
            name,
            *("" if cell is None else f"{cell:,.4g}" for cell in cells),
            "" if share is None else f"{share:.0%}",
        )
    console.print(table)
    console.print(
        f"{results.device}, {results.num_devices} device(s), batch {results.batch_size}, "
        f"{results.precision}, peak memory {results.peak_memory_bytes / 2**30:.2f} GiB"
    )


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()

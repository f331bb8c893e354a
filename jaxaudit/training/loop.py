"""The optimisation loop that every trainer of a target shares.

A step depends only on the seed and its number, so a run that is killed and resumed ends where an
uninterrupted one ends.
"""

import csv
import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import orbax.checkpoint as ocp
from jaxtyping import Array, Key

from jaxaudit.errors import InputError
from jaxaudit.training.private import Privacy, private_step

Params = Any
Examples = Mapping[str, np.ndarray]
"""What is known of training examples, {name: [N,...]}."""
TrainingBatch = Mapping[str, Array]
"""The examples of a step, {name: [B,...]}."""
LossFunction = Callable[[Params, TrainingBatch, Key[Array, ""]], tuple[Array, Mapping[str, Array]]]
_SILENCE = 5.0  # seconds at most between two reports, but for a step that takes longer


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage is trained.

    Attributes:
      steps: optimiser steps. batch_size: images per step.
      learning_rate: reached by a linear warm-up over the first 5% of the steps.
      final_rate: the share of it that a cosine decay ends at; 1 keeps the rate constant.
      weight_decay: on every parameter.
      checkpoint_every: steps between checkpoints.
      muon: whether matrices are updated by Muon, which needs fewer steps to memorise; else AdamW does it all.
    """

    steps: int
    batch_size: int
    learning_rate: float
    final_rate: float = 0.1
    weight_decay: float = 0.05
    checkpoint_every: int = 1000
    muon: bool = False

    def optimizer(self) -> optax.GradientTransformation:
        """AdamW (betas 0.9, 0.95), or Muon (Jordan et al. 2024), with clipped gradients."""
        warm_up = min(max(1, self.steps // 20), self.steps - 1)
        rate = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, warm_up, self.steps, self.final_rate * self.learning_rate
        )
        if self.muon:
            rule = optax.contrib.muon(rate, weight_decay=self.weight_decay)
        else:
            rule = optax.adamw(rate, b1=0.9, b2=0.95, weight_decay=self.weight_decay)
        return optax.chain(optax.clip_by_global_norm(1.0), rule)


def fit(
    loss_function: LossFunction,
    params: Params,
    make_batch: Callable[[np.ndarray], Examples],
    num_examples: int,
    schedule: Schedule,
    *,
    directory: str | os.PathLike,
    seed: int,
    held_out: Examples | None = None,
    watch: Callable[[int, Params], None] = lambda step, params: None,
    progress: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
    record_every: int = 20,
    privacy: Privacy | None = None,
) -> Params:
    """Minimises a loss, with checkpoints, resumption and the loss curve in a file.

    Args:
      loss_function: (params, batch, key) -> (loss scalar, metrics {name: scalar}).
      params: where to start; not modified.
      make_batch: example indices [batch_size] -> batch, leaves [batch_size, ...].
      num_examples: indices are drawn from 0 .. num_examples - 1, each once per epoch, always in a new order.
      schedule: steps, rates, batch size.
      directory: keeps `checkpoints/` and `loss.csv` (step, loss, metrics).
      seed: of the order of the examples and of the keys.
      held_out: a batch that is not trained on; its loss, always with the same key, is the metric "held_out".
      watch: called after every step with the steps done and the parameters, before they go into a checkpoint:
        a run that was killed repeats the steps since its last one, and calls it with the same again.
      progress: called with the steps done and the latest metrics, once a row, and where rows take long, every
        few seconds.
      record_every: steps between rows of `loss.csv`.
      privacy: makes every step one of `jaxaudit.training.private`, which takes examples by coins, not in
        order; None adds no noise.

    Returns:
      The parameters after the last step.

    Raises:
      InputError: if what an earlier run has left cannot be read.
    """
    directory = pathlib.Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    optimizer = schedule.optimizer()
    batch_size = min(schedule.batch_size, num_examples)

    @jax.jit
    def train_step(state: Any, batch: TrainingBatch, key: Key[Array, ""]) -> tuple[Any, Mapping[str, Array]]:
        (loss, metrics), gradients = jax.value_and_grad(loss_function, has_aux=True)(
            state["params"], batch, key
        )
        updates, optimizer_state = optimizer.update(gradients, state["optimizer"], state["params"])
        return {
            "params": optax.apply_updates(state["params"], updates),
            "optimizer": optimizer_state,
        }, {"loss": loss, **metrics}

    def plain_step(state: Any, step: int) -> tuple[Any, Mapping[str, Array]]:
        batch = make_batch(_example_indices(step, batch_size, num_examples, seed))
        return train_step(state, batch, jax.random.fold_in(jax.random.key(seed), step))

    if privacy is None:
        take_step = plain_step
    else:
        take_step = private_step(
            loss_function, optimizer, make_batch, num_examples, schedule.batch_size, privacy, seed=seed
        )

    @jax.jit
    def held_out_loss(params: Params, batch: TrainingBatch) -> Array:
        return loss_function(params, batch, jax.random.key(seed))[0]

    state = {"params": params, "optimizer": jax.jit(optimizer.init)(params)}
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
    with ocp.CheckpointManager(directory / "checkpoints", options=options) as manager:
        done = manager.latest_step() or 0
        if done:
            state = _restored(manager, done, jax.eval_shape(lambda: state))
        rows = _read_rows(directory / "loss.csv", done)
        unseen: dict[str, float] = {}
        told = time.monotonic()
        for step in range(done, schedule.steps):
            state, metrics = take_step(state, step)
            last = step + 1 == schedule.steps
            recorded = (step + 1) % record_every == 0 or last
            if recorded and held_out is not None:
                unseen = {"held_out": float(held_out_loss(state["params"], held_out))}
            if recorded or time.monotonic() - told > _SILENCE:
                values = {name: float(value) for name, value in metrics.items()} | unseen
                if recorded:
                    rows.append({"step": step + 1, **values})
                progress(step + 1, values)
                told = time.monotonic()
            watch(step + 1, state["params"])
            if (step + 1) % schedule.checkpoint_every == 0 or last:
                _write_rows(directory / "loss.csv", rows)
                manager.save(step + 1, args=ocp.args.StandardSave(state))
    return jax.tree.map(jnp.asarray, state["params"])


def _restored(manager: ocp.CheckpointManager, step: int, abstract: Any) -> Any:
    try:
        return manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # no common type covers what Orbax and TensorStore raise on damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"The checkpoint of step {step} in {manager.directory} cannot be read: {reason}. Remove that "
            "folder to train from the beginning."
        ) from error


def _example_indices(step: int, batch_size: int, num_examples: int, seed: int) -> np.ndarray:
    """The examples of a step: consecutive pieces of a fresh permutation per epoch."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // num_examples
    return np.concatenate(
        [
            np.random.default_rng((seed, epoch)).permutation(num_examples)[
                positions[epochs == epoch] % num_examples
            ]
            for epoch in np.unique(epochs)
        ]
    )


def _read_rows(path: pathlib.Path, up_to: int) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            return [row for row in csv.DictReader(file) if int(row["step"]) <= up_to]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"The loss curve {path} cannot be read: {error!r}; remove it.") from error


def _write_rows(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    partial = path.with_suffix(".partial")
    names = dict.fromkeys(name for row in rows for name in row)  # a resumed run may hold out others
    with open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)

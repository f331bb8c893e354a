import csv

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.training import loop
from jaxaudit.training.loop import Schedule, _example_indices, fit

TARGETS = 2 + np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
SCHEDULE = Schedule(steps=60, batch_size=8, learning_rate=0.1, weight_decay=0.0, checkpoint_every=20)


class Killed(Exception):
    pass


def train(directory, kill_at=None, held_out=None, told=None, watch=lambda step, params: None):
    def loss(params, batch, key):
        del key
        loss = jnp.mean((params["w"][None] - batch["x"]) ** 2)
        return loss, {"norm": jnp.linalg.norm(params["w"])}

    def make_batch(indices):
        return {"x": TARGETS[indices]}

    def progress(step, metrics):
        if told is not None:
            told.append((step, metrics))
        if kill_at is not None and step >= kill_at:
            raise Killed

    return fit(
        loss, {"w": jnp.zeros(3)}, make_batch, len(TARGETS), SCHEDULE,
        directory=directory, seed=3, watch=watch, held_out=held_out, progress=progress, record_every=10,
    )  # fmt: skip


def test_the_minimum_is_found(tmp_path):
    params = train(tmp_path)
    np.testing.assert_allclose(params["w"], TARGETS.mean(0), atol=0.2)


def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=50)
    resumed = train(tmp_path / "killed")
    np.testing.assert_array_equal(whole["w"], resumed["w"])
    files = [(tmp_path / name / "loss.csv").read_text() for name in ("whole", "killed")]
    assert files[0] == files[1]
    rows = list(csv.DictReader(files[0].splitlines()))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40, 50, 60]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_whoever_watches_sees_every_step_and_after_a_kill_the_same_again(tmp_path):
    whole, seen = {}, []
    last = train(tmp_path / "whole", watch=lambda step, params: whole.update({step: params}))
    assert list(whole) == list(range(1, 61))
    np.testing.assert_array_equal(whole[60]["w"], last["w"])
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=50, watch=lambda step, params: seen.append((step, params)))
    train(tmp_path / "killed", watch=lambda step, params: seen.append((step, params)))
    assert [step for step, _ in seen] == [*range(1, 50), *range(41, 61)]  # killed at 50, kept at 40
    for step, params in seen:
        np.testing.assert_array_equal(params["w"], whole[step]["w"])


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train(tmp_path)
    second = train(tmp_path, kill_at=0)
    np.testing.assert_array_equal(first["w"], second["w"])


def test_the_loss_of_others_is_told_and_recorded_and_changes_nothing(tmp_path):
    others, told = np.full((2, 3), 5, np.float32), []
    params = train(tmp_path, held_out={"x": others}, told=told)
    np.testing.assert_array_equal(params["w"], train(tmp_path / "alone")["w"])
    rows = list(csv.DictReader((tmp_path / "loss.csv").read_text().splitlines()))
    assert float(rows[-1]["held_out"]) == pytest.approx(np.square(params["w"] - 5).mean())
    assert float(rows[0]["held_out"]) > float(rows[-1]["held_out"]) > float(rows[-1]["loss"])
    assert dict(told)[60]["held_out"] == float(rows[-1]["held_out"])


def test_a_resumed_run_may_hold_out_others(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=50)
    train(tmp_path, held_out={"x": TARGETS})
    rows = list(csv.DictReader((tmp_path / "loss.csv").read_text().splitlines()))
    assert [bool(row["held_out"]) for row in rows] == [False] * 4 + [True] * 2


def test_slow_steps_are_told_one_by_one(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(loop, "_SILENCE", -1.0)
    train(tmp_path, told=told)
    assert [step for step, _ in told] == list(range(1, 61))


def test_a_damaged_checkpoint_is_one_sentence(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=50)
    for path in (tmp_path / "checkpoints").rglob("*"):
        if path.is_file() and path.stat().st_size > 50:
            path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="The checkpoint of step 40 in .*checkpoints cannot be read"):
        train(tmp_path)


@pytest.mark.parametrize("text", ["no table", "step,loss\nfirst,0.5\n", "step,loss\n10"])
def test_a_damaged_loss_curve_is_one_sentence(tmp_path, text):
    (tmp_path / "loss.csv").write_text(text + "\n,")
    with pytest.raises(InputError, match=r"The loss curve .*loss.csv cannot be read"):
        train(tmp_path)


def test_every_epoch_sees_every_example_once():
    indices = np.concatenate([_example_indices(step, 8, 20, seed=1) for step in range(5)])
    epochs = indices.reshape(2, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert list(epochs[0]) != list(epochs[1])

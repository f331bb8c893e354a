"""Private steps: gradients clipped one by one, noise of the right size, pictures taken by coins."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxaudit.errors import InputError
from jaxaudit.training import private
from jaxaudit.training.loop import Schedule, fit
from jaxaudit.training.private import Privacy, private_step

ROWS = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
START = {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.zeros(())}
ALMOST_NONE = 1e-7


def loss(params, batch, key):
    del key
    error = batch["x"] @ params["w"] + params["b"]
    return jnp.mean(error**2), {"size": jnp.abs(error).mean()}


def steps(privacy, *, batch_size=50, start=START, make_batch=lambda rows: {"x": ROWS[rows]}):
    """Steps of plain descent of rate 1, and the state to begin with."""
    optimizer = optax.sgd(1.0)
    take = private_step(loss, optimizer, make_batch, len(ROWS), batch_size, privacy, seed=1)
    return take, {"params": start, "optimizer": optimizer.init(start)}


def update_of(state, start=START):
    return np.concatenate([np.asarray(start[name] - state["params"][name]).ravel() for name in ("w", "b")])


def step(privacy, **options):
    """The update of the first step, and its metrics."""
    take, begin = steps(privacy, **options)
    state, metrics = take(begin, 0)
    return update_of(state), metrics


def slow_sum(rows, clip):
    """The clipped gradients of the rows, one after the other."""
    total = np.zeros(4)
    for row in rows:
        error = row @ np.asarray(START["w"]) + float(START["b"])
        gradient = 2 * error * np.append(row, 1.0)
        total += gradient * min(1.0, clip / np.linalg.norm(gradient))
    return total


@pytest.mark.parametrize("clip", [0.7, 3.0, 1e6])
def test_every_gradient_is_clipped_alone(clip):
    update, metrics = step(Privacy(ALMOST_NONE / clip, clip, 50))
    np.testing.assert_allclose(update, slow_sum(ROWS, clip) / 50, rtol=1e-5, atol=1e-6)
    assert float(metrics["loss"]) == pytest.approx(
        float(np.mean((ROWS @ np.asarray(START["w"])) ** 2)), rel=1e-5
    )


def test_one_picture_changes_the_sum_by_no_more_than_the_norm():
    """Whatever the picture is: here one far from the others, and in its place one without a gradient."""
    far = np.concatenate([ROWS[:-1], 1e4 * np.ones((1, 3), np.float32)])
    privacy = Privacy(ALMOST_NONE, 0.5, 50)
    within, _ = step(privacy, make_batch=lambda rows: {"x": far[rows]})
    still, _ = step(privacy, make_batch=lambda rows: {"x": np.where(rows[:, None] == 49, 0, ROWS[rows])})
    assert np.linalg.norm(50 * (within - still)) == pytest.approx(0.5, rel=1e-4)


def test_pieces_make_no_difference(monkeypatch):
    whole, _ = step(Privacy(ALMOST_NONE, 1.0, 50))
    monkeypatch.setattr(private, "_PIECE", 7)
    np.testing.assert_allclose(step(Privacy(ALMOST_NONE, 1.0, 50))[0], whole, rtol=1e-5, atol=1e-6)


def test_the_noise_is_of_its_size_whoever_is_in():
    """In units of the sum: deviation s C, over 400 candidates of which 50 are there."""
    still = {"w": jnp.zeros(3), "b": jnp.zeros(())}  # no error, no gradient
    take, begin = steps(Privacy(2.0, 3.0, 400), batch_size=100, start=still)
    draws = np.concatenate([update_of(take(begin, number)[0], still) for number in range(60)])
    assert np.std(100 * draws) == pytest.approx(6.0, rel=0.15)
    assert abs(np.mean(100 * draws)) < 6.0 / np.sqrt(len(draws)) * 3.5


def test_pictures_are_taken_by_coins(monkeypatch):
    """As many as a binomial law says, each as often as any, none twice in a step."""
    seen = []

    def make_batch(rows):
        seen.append(rows.copy())
        return {"x": ROWS[rows]}

    monkeypatch.setattr(private, "_PIECE", 50)
    take, begin = steps(Privacy(1.0, 1.0, 50), batch_size=10, make_batch=make_batch)
    for number in range(300):
        take(begin, number)
    taken = [np.unique(rows) for rows in seen]
    counts = np.array([len(rows) for rows in taken])
    assert counts.mean() == pytest.approx(10, abs=4 * np.sqrt(8 / 300))
    assert counts.var() == pytest.approx(8, rel=0.35)
    often = np.bincount(np.concatenate(taken), minlength=50) / 300
    assert np.abs(often - 0.2).max() < 4 * np.sqrt(0.16 / 300)


def test_a_step_that_takes_nothing_adds_noise():
    update, metrics = step(Privacy(1.0, 1.0, 10**6), batch_size=1)
    assert np.linalg.norm(update) > 0
    assert float(metrics["loss"]) == 0


def test_a_private_run_learns_and_goes_on_where_it_was_killed(tmp_path):
    schedule = Schedule(steps=40, batch_size=25, learning_rate=0.1, weight_decay=0.0, checkpoint_every=10)

    class Killed(Exception):
        pass

    def train(directory, kill_at=None):
        def progress(done, metrics):
            if kill_at is not None and done >= kill_at:
                raise Killed

        return fit(
            loss, START, lambda rows: {"x": ROWS[rows]}, 50, schedule, directory=directory, seed=3,
            progress=progress, record_every=10, privacy=Privacy(0.5, 1.0, 50),
        )  # fmt: skip

    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=30)
    resumed = train(tmp_path / "killed")
    np.testing.assert_array_equal(whole["w"], resumed["w"])
    assert np.linalg.norm(whole["w"]) < 0.6 * np.linalg.norm(START["w"])


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_what_is_no_noise(value):
    with pytest.raises(InputError, match=f"noise_multiplier={value} is no positive number"):
        Privacy(value, 1.0, 10)
    with pytest.raises(InputError, match=f"clip_norm={value} is no positive number"):
        Privacy(1.0, value, 10)

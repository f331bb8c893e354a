"""A family of targets by one command: its checkpoints, their common tokenizer, and a run that was killed."""

import chex
import jax
import numpy as np
import pytest

from jaxaudit.checkpoint import load_target, read_record
from jaxaudit.families import get_family
from jaxaudit.families.random_params import random_params
from jaxaudit.training import TRAINERS, loop
from tests.experiments.captured import run

FLAGS = {"data": "digits:members[:64]", "widths": "32,64", "steps": "1,3", "tokenizer_steps": 2}


def untrained(asked):
    """In the place of a trainer: random parameters at every step, whatever there is to learn."""

    def train(recipe, pictures, *, directory, seed, watch, init, progress):
        del pictures, progress
        asked.append((recipe, seed, init))
        directory.mkdir(parents=True, exist_ok=True)
        params = random_params(get_family("var").abstract_params(recipe.config), seed=seed)
        if init is not None:
            params = {**params, "tokenizer": init["tokenizer"]}
        for step in range(1, recipe.generator_schedule.steps + 1):
            watch(step, jax.tree.map(lambda leaf, step=step: leaf * step, params))
        return params

    return train


def test_targets_are_checkpoints_of_one_run_per_width(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(TRAINERS["var"], "train", untrained(asked))
    process = run("train_family", **FLAGS, out=tmp_path / "family", seed=2)
    assert process.returncode == 0, process.stderr
    names = [f"w{width}_s{step}" for width in (32, 64) for step in (1, 3)]
    for name in names:
        record = read_record(tmp_path / "family" / name)
        width, step = (int(part[1:]) for part in name.split("_"))
        assert record["config"]["generator"]["width"] == width
        said = record["provenance"]
        assert (said["generator_steps"], said["run_steps"], said["tokenizer_steps"]) == (step, 3, 2)
        assert said["trained_on"]["images"] == 64
    assert f"--targets={','.join(str(tmp_path / 'family' / name) for name in names)}" in process.stdout
    (first, _, no_init), (second, seed, init) = asked
    assert (no_init, seed) == (None, 2)
    assert init.keys() == {"tokenizer"}
    assert (first.tokenizer_schedule.steps, second.tokenizer_schedule) == (2, None)
    assert first.generator_schedule.checkpoint_every == 1
    small, large = (load_target(tmp_path / "family" / name) for name in ("w32_s1", "w64_s1"))
    chex.assert_trees_all_equal(small.params["tokenizer"], large.params["tokenizer"])


def test_a_target_that_was_removed_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(TRAINERS["var"], "train", lambda recipe, *arguments, **options: {"tokenizer": {}})
    process = run("train_family", **FLAGS, out=tmp_path / "family")
    assert process.returncode == 2
    assert "was trained past the step of" in process.stderr
    assert "w32_s1, which is not there" in process.stderr


@pytest.mark.slow
def test_a_killed_family_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    fit, stages = loop.fit, []

    def killing(*arguments, **options):
        stages.append(options["directory"].name)

        def watch(step, params, watched=options["watch"]):
            watched(step, params)
            if len(stages) == 3 and step == 2:  # of the second width's generator, after its first target
                raise Killed

        return fit(*arguments, **{**options, "watch": watch})

    monkeypatch.setattr("jaxaudit.training.stages.fit", killing)
    with pytest.raises(Killed):
        run("train_family", **FLAGS, out=tmp_path / "killed")
    assert stages == ["tokenizer", "generator", "generator"]
    monkeypatch.setattr("jaxaudit.training.stages.fit", fit)
    for out in ("killed", "whole"):
        process = run("train_family", **FLAGS, out=tmp_path / out)
        assert process.returncode == 0, process.stderr
    for name in ("w32_s1", "w32_s3", "w64_s1", "w64_s3"):
        killed, whole = (load_target(tmp_path / out / name).params for out in ("killed", "whole"))
        chex.assert_trees_all_equal(killed, whole)
    first, last = (load_target(tmp_path / "whole" / name).params for name in ("w32_s1", "w32_s3"))
    chex.assert_trees_all_equal(first["tokenizer"], last["tokenizer"])
    leaves = zip(jax.tree.leaves(first["generator"]), jax.tree.leaves(last["generator"]), strict=True)
    assert not all(np.array_equal(*pair) for pair in leaves)
    other = run("train_family", **{**FLAGS, "tokenizer_steps": 3}, out=tmp_path / "whole")
    assert other.returncode == 2
    assert "tokenizer" in other.stderr

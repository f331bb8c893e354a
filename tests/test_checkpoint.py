"""Targets on disk: what is saved comes back as asked for, and nothing half-written passes for a target."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxaudit import checkpoint
from jaxaudit.checkpoint import load_target, random_target, save_target
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import var
from jaxaudit.families.random_params import random_params
from jaxaudit.runtime.mesh import make_mesh, replicated

CONFIG = {
    "generator": {
        "num_classes": 3,
        "depth": 1,
        "width": 8,
        "num_heads": 2,
        "vocab_size": 8,
        "token_dim": 4,
        "patch_nums": [1, 2],
    },
    "tokenizer": {
        "vocab_size": 8,
        "z_channels": 4,
        "ch": 4,
        "ch_mult": [1, 2],
        "num_res_blocks": 1,
        "patch_nums": [1, 2],
        "num_phi": 2,
    },
}
PREPROCESSING = Preprocessing(image_size=4, resize="none", short_side=4, low=-1.0, high=1.0)
PARAMS = jax.tree.map(np.asarray, random_params(var.abstract_params(CONFIG), seed=1))


def save(directory, **changes):
    arguments = {"family": "var", "config": CONFIG, "params": PARAMS, "preprocessing": PREPROCESSING}
    return save_target(directory, **(arguments | {"provenance": {"licence": "MIT"}} | changes))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("targets") / "tiny"
    save(directory)
    return directory


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def edit(directory, **changes):
    path = directory / "target.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_saved_comes_back(saved):
    target = load_target(saved)
    assert equal(target.params, PARAMS)
    assert {leaf.dtype for leaf in jax.tree.leaves(target.params)} == {jnp.dtype("float32")}
    assert (target.name, target.family, target.num_classes, target.tokens_per_step) == (
        str(saved),
        "var",
        3,
        (1, 4),
    )
    assert target.preprocessing == PREPROCESSING
    record = json.loads((saved / "target.json").read_text())
    assert record["num_params"] == target.num_params
    assert target.provenance == {"licence": "MIT", "fingerprint": record["fingerprint"]}
    assert [path.name for path in saved.parent.iterdir()] == ["tiny"]


def test_restored_straight_into_a_sharding_over_eight_devices_and_bfloat16(saved):
    mesh = make_mesh()
    assert mesh.size == 8
    target = load_target(saved, dtype="bfloat16", sharding=replicated(mesh))
    for leaf, whole in zip(jax.tree.leaves(target.params), jax.tree.leaves(PARAMS), strict=True):
        assert leaf.dtype == jnp.bfloat16
        assert leaf.sharding == NamedSharding(mesh, PartitionSpec())
        assert len(leaf.addressable_shards) == 8
        np.testing.assert_array_equal(leaf, whole.astype(jnp.bfloat16))


def test_the_default_device_is_the_first(saved):
    assert {tuple(leaf.devices()) for leaf in jax.tree.leaves(load_target(saved).params)} == {
        (jax.devices()[0],)
    }


def test_only_floating_parameters_change_dtype():
    specs = {
        "count": jax.ShapeDtypeStruct((2,), jnp.int32),
        "kernel": jax.ShapeDtypeStruct((2,), jnp.float32),
    }
    cast = checkpoint._cast(specs, jnp.dtype("bfloat16"), None)
    assert (cast["count"].dtype, cast["kernel"].dtype) == (jnp.int32, jnp.bfloat16)


def test_the_fingerprint_tells_targets_apart(tmp_path):
    original = save(tmp_path / "a")["fingerprint"]
    assert save(tmp_path / "b", provenance={"licence": "other"})["fingerprint"] == original
    on_devices = jax.device_put(PARAMS, replicated(make_mesh()))
    assert save(tmp_path / "c", params=on_devices)["fingerprint"] == original
    moved = jax.tree.map(np.copy, PARAMS)
    moved["generator"]["head"]["bias"][0] = np.nextafter(moved["generator"]["head"]["bias"][0], 2)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), PARAMS)
    other = Preprocessing(image_size=4, resize="none", short_side=4, low=0.0, high=1.0)
    changes = [{"params": moved}, {"params": half}, {"preprocessing": other}]
    prints = [save(tmp_path / f"d{i}", **change)["fingerprint"] for i, change in enumerate(changes)]
    assert len({original, *prints}) == 4


def test_an_existing_target_is_replaced_only_on_demand(copy):
    with pytest.raises(InputError, match="already holds a target"):
        save(copy)
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    save(copy, params=zeros, overwrite=True)
    assert equal(load_target(copy).params, zeros)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_what_is_no_target_is_never_replaced(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InputError, match="is not empty and not a target"):
        save(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="is a file; a target is a directory"):
        save(tmp_path / "notes", overwrite=True)
    assert (tmp_path / "notes").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty")
    assert load_target(tmp_path / "empty").num_classes == 3


def test_parameters_that_do_not_fit_are_not_saved(tmp_path):
    params = jax.tree.map(lambda leaf: leaf, PARAMS)
    params["generator"] |= {"pos_start": np.zeros((1, 1, 9), np.float32), "extra": np.zeros(1, np.float32)}
    del params["tokenizer"]["quant_conv"]["bias"]
    with pytest.raises(
        InputError, match=r"config: generator/extra is unknown; generator/pos_start has shape .*; tok"
    ):
        save(tmp_path / "new", params=params)
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def disk_full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_sync", disk_full)
    with pytest.raises(InputError, match=r"Cannot write .*new: No space left on device"):
        save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_noticed_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(InputError, match=r"needs 0\.00 GB; its disk has 0\.00 GB free"):
        save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_save_is_no_target(tmp_path):
    """Kills the process after all parameters are written, just before the directory would get its name."""
    program = """
        import os, signal
        import jax, numpy as np
        from jaxaudit import checkpoint
        from tests import test_checkpoint
        checkpoint._put_in_place = lambda work, directory: os.kill(os.getpid(), signal.SIGKILL)
        test_checkpoint.save(os.environ["OUT"])
    """
    environment = os.environ | {"OUT": str(tmp_path / "new"), "PYTHONPATH": "."}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert (left / "target.json").exists()  # all was written, only the name was missing
    with pytest.raises(
        InputError, match=rf"new is no target: saving it did not finish. Delete .*{left.name}"
    ):
        load_target(tmp_path / "new")
    with pytest.raises(InputError, match="left by a save that did not finish"):
        load_target(left)
    save(tmp_path / "new")
    assert equal(load_target(tmp_path / "new").params, PARAMS)


def test_a_directory_without_its_record(copy):
    (copy / "target.json").unlink()
    with pytest.raises(InputError, match=r"is no target: it has no target\.json"):
        load_target(copy)


def test_every_truncated_or_missing_file_is_noticed(copy):
    files = sorted(path for path in (copy / "params").rglob("*") if path.is_file())
    assert len(files) > 3
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(
            InputError, match=rf"is damaged: .*{path.name} has {len(content) // 2} bytes instead"
        ):
            load_target(copy)
        path.unlink()
        with pytest.raises(InputError, match=rf"is damaged: .*{path.name} is missing"):
            load_target(copy)
        path.write_bytes(content)
    load_target(copy)


def test_scrambled_parameters(copy):
    for path in (copy / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match="Cannot restore the parameters of"):
        load_target(copy)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "has format 99; this jaxaudit reads format 1"),
        ({"format": None}, "has format None"),
        ({"family": "vra"}, "Unknown family 'vra'; did you mean var"),
        ({"config": {"generator": CONFIG["generator"]}}, "does not describe such a target: KeyError"),
        ({"config": CONFIG | {"generator": CONFIG["generator"] | {"widht": 8}}}, "did you mean width"),
        (
            {"config": CONFIG | {"generator": CONFIG["generator"] | {"num_classes": 9}}},
            r"class_emb/embedding has shape",
        ),
        ({"config": CONFIG | {"generator": CONFIG["generator"] | {"depth": 2}}}, r"blocks_1/.* is missing"),
        ({"preprocessing": {"size": 4}}, "does not describe such a target: TypeError"),
    ],
)
def test_records_of_something_else(copy, changes, reason):
    edit(copy, **changes)
    with pytest.raises(InputError, match=reason):
        load_target(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_damaged_records(copy, text):
    (copy / "target.json").write_text(text)
    with pytest.raises(InputError, match=r"is damaged|has format None"):
        load_target(copy)


def test_builtin_names_come_first(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_builtin_folder", lambda: saved.parent)
    monkeypatch.chdir(tmp_path)
    assert checkpoint.builtin_names() == ["tiny"]
    target = load_target("tiny")
    assert (target.name, target.num_classes) == ("tiny", 3)
    save("tiny", params=jax.tree.map(np.zeros_like, PARAMS))
    assert equal(load_target("tiny").params, PARAMS)
    assert not equal(load_target("./tiny").params, PARAMS)
    with pytest.raises(InputError, match="Unknown target 'tyny'; did you mean tiny"):
        load_target("tyny")


def test_a_released_model_without_weights_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        load_target("var_d30")
    for part in (
        "https://huggingface.co/FoundationVision/var/resolve/main/var_d30.pth",
        "`python -m checkpoints_convert --family=var --variant=var_d30 --generator=var_d30.pth "
        "--tokenizer=vae_ch160v4096z32.pth --out=targets/var_d30`",
    ):
        assert part in str(error.value)
    with pytest.raises(InputError, match=r"did you mean .*var_d30"):
        load_target("var_d31")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        load_target(tmp_path / "file")


def test_random_targets(monkeypatch):
    released = var.VARIANTS["var_d16"]
    small = type(released)(CONFIG, PREPROCESSING, {}, {}, "MIT")
    monkeypatch.setitem(var.VARIANTS, "var_small", small)
    first, again, other = (random_target("var_small", seed=seed, dtype="bfloat16") for seed in (0, 0, 1))
    assert equal(first.params, again.params)
    assert not equal(first.params, other.params)
    assert {leaf.dtype for leaf in jax.tree.leaves(first.params)} == {jnp.dtype("bfloat16")}
    assert (first.name, first.num_classes, first.preprocessing) == ("random var_small", 3, PREPROCESSING)
    with pytest.raises(InputError, match=r"did you mean .*var_small"):
        random_target("var_smal")

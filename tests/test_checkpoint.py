"""Targets on disk: what is saved comes back as asked for, and nothing half-written passes for a target."""

import json
import os
import shutil
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxaudit.checkpoint import (
    builtin_names,
    files,
    finding,
    load_target,
    parameters,
    random_target,
    read_record,
    reseal_target,
    save_target,
    writing,
)
from jaxaudit.checkpoint import save as saving
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families import var
from jaxaudit.families.random_params import random_params
from jaxaudit.runtime.mesh import make_mesh, replicated
from jaxaudit.runtime.placement import Placement
from jaxaudit.seals import json_sha256, seal

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


def edit(directory, *, sealed=True, **changes):
    path = directory / "target.json"
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(seal(record) if sealed else record))


def params_files(directory):
    files = sorted(path for path in directory.glob("params-*/**/*") if path.is_file())
    assert len(files) > 3
    return files


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


def test_attention_that_the_platform_does_not_have_is_refused(saved):
    with pytest.raises(InputError, match="attention='pallas': there is none on a cpu; use 'auto' or 'xla'"):
        load_target(saved, attention="pallas")
    assert load_target(saved, attention="xla").functions is load_target(saved).functions


def test_restored_straight_into_a_sharding_over_eight_devices_and_bfloat16(saved):
    mesh = make_mesh()
    assert mesh.size == 8
    target = load_target(saved, dtype="bfloat16", placement=Placement())
    for leaf, whole in zip(jax.tree.leaves(target.params), jax.tree.leaves(PARAMS), strict=True):
        assert leaf.dtype == jnp.bfloat16
        assert leaf.sharding == NamedSharding(mesh, PartitionSpec())
        assert len(leaf.addressable_shards) == 8
        np.testing.assert_array_equal(leaf, whole.astype(jnp.bfloat16))


def test_the_default_device_is_the_first(saved):
    assert {tuple(leaf.devices()) for leaf in jax.tree.leaves(load_target(saved).params)} == {
        (jax.devices()[0],)
    }


def test_a_large_parameter_is_less_than_what_may_be_read_at_once(saved, monkeypatch):
    granted, original = [], parameters.ocp.StandardCheckpointer

    def checkpointer(*, restore_concurrent_gb, **options):
        granted.append(restore_concurrent_gb)
        return original(restore_concurrent_gb=restore_concurrent_gb, **options)

    monkeypatch.setattr(parameters.ocp, "StandardCheckpointer", checkpointer)
    load_target(saved)
    large = {"kernel": jax.ShapeDtypeStruct((40_000, 50_000), jnp.float32)}
    with pytest.raises(InputError, match="does not fit its config"):
        parameters.restore(saved / read_record(saved)["params"], large, None, None)
    assert granted == [2, 18]


def test_only_floating_parameters_change_dtype():
    specs = {
        "count": jax.ShapeDtypeStruct((2,), jnp.int32),
        "kernel": jax.ShapeDtypeStruct((2,), jnp.float32),
    }
    cast = parameters.cast(specs, jnp.dtype("bfloat16"))
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


def test_the_fingerprint_of_a_target_of_before_is_that_of_today():
    record, target = read_record("digits_rar"), load_target("digits_rar")
    assert parameters.fingerprint(record, target.params) == record["fingerprint"]
    assert "dtypes" not in record


class Unread:
    """An array that is made when it is asked for, and counted as long as somebody holds it."""

    def __init__(self, values, held, peak):
        self.shape, self.dtype = values.shape, values.dtype
        self.size, self.nbytes = values.size, values.nbytes
        self.values, self.held, self.peak = values, held, peak

    def __array__(self, dtype=None, copy=None):
        array = self.values.copy()
        self.held[id(array)] = self.nbytes
        weakref.finalize(array, self.held.pop, id(array))
        self.peak.append(sum(self.held.values()))
        return array


def test_saving_holds_a_few_parameters_at_a_time(tmp_path, saved, monkeypatch):
    limit, held, peak = 4000, {}, []
    monkeypatch.setattr(writing, "_GROUP", limit)
    params = jax.tree.map(lambda leaf: Unread(leaf, held, peak), PARAMS)
    record = save(tmp_path / "new", params=params)
    largest, total = (f(leaf.nbytes for leaf in jax.tree.leaves(PARAMS)) for f in (max, sum))
    assert len(peak) == len(jax.tree.leaves(PARAMS))  # each is read once
    assert max(peak) <= max(limit, largest) < total / 4
    assert not held
    assert record["fingerprint"] == read_record(saved)["fingerprint"]
    assert equal(load_target(tmp_path / "new").params, PARAMS)


def test_an_existing_target_is_replaced_only_on_demand(copy):
    with pytest.raises(InputError, match="already holds a target"):
        save(copy)
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    save(copy, params=zeros, overwrite=True)
    assert equal(load_target(copy).params, zeros)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert sorted(path.name for path in copy.iterdir()) == sorted(
        ["target.json", read_record(copy)["params"]]
    )


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

    monkeypatch.setattr(saving, "sync", disk_full)
    with pytest.raises(InputError, match=r"Cannot write .*new: No space left on device"):
        save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile(tmp_path, monkeypatch):
    def refused(*arguments):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing a/0.0: No space left on device [source]")

    monkeypatch.setattr(writing.ocp.Checkpointer, "save", refused)
    with pytest.raises(InputError, match=r"^Cannot write .*new: No space left on device\.$"):
        save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_noticed_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(InputError, match=r"needs 0\.00 GB; its disk has 0\.00 GB free"):
        save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    pass


def dead(*arguments, **options):
    raise Killed


STEPS = {
    "save the parameters": (saving, "write"),
    "hash the files": (saving, "described"),
    "rename the record": (os, "replace"),
}


def killed_save(directory, monkeypatch, step, *, after, **changes):
    """A save that is killed before or after it takes this step, and cleans nothing up."""
    place, name = STEPS[step]
    original = getattr(place, name)

    def kill(*arguments, **options):
        if after:
            original(*arguments, **options)
        patch.setattr(saving, "remove_leftovers", dead)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, name, kill)
        with pytest.raises(Killed):
            save(directory, **changes)


DONE = ("rename the record", True)
KILLS = [("save the parameters", True), ("hash the files", True), ("rename the record", False), DONE]


@pytest.mark.parametrize(("step", "after"), KILLS)
def test_a_target_that_a_killed_save_would_have_replaced_is_the_old_or_the_new_one(
    copy, monkeypatch, step, after
):
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    killed_save(copy, monkeypatch, step, after=after, params=zeros, overwrite=True)
    assert equal(load_target(copy).params, zeros if (step, after) == DONE else PARAMS)
    save(copy, overwrite=True)
    assert {path.name for path in copy.iterdir()} == {"target.json", read_record(copy)["params"]}
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_killed_save_is_no_target_and_the_next_one_clears_up(tmp_path, monkeypatch):
    directory = tmp_path / "new"
    killed_save(directory, monkeypatch, "rename the record", after=False)
    assert len(list(directory.iterdir())) == 2  # the parameters, and the record without its name
    with pytest.raises(
        InputError, match=r"is no target: it has no target\.json, for saving it did not finish"
    ):
        load_target(directory)
    save(directory)
    assert equal(load_target(directory).params, PARAMS)
    assert {path.name for path in directory.iterdir()} == {"target.json", read_record(directory)["params"]}


def test_a_directory_without_its_record(copy):
    (copy / "target.json").unlink()
    with pytest.raises(InputError, match=r"is no target: it has no target\.json"):
        load_target(copy)


def test_every_truncated_or_missing_file_is_noticed(copy):
    for path in params_files(copy):
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


def test_every_flipped_bit_of_a_file_is_noticed(copy):
    for path in params_files(copy):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"is damaged: .*{path.name} is not what was written"):
            load_target(copy)
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    load_target(copy)


def test_no_process_of_a_pod_waits_for_another(saved, tmp_path, monkeypatch):
    """There JAX knows of several, and Orbax would have them meet."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    found = load_target(saved)
    save(tmp_path / "again", params=found.params)
    jax.tree.map(np.testing.assert_array_equal, load_target(tmp_path / "again").params, found.params)


def test_a_target_in_a_bucket_is_read_like_one_on_disk(saved, bucket):
    directory = saved
    for path in directory.rglob("*"):
        if path.is_file():
            (bucket / "small" / str(path.relative_to(directory))).write_bytes(path.read_bytes())
    found, expected = load_target(bucket / "small"), load_target(directory)
    assert found.name == str(bucket / "small")
    assert read_record(str(bucket / "small")) == read_record(directory)
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    name = next(name for name in read_record(directory)["files"] if "d/" in name)
    (bucket / "small" / name).write_bytes(b"x" * (directory / name).stat().st_size)
    with pytest.raises(InputError, match=f"^{bucket}/small is damaged: {name} is not what was written"):
        load_target(bucket / "small")
    (bucket / "small" / name).unlink()
    with pytest.raises(InputError, match=f"^{bucket}/small is damaged: {name} is missing"):
        load_target(bucket / "small")
    with pytest.raises(InputError, match=f"^{bucket}/none is no target: it has no target.json"):
        load_target(bucket / "none")


def test_files_need_not_be_hashed(copy, monkeypatch):
    monkeypatch.setattr(files, "files_sha256", dead)
    assert equal(load_target(copy, verify=False).params, PARAMS)
    with pytest.raises(Killed):
        load_target(copy)


def test_scrambled_parameters(copy):
    for path in params_files(copy):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InputError, match="Cannot restore the parameters of"):
        load_target(copy, verify=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"preprocessing": json.loads(json.dumps(vars(PREPROCESSING))) | {"low": 0.0}},
        {"preprocessing": json.loads(json.dumps(vars(PREPROCESSING))) | {"resize": "lanczos"}},
        {"config": CONFIG | {"output_noise": {"std": 1.0, "seed": 0}}},
        {"provenance": {"licence": "GPL"}},
        {"fingerprint": "0" * 64},
        {"files": {}},
        {"num_params": 1},
        {"family": "rar"},
        {"sha256": "0" * 64},
        {"more": 1},
    ],
)
def test_an_edited_record_is_noticed(copy, changes):
    edit(copy, sealed=False, **changes)
    for read in (load_target, read_record):
        with pytest.raises(InputError, match=r"target.json has been changed since it was written"):
            read(copy)


def test_white_space_and_the_order_of_fields_are_no_change(copy):
    path = copy / "target.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=4))
    load_target(copy)


def test_a_target_without_seals_is_sealed_if_its_weights_are_what_it_says(copy):
    record = read_record(copy)
    (copy / record["params"]).rename(copy / "params")
    files = {f"params/{Path(name).relative_to(record['params'])}": 0 for name in record["files"]}
    old = {name: value for name, value in record.items() if name not in ("params", "sha256")}
    (copy / "target.json").write_text(json.dumps(old | {"format": 1, "files": files}))
    with pytest.raises(InputError, match="has format 1, without seals; `jaxaudit.checkpoint.reseal_target"):
        load_target(copy)
    sealed = reseal_target(copy)
    assert sealed["fingerprint"] == record["fingerprint"]
    assert equal(load_target(copy).params, PARAMS)
    with pytest.raises(InputError, match="only format 1 is without seals"):
        reseal_target(copy)
    (copy / "target.json").write_text(json.dumps(old | {"format": 1, "fingerprint": "0" * 64}))
    with pytest.raises(InputError, match="its parameters are not those of its fingerprint"):
        reseal_target(copy)


def test_the_built_in_targets_are_sealed():
    for name in builtin_names():
        record = read_record(name)
        assert record["files"]
        assert record["sha256"] == json_sha256({key: record[key] for key in record if key != "sha256"})
        files.check_files(finding.builtin_folder() / name, record["files"], verify=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "has format 99; this jaxaudit reads format 2"),
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
        ({"preprocessing": vars(PREPROCESSING) | {"low": "-1"}}, "does not describe such a target"),
        ({"config": {"generator": "large", "tokenizer": []}}, "does not describe such a target"),
        ({"num_params": "many"}, r"is damaged: Expected `int`, got `str` - at `\$.num_params`"),
        ({"files": {"a": 3}}, r"is damaged: Expected `object`, got `int` - at `\$.files"),
        ({"files": ["a"]}, "is damaged: Expected `object`, got `array`"),
    ],
)
def test_records_of_something_else(copy, changes, reason):
    edit(copy, **changes)
    with pytest.raises(InputError, match=reason):
        load_target(copy)


@pytest.mark.parametrize("name", ["/etc/passwd", "../other", "params-00000000/../../other", "C:\\other"])
@pytest.mark.parametrize("field", ["files", "params", "vocabulary"])
def test_names_of_files_elsewhere(copy, field, name):
    """Whoever can write a record can seal it."""
    edit(copy, **{field: {name: {"bytes": 1, "sha256": "0" * 64}} if field == "files" else name})
    with pytest.raises(InputError, match=r"target\.json names '.*', which is not in its directory"):
        load_target(copy)


def test_a_target_in_a_bucket_writes_nothing_elsewhere(saved, bucket, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    record = json.loads((saved / "target.json").read_text())
    record["files"] |= {str(elsewhere): {"bytes": 1, "sha256": "0" * 64}}
    (bucket / "small" / "target.json").write_text(json.dumps(seal(record)))
    place = bucket / "small" / str(elsewhere)
    place.fs.pipe_file(place.path, b"x")
    with pytest.raises(InputError, match=f"names '{elsewhere}', which is not in its directory"):
        load_target(bucket / "small")
    assert not elsewhere.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 2, "files": 3}'])
def test_damaged_records(copy, text):
    (copy / "target.json").write_text(text)
    with pytest.raises(InputError, match=r"is damaged|has format None"):
        load_target(copy)


def test_builtin_names_come_first(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "builtin_folder", lambda: saved.parent)
    monkeypatch.chdir(tmp_path)
    assert builtin_names() == ["tiny"]
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

import contextlib
import dataclasses
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxaudit.audits.fill import fill
from jaxaudit.errors import InputError
from jaxaudit.evidence import Columns, Evidence
from jaxaudit.paths import names_in
from jaxaudit.runtime.processes import Process
from jaxaudit.runtime.progress import silent

REQUEST = {"pictures": "abc", "scores": ["cond/loss", "clever"], "seed": 0}
COLUMNS = Columns(("cond/loss", "a/b/c"), {"clever": ("b", "a")}, ("mean", "std"))
ROWS = {"members": 10, "nonmembers": 3}


def create(tmp_path, request=REQUEST, rows=ROWS):
    return Evidence.create(tmp_path, request, {"devices": 1}, columns=COLUMNS, num_rows=rows, shard_size=4)


def columns(shard):
    rows = np.arange(shard.start, shard.stop)
    return {
        "sample_id": [f"{shard.split}/{row}" for row in rows],
        "label": rows.astype(np.int32) % 3,
        "digest": [f"{row:x}" for row in rows],
        "cluster": [f"{shard.split}/{row - row % 2}" for row in rows],
        "copy_of": ["" if row else "elsewhere" for row in rows],
        "clever/a": rows + 0.5,
        "cond/loss": rows.astype(np.float32) / 7,
        "a/b/c": 2.0 * rows,
        "clever/b": rows - 0.5,
        "blind/mean": rows.astype(np.float32),
        "blind/std": -rows.astype(np.float32),
    }


def test_rows_come_back_in_the_order_of_the_source(tmp_path):
    evidence = create(tmp_path)
    for shard in reversed(evidence.shards()):
        evidence.write(shard, columns(shard))
    table = Evidence.open(tmp_path).read("members")
    assert list(table.sample_ids) == [f"members/{row}" for row in range(10)]
    np.testing.assert_array_equal(table.scores["cond/loss"], np.arange(10, dtype=np.float32) / 7)
    assert list(table.scores) == ["cond/loss", "a/b/c"]
    assert list(table.features) == ["clever"]
    np.testing.assert_array_equal(table.features["clever"], np.arange(10)[:, None] + [-0.5, 0.5])
    assert table.clusters.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert table.copy_of.tolist() == ["elsewhere"] + [""] * 9
    assert table.blind_names == ("mean", "std")
    np.testing.assert_array_equal(table.blind, np.stack([np.arange(10), -np.arange(10)], axis=1))
    assert len(Evidence.open(tmp_path).read("nonmembers")) == 3


def test_shards_cover_every_row_once(tmp_path):
    shards = [shard for shard in create(tmp_path).shards() if shard.split == "members"]
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 4), (4, 8), (8, 10)]
    assert len({shard.filename for shard in create(tmp_path).shards()}) == 4


def test_only_missing_shards_are_left_after_a_kill(tmp_path):
    evidence = create(tmp_path)
    first = evidence.shards()[0]
    evidence.write(first, columns(first))
    (tmp_path / f".{evidence.shards()[1].filename}.77.partial").write_bytes(b"PAR1 cut off")
    assert create(tmp_path).missing() == evidence.shards()[1:]
    with pytest.raises(InputError, match=r"2 of 3 members shards are missing"):
        evidence.read("members")


def test_another_request_is_refused_with_every_difference(tmp_path):
    create(tmp_path)
    with pytest.raises(InputError, match=r"num_rows.members is 10, now 11; seed is 0, now 1.*choose another"):
        create(tmp_path, {**REQUEST, "seed": 1}, {**ROWS, "members": 11})
    with pytest.raises(InputError, match=r"columns.scores is .*, now \[\]"):
        Evidence.create(tmp_path, REQUEST, {}, columns=Columns(), num_rows=ROWS, shard_size=4)


def test_an_earlier_run_is_continued_whatever_the_machine(tmp_path):
    create(tmp_path)
    options = {"columns": COLUMNS, "num_rows": ROWS, "shard_size": 4}
    again = Evidence.create(tmp_path, REQUEST, {"devices": 8}, **options)
    assert again.run["devices"] == 1
    assert [run["devices"] for run in Evidence.open(tmp_path).manifest.runs] == [1, 8]


def test_evidence_of_the_first_format_is_refused_in_one_sentence(tmp_path):
    manifest = '{"request": {"shard_size": 4}, "num_rows": {"members": 4}, "run": {}}'
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=r"is of format 1, and this jaxaudit reads format 4 of evidence"):
        Evidence.open(tmp_path)


def test_a_column_that_is_not_there_is_named(tmp_path):
    evidence = create(tmp_path)
    for shard in evidence.shards():
        kept = {name: values for name, values in columns(shard).items() if name != "clever/b"}
        evidence.write(shard, columns(shard) if shard.start == 0 else kept)
    with pytest.raises(InputError, match=r"members-00001-of-00003.parquet has no column 'clever/b'"):
        evidence.read("members")


def test_a_damaged_shard_is_named(tmp_path):
    evidence = create(tmp_path)
    for shard in evidence.shards():
        evidence.write(shard, columns(shard))
    (tmp_path / shard.filename).write_bytes(b"not parquet")
    with pytest.raises(InputError, match=f"{shard.filename} cannot be read"):
        evidence.read(shard.split)


@pytest.fixture
def whole(tmp_path):
    evidence = create(tmp_path)
    for shard in evidence.shards():
        evidence.write(shard, columns(shard))
    return evidence


def rewrite(evidence, shard, change):
    """The shard's file with another table, everything else of it as it was."""
    path = evidence.path(shard)
    pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.slice(0, 3),
        lambda table: table.take([1, 0, 2, 3]),
        lambda table: pa.concat_tables([table, table]),
        lambda table: table.drop_columns(["a/b/c"]),
        lambda table: table.rename_columns({"blind/mean": "blind/std", "blind/std": "blind/mean"}),
        lambda table: table.set_column(
            table.column_names.index("cond/loss"), "cond/loss", pa.array([0.0, 1.0, 2.0, 3.0])
        ),
        lambda table: table.set_column(0, "sample_id", pa.array([{"a": 1}] * 4)),
        lambda table: table.replace_schema_metadata(None),
    ],
)
def test_a_changed_shard_is_refused(whole, change):
    shard = whole.shards()[0]
    rewrite(whole, shard, change)
    with pytest.raises(InputError, match=rf"{shard.filename} (is damaged, or of another request|cannot be)"):
        whole.read("members")


def test_the_order_of_columns_is_no_change(whole):
    before = whole.read("members")
    for shard in whole.shards("members"):
        rewrite(whole, shard, lambda table: table.select(sorted(table.column_names)))
    after = whole.read("members")
    np.testing.assert_array_equal(after.blind, before.blind)
    np.testing.assert_array_equal(after.scores["cond/loss"], before.scores["cond/loss"])


def test_shards_that_change_places_are_refused(whole):
    first, second = (whole.path(shard) for shard in whole.shards("members")[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(InputError, match="is damaged, or of another request"):
        whole.read("members")


def test_a_shard_of_another_request_is_refused(whole, tmp_path):
    other = create(tmp_path / "other", {**REQUEST, "seed": 1})
    shard = other.shards()[0]
    other.write(shard, columns(shard))
    whole.path(shard).write_bytes(other.path(shard).read_bytes())
    with pytest.raises(InputError, match="is damaged, or of another request"):
        whole.read("members")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"cond/loss": np.array([0.0, np.nan, 1.0])},
            "'cond/loss' of the nonmembers is not finite for 1 of 3",
        ),
        ({"blind/std": np.array([0.0, np.inf, 1.0])}, "'blind/std' of the nonmembers is not finite"),
        (
            {"cond/loss": ["a", "b", "c"]},
            r"'cond/loss' is <U1 of shape \(3,\); expected one number per row",
        ),
        ({"label": np.array([0.5, 1, 2])}, "column 'label' is float64 .* expected one integer per row"),
        ({"digest": np.arange(3)}, "column 'digest' is int64 .* expected one text per row"),
        ({"cond/loss": np.zeros((3, 2))}, r"column 'cond/loss' is float64 of shape \(3, 2\)"),
        ({"sample_id": ["x", "y", "x"]}, "of the nonmembers 1 ids stand in several rows, e.g. 'x'"),
    ],
)
def test_rows_that_are_no_evidence_are_refused(tmp_path, wrong, message):
    evidence = create(tmp_path)
    for shard in evidence.shards("nonmembers"):
        evidence.write(shard, {**columns(shard), **wrong})
    with pytest.raises(InputError, match=message):
        evidence.read("nonmembers")


def test_a_shard_takes_as_many_rows_as_it_has(tmp_path):
    evidence = create(tmp_path)
    short, shard = evidence.shards()[2], evidence.shards()[0]
    with pytest.raises(InputError, match="takes 4 rows, and column 'sample_id' has 2"):
        evidence.write(shard, columns(short))
    assert evidence.missing() == evidence.shards()


def test_processes_fill_uneven_sides_together_though_one_dies(whole, bucket):
    """Four at once, in a bucket; the first fails at its first shard, and another comes later."""
    folder, computed, failed = bucket / "evidence", [], []

    def process(index):
        evidence = create(folder)

        def compute(shard, done):
            if index == 0:
                failed.append(shard)
                raise KeyboardInterrupt
            computed.append(shard)
            return columns(shard)

        with contextlib.suppress(KeyboardInterrupt):
            fill(evidence, compute, silent, "Scoring", process=Process(index, 4))

    process(0)
    threads = [threading.Thread(target=process, args=(index,)) for index in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    process(0)  # nothing is left to fail at
    assert len(failed) == 1
    assert {shard.filename for shard in computed} == {shard.filename for shard in whole.shards()}
    assert len(computed) == len(whole.shards())
    for split in ROWS:
        found, expected = (each.read(split) for each in (Evidence.open(folder), whole))
        np.testing.assert_equal(dataclasses.asdict(found), dataclasses.asdict(expected))
    assert names_in(folder) == {path.name for path in whole.directory.iterdir()}


def test_a_shard_that_the_system_does_not_give_is_left_alone(whole, monkeypatch):
    path, read = whole.path(whole.shards()[1]), Path.read_bytes

    def refused(asked):
        if asked == path:
            raise PermissionError(13, "Permission denied", str(path))
        return read(asked)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(PermissionError):
        fill(whole, lambda shard, done: columns(shard), lambda done, total, what, note="": None, "Scoring")
    assert path.exists()


def test_a_filling_run_computes_what_cannot_be_read_again(whole):
    said, computed = [], []
    shard = whole.shards()[1]
    before = whole.path(shard).read_bytes()
    whole.path(shard).write_bytes(before[:-40])

    def compute(shard, done):
        computed.append(shard)
        return columns(shard)

    fill(whole, compute, lambda done, total, what, note="": said.append(what), "Scoring")
    assert computed == [shard]
    assert any(shard.filename in what and what.endswith("it is computed again") for what in said)
    assert whole.path(shard).read_bytes() == before

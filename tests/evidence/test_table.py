import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.evidence import Columns, Evidence

REQUEST = {"target": "abc", "scores": ["cond/loss", "clever"], "seed": 0}
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
    with pytest.raises(InputError, match=r"is of format 1, and this jaxaudit reads format 2 of evidence"):
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
    with pytest.raises(InputError, match=shard.filename):
        evidence.read(shard.split)

import json

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence

REQUEST = {"target": "abc", "scores": ["cond/loss"], "shard_size": 4, "seed": 0}
ROWS = {"members": 10, "nonmembers": 3}


def create(tmp_path, request=REQUEST, rows=ROWS):
    return Evidence.create(tmp_path, request, {"devices": 1}, num_rows=rows)


def columns(shard):
    rows = np.arange(shard.start, shard.stop)
    return {
        "sample_id": [f"{shard.split}/{row}" for row in rows],
        "label": rows.astype(np.int32) % 3,
        "digest": [f"{row:x}" for row in rows],
        "cond/loss": rows.astype(np.float32) / 7,
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
    assert list(table.scores) == ["cond/loss"]
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
    assert json.loads((tmp_path / "manifest.json").read_text())["request"] == REQUEST


def test_an_earlier_run_is_continued_whatever_the_machine(tmp_path):
    create(tmp_path)
    again = Evidence.create(tmp_path, REQUEST, {"devices": 8}, num_rows=ROWS)
    assert again.manifest["run"] == {"devices": 1}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"request": {}}'])
def test_a_folder_without_a_manifest_is_no_evidence(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="manifest"):
        Evidence.open(tmp_path)


def test_a_damaged_shard_is_named(tmp_path):
    evidence = create(tmp_path)
    for shard in evidence.shards():
        evidence.write(shard, columns(shard))
    (tmp_path / shard.filename).write_bytes(b"not parquet")
    with pytest.raises(InputError, match=shard.filename):
        evidence.read(shard.split)

"""Whether there is a place for the results, before there are any."""

import os
import sys

import pytest

from jaxaudit.errors import InputError
from jaxaudit.outputs import check_file, check_folder, check_new_folder

CHECKS = (check_file, check_folder, check_new_folder)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("out", ["new", "new/and/below", "with space/ü/[b]"])
def test_what_can_be_written_is_left_as_it_was(tmp_path, check, out):
    assert check(tmp_path / out) == tmp_path / out
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_may_be_written_to(tmp_path):
    (tmp_path / "file").write_text("kept")
    check_file(tmp_path / "file")
    check_folder(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_lies_below_a_file(tmp_path, check):
    (tmp_path / "file").touch()
    for out in ("file/out", "file/a/b/out"):
        with pytest.raises(InputError, match=f"file is no folder, so nothing can be written to .*{out}"):
            check(tmp_path / out)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("out", ["o" * 300, "o" * 245, "/".join(["o" * 200] * 30)])
def test_names_have_an_end(tmp_path, check, out):
    if check is check_folder and len(out) == 245:  # the results in it have names of their own
        check(tmp_path / out)
        return
    with pytest.raises(InputError, match="File name too long"):
        check(tmp_path / out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", CHECKS)
def test_who_may_not_write_hears_it(tmp_path, monkeypatch, check):
    def refuse(path, *arguments):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refuse)  # root may write wherever a mode says no
    with pytest.raises(InputError, match=r"Nothing can be written to .*out: Permission denied\."):
        check(tmp_path / "out")


def test_a_folder_is_no_file_nor_the_other_way_round(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is there and no file"):
        check_file(tmp_path)
    with pytest.raises(InputError, match="file is no folder"):
        check_folder(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="link is no folder"):
        check_folder(tmp_path / "link")


def test_buckets_are_tried_as_well(bucket, monkeypatch):
    assert check_folder(str(bucket / "out")) == bucket / "out"
    assert check_file(bucket / "out" / "plan.json") == bucket / "out" / "plan.json"
    assert bucket.fs.find(bucket.path) == []
    with pytest.raises(InputError, match="is in a bucket; write to a folder here"):
        check_new_folder(str(bucket / "target"))

    def refuse(path, content, **options):
        raise ConnectionError("Anonymous caller does not have storage.objects.create access.\nSee")

    monkeypatch.setattr(bucket.fs, "pipe_file", refuse)
    with pytest.raises(InputError, match=r"Nothing can be written to memory://.*out: Anonymous .* access\.$"):
        check_folder(bucket / "out")


def test_places_that_are_none(monkeypatch):
    with pytest.raises(InputError, match=r"nowhere://b is no place for files .*; gs:// and s3:// are"):
        check_folder("nowhere://b")
    for scheme, package, extra in (("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=rf"needs a package .*: pip install 'jaxaudit\[{extra}\]'"):
            check_folder(f"{scheme}://bucket/out")

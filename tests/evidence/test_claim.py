"""A folder belongs to one request, whoever comes first, and whatever the run."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, claim, read_manifest
from jaxaudit.seals import seal

CLAIM_MODULE = sys.modules[claim.__module__]
MEASURED = Contents("measurements")
REQUEST = {"target": {"fingerprint": "abc"}, "seed": 0, "scores": ("cond/loss",)}


def test_the_same_request_goes_on_and_the_first_run_is_kept(tmp_path):
    first = claim(tmp_path / "new", MEASURED, REQUEST, {"devices": 1})
    assert first.request["scores"] == ["cond/loss"]
    again = claim(tmp_path / "new", MEASURED, {**REQUEST, "scores": ["cond/loss"]}, {"devices": 1})
    assert again == first == read_manifest(tmp_path / "new", MEASURED)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["manifest.json"]


def test_what_computes_belongs_to_the_request_and_the_commit_to_the_run(tmp_path, monkeypatch):
    first = claim(tmp_path, MEASURED, REQUEST)
    assert first.request["method"] == 1
    assert first.request["versions"].keys() == {"jax", "jaxlib", "flax", "numpy", "pillow"}
    assert first.runs[0].keys() == {"jaxaudit", "git_commit"}
    monkeypatch.setattr(CLAIM_MODULE, "_git_commit", lambda: "a commit to the README")
    for _ in range(2):
        later = claim(tmp_path, MEASURED, REQUEST, {"devices": 8})
    assert later.request == first.request
    found = read_manifest(tmp_path, MEASURED)
    assert found.runs[0] == first.runs[0]
    assert [run["git_commit"] for run in found.runs[1:]] == ["a commit to the README"]
    assert [run["devices"] for run in found.runs[1:]] == [8]


def test_every_difference_is_named_in_one_sentence(tmp_path, monkeypatch):
    claim(tmp_path, MEASURED, REQUEST)
    other = {"target": {"fingerprint": "def"}, "seed": 1, "more": True}
    with pytest.raises(InputError) as error:
        claim(tmp_path, MEASURED, other)
    assert str(error.value) == (
        f"{tmp_path} holds measurements of another request (more is null, now true; "
        'scores is ["cond/loss"], now null; seed is 0, now 1; target.fingerprint is "abc", now "def"); '
        "repeat that request or choose another folder."
    )
    with pytest.raises(InputError, match=r"\(method is 1, now 2\)"):
        claim(tmp_path, Contents("measurements", method=2), REQUEST)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "holds no measurements: it has no manifest.json"),
        ("", "is not a manifest of measurements"),
        ("{", "is not a manifest of measurements"),
        ("[]", "is not a manifest of measurements: Expected `object`, got `array`"),
        (
            '{"format": 3, "holds": "measurements"}',
            "Object missing required field `request`",
        ),
        ('{"format": 3, "holds": "evidence", "request": {}, "run": {}}', "holds evidence, not measurements"),
        ('{"request": {}, "run": {}}', "is of format 1, and this jaxaudit reads format 3 of measurements"),
        ('{"format": 4, "holds": "measurements"}', "is of format 4, and this jaxaudit reads format 3"),
        (
            '{"format": 3, "holds": "measurements", "request": {}, "run": [], "sha256": ""}',
            r"of measurements: Expected `object`, got `array` - at `\$.run`",
        ),
        (
            '{"format": 3, "holds": "measurements", "request": {}, "run": {}, "sha256": "ab"}',
            "has been changed since it was written: it does not match its sha256",
        ),
    ],
)
def test_what_is_no_such_folder_is_refused(tmp_path, monkeypatch, manifest, message):
    monkeypatch.setattr(CLAIM_MODULE, "_PATIENCE", 0.0)
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(InputError, match=message):
            claim(tmp_path, MEASURED, REQUEST)
        assert (tmp_path / "manifest.json").read_text() == manifest
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path, MEASURED)


def test_hashes_that_differ_are_not_spelt_out_and_many_differences_are_counted(tmp_path):
    claim(tmp_path, MEASURED, {"members": {"pixels_sha256": "ab"}})
    with pytest.raises(InputError, match=r"another request \(members.pixels differ\); repeat"):
        claim(tmp_path, MEASURED, {"members": {"pixels_sha256": "cd"}})
    many = {f"option_{i}": i for i in range(10)}
    with pytest.raises(InputError, match=r"members is .*; option_6 is null, now 6; and 3 more\); repeat"):
        claim(tmp_path, MEASURED, many)


@pytest.mark.parametrize("change", [{"seed": 1}, {"target": {"fingerprint": "def"}}, {"method": 2}])
def test_an_edited_request_is_refused(tmp_path, change):
    claim(tmp_path, MEASURED, REQUEST)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["request"] |= change
    path.write_text(json.dumps(manifest))
    for again in (lambda: read_manifest(tmp_path, MEASURED), lambda: claim(tmp_path, MEASURED, REQUEST)):
        with pytest.raises(InputError, match="manifest.json has been changed since it was written"):
            again()


def test_a_folder_without_its_manifest_is_nobodys(tmp_path):
    claim(tmp_path, MEASURED, REQUEST)
    (tmp_path / "members-00000-of-00001.parquet").write_text("scores")
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"holds 'members-.*' and no manifest.json that says whose it is"):
        claim(tmp_path, MEASURED, REQUEST)
    assert not (tmp_path / "manifest.json").exists()


def test_what_killed_processes_left_half_written_is_removed_in_the_end(tmp_path):
    old, new = tmp_path / ".a.parquet.0123.partial", tmp_path / ".b.parquet.4567.partial"
    for partial in (old, new):
        partial.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    claim(tmp_path, MEASURED, REQUEST)
    assert not old.exists()
    assert new.exists()  # another process may be writing it


def test_what_a_request_does_not_say_is_asked_for_in_vain(tmp_path):
    claim(tmp_path, MEASURED, REQUEST)
    with pytest.raises(InputError, match=r"manifest.json does not say 'main_view', which is needed here"):
        read_manifest(tmp_path, MEASURED).request["main_view"]


CLAIM = """
import pathlib, sys, time
from jaxaudit.errors import InputError
from jaxaudit.evidence import Contents, claim
directory, mine = pathlib.Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while not (directory / "go").exists():
    pass
try:
    claim(directory / "folder", Contents("measurements"), {"seed": mine % 2})
    print("has it")
except InputError as error:
    print(error)
"""


def test_of_processes_that_start_at_once_one_request_wins(tmp_path):
    arguments = [[sys.executable, "-c", CLAIM, str(tmp_path), str(i)] for i in range(4)]
    processes = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in arguments]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        (tmp_path / "go").touch()
        said = [process.communicate(timeout=60)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.stdout.close()
            process.wait()
    won = read_manifest(tmp_path / "folder", MEASURED).request["seed"]
    for i, words in enumerate(said):
        assert words == "has it" if i % 2 == won else f"seed is {won}, now {i % 2}" in words


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_threads_that_start_at_once_one_request_wins(tmp_path, monkeypatch, hard_links):
    def refuse(*paths):
        raise PermissionError("no hard links on this file system")

    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    for attempt in range(20):
        folder, barrier, won, refused = tmp_path / str(attempt), threading.Barrier(8), [], []

        def run(seed, folder=folder, barrier=barrier, won=won, refused=refused):
            barrier.wait()
            try:
                claim(folder, MEASURED, {"seed": seed})
                won.append(seed)
            except InputError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum("of another request (seed is" in words for words in refused) == 7
        assert won == [json.loads((folder / "manifest.json").read_text())["request"]["seed"]]
        assert [path.name for path in folder.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("written", [0, 30])
def test_a_manifest_that_is_being_written_is_waited_for(tmp_path, written):
    text = json.dumps(seal({"format": 3, "holds": "measurements", "request": {"seed": 3}, "run": {}}))
    (tmp_path / "manifest.json").write_text(text[:written])

    def write():
        time.sleep(0.2)
        (tmp_path / "manifest.json").write_text(text)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_manifest(tmp_path, MEASURED).request == {"seed": 3}
    thread.join()

"""Where the index of pictures is kept, as flags and surroundings say."""

import pytest
from absl import flags

from experiments import shared_flags


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The folder that a source is opened with, under some flags."""

    def of(**given):
        values = flags.FlagValues()
        flags.DEFINE_bool("skip_unreadable", False, "", flag_values=values)
        for name in ("index", "distributed"):
            flags.DEFINE_string(name, given.get(name), "", flag_values=values)
        values(["program"])
        monkeypatch.setattr(shared_flags, "FLAGS", values)
        return shared_flags.open_pictures("digits:members", tmp_path / "out").index

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return of


def test_audits_of_one_user_share_it_and_hosts_share_their_results(index, tmp_path):
    assert index() == str(tmp_path / "cache" / "jaxaudit" / "pictures")
    assert index(distributed="auto") == str(tmp_path / "out" / "index")
    assert index(index=str(tmp_path / "here"), distributed="auto") == str(tmp_path / "here")
    assert index(index="none", distributed="auto") is None
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_where_nobody_asked_and_nothing_can_be_written(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert index() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(shared_flags, "user_cache", nobody)
    assert index() is None


def nobody():
    raise RuntimeError("Could not determine home directory.")

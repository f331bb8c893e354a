import os
from pathlib import Path

import jax
import pytest

from jaxaudit.program_cache import keep_programs


@pytest.fixture
def told(monkeypatch):
    """What JAX is told, without being told; and an environment in which nobody has chosen anything."""
    seen = {}
    monkeypatch.setattr(jax.config, "update", seen.__setitem__)
    for name in ("COMPILATION_CACHE_DIR", "COMPILATION_CACHE_MAX_SIZE"):
        monkeypatch.delenv(f"JAX_{name}", raising=False)
    for name in ("COMPILATION_CACHE_DIR", "COMPILATION_CACHE_MAX_SIZE"):
        monkeypatch.setitem(os.environ, f"JAX_{name}", "")  # so that it is taken away at the end
        del os.environ[f"JAX_{name}"]
    return seen


def test_programs_are_kept_in_the_users_cache_and_bounded(told, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = keep_programs()
    assert folder is not None
    assert folder.parent == tmp_path / "jaxaudit" / "programs"
    assert folder.stat().st_mode & 0o077 == 0
    assert told["jax_compilation_cache_dir"] == os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert told["jax_compilation_cache_max_size"] == 8 * 2**30


def test_without_a_cache_folder_it_is_that_of_the_home(told, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = keep_programs()
    assert folder is not None
    assert folder.is_relative_to(tmp_path / ".cache")


@pytest.mark.parametrize("chosen", ["", "/somewhere/else"])
def test_who_has_chosen_is_not_overruled(told, monkeypatch, tmp_path, chosen):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", chosen)
    assert keep_programs() is None
    assert not told
    assert not list(tmp_path.iterdir())


def test_a_bound_that_was_chosen_stays(told, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "5")
    assert keep_programs() is not None
    assert "jax_compilation_cache_max_size" not in told
    assert os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] == "5"


@pytest.mark.parametrize("place", ["/proc", "file"])
def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_said(
    told, monkeypatch, tmp_path, capfd, place
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    assert keep_programs() is None
    assert not told
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert capfd.readouterr() == ("", "")

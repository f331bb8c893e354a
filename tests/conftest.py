"""Strict JAX for every test: 8 simulated devices, no rank promotion, float32 matmuls, checked shapes.

The import hook has beartype check every shape and dtype that a signature of ours states, at each call and,
in traced functions, at each trace. So nothing of ours may be imported above it.

The workers of a run, and the programs they start, compile into one folder that the run begins empty and
removes at its end: nothing is compiled twice, and nothing is left over from the code of yesterday. That
makes it cheap to forget a module's programs when its last test has run, which keeps workers small. Most of
them run once and on a few numbers: XLA transforms them as always, but LLVM is not asked to make them fast
(level 0), which would take longer than running them. The programs started as processes of their own are
compiled as for everyone.
"""

import atexit
import gc
import os
import shutil
import tempfile
import threading
import uuid

os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0",
    ]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    programs = tempfile.mkdtemp(prefix="jaxaudit-programs-")
    atexit.register(shutil.rmtree, programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
if "JAXAUDIT_TESTS" not in os.environ:  # workers have it from who started them
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("MPLCONFIGDIR", os.path.join(caches, "matplotlib"))  # knows the fonts already
    kept = tempfile.mkdtemp(prefix="jaxaudit-tests-")
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    os.environ["JAXAUDIT_TESTS"] = os.environ["XDG_CACHE_HOME"] = kept
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import jax
import jaxtyping
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import tests.shapes

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "float32")
jaxtyping.install_import_hook(
    ["jaxaudit", "jaxaudit_kernels", "checkpoints_convert"], f"{tests.shapes.__name__}.check"
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A module's tests share programs and fixtures, so they share a worker."""
    from xdist.scheduler import LoadScopeScheduling

    return LoadScopeScheduling(config, log)


def pytest_collection_finish():
    """What is imported by now stays: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def unchecked(monkeypatch):
    """The hook off: for what functions themselves say to shapes that do not fit, and for the same few calls
    thousands of times.
    """
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def bucket(monkeypatch):
    """A bucket in memory: whole objects, one writer at a time; no folders, no renaming, no appending."""
    from jaxaudit.paths import as_place

    writing, put = threading.Lock(), MemoryFileSystem.pipe_file

    def pipe_file(*arguments, **options):
        with writing:
            put(*arguments, **options)

    def refuse(self, *arguments, **options):
        raise NotImplementedError("a bucket has no such thing")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    for name in ("mkdir", "makedirs", "mv", "cp_file", "rmdir", "touch"):
        monkeypatch.setattr(MemoryFileSystem, name, refuse)
    where = as_place(f"memory://{uuid.uuid4().hex}")
    yield where
    for name in list(where.fs.store):
        if name.startswith(where.path):
            del where.fs.store[name]

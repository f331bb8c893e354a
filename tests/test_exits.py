"""How programs end where they cannot go on."""

import contextlib
import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import jax
import pytest

from jaxaudit.errors import InputError
from jaxaudit.exits import plain_exits
from jaxaudit.files import write_atomically


def ending(error, capfd):
    """The exit code, and what is said, of a program whose work raises the error."""
    with pytest.raises(SystemExit) as ended, plain_exits():
        raise error
    return ended.value.code, capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("A sentence."), "A sentence."),
        (InputError("A file a\nb is missing."), r"A file a\nb is missing."),
        (
            InputError("Does not fit:", ["  2 missing", "  1 unknown"]),
            "Does not fit:\n  2 missing\n  1 unknown",
        ),
        (InputError("\x1b[31mred\x1b[0m"), r"\x1b[31mred\x1b[0m"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a.json"),
            "out/a.json: No space left on device.",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded", b"out/a"), "out/a: Disk quota exceeded."),
        (OSError(errno.EIO, "Input/output error"), "Input/output error."),
        (MemoryError(), "There is not enough memory (MemoryError)."),
        (MemoryError("Unable to allocate 2 TiB"), "There is not enough memory (Unable to allocate 2 TiB)."),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"),
            "There is not enough memory (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes).",
        ),
        (
            ValueError("RESOURCE_EXHAUSTED: Error writing a: No space left on device [source]"),
            "There is no room left on the disk (RESOURCE_EXHAUSTED: Error writing a: No space left on device",
        ),
    ],
)
def test_what_the_system_refuses_is_one_sentence(error, said, capfd):
    code, text = ending(error, capfd)
    assert code == 2
    assert text.startswith(said)
    assert len(text.splitlines()) == len(said.splitlines())


@pytest.mark.parametrize("error", [ValueError("x"), OSError("of a library"), jax.errors.JaxRuntimeError("x")])
def test_defects_keep_their_traceback(error):
    with pytest.raises(type(error)), plain_exits():
        raise error


def test_what_a_thread_raises_is_not_logged_before_it_comes_back(caplog):
    def work():
        try:
            raise ValueError("disk full")
        except ValueError:
            logging.getLogger("absl").exception("from a thread")

    for inside in (plain_exits(), contextlib.nullcontext()):
        with inside:
            work()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert [record.threadName == "MainThread" for record in caplog.records] == [True, True, False]


class UnreachableError(Exception):
    """As a package that talks to buckets raises it."""

    __module__ = "botocore.exceptions"


def test_a_bucket_out_of_reach_is_one_sentence(capfd):
    code, said = ending(UnreachableError("No route\nto host"), capfd)
    assert (code, said) == (2, "The bucket cannot be reached (No route). What was finished before is kept.\n")


def test_an_interrupt_waits_for_no_thread(monkeypatch, capfd):
    codes = []

    def leave(code):
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    assert ending(KeyboardInterrupt(), capfd) == (130, "Interrupted.\n")
    assert codes == [130]


def test_a_reader_that_has_left_is_no_error(monkeypatch, capfd):
    monkeypatch.setattr(os, "dup2", lambda *files: None)
    assert ending(BrokenPipeError(errno.EPIPE, "Broken pipe"), capfd) == (141, "")


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one(tmp_path, capfd):
    path = tmp_path / "results.json"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the write is refused as on a full disk
    try:
        with pytest.raises(SystemExit), plain_exits():
            write_atomically(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in capfd.readouterr().err
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


LOST = """
    import signal, sys, time
    from jaxaudit.exits import plain_exits

    signal.signal(signal.SIGINT, signal.default_int_handler)  # `&` ignores it

    class Callback:  # as native code calls back: what is raised can only be reported
        def __del__(self):
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)

    def made_of_it():
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise ValueError("INTERNAL: something else")

    with plain_exits():
        {what}
        print("going on", flush=True)
        time.sleep(10)
"""


@pytest.mark.parametrize("what", ["Callback()", "made_of_it()", "signal.raise_signal(signal.SIGINT)"])
def test_ctrl_c_is_one_line_wherever_it_strikes(what):
    start = time.monotonic()
    code = textwrap.dedent(LOST.format(what=what))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    assert time.monotonic() - start < 9.5


def test_interrupts_that_are_ignored_stay_ignored():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with plain_exits():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, earlier)

"""Items of a folder, taken by whoever is free; processes are threads here."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from jaxaudit import sharing
from jaxaudit.paths import names_in
from jaxaudit.sharing import once, share

ITEMS = [f"item-{i:02d}" for i in range(40)]
PATIENCE, LONG = 0.3, 3.0  # seconds, the second longer than a thread is kept waiting here


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path):
    return tmp_path / "folder" if request.param == "disk" else request.getfixturevalue("bucket") / "folder"


def at_once(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_each_item_is_computed_once_whoever_computes_it(folder):
    computed = {process: [] for process in range(4)}

    def process(number):
        def work(name):
            time.sleep(0.002 * (number + 1))
            computed[number].append(name)
            (folder / name).write_bytes(name.encode())

        return lambda: share(folder, ITEMS, work, first=10 * number, patience=LONG)

    at_once(*map(process, computed))
    assert sorted(itertools.chain(*computed.values())) == ITEMS
    assert all(computed.values())
    assert len(computed[0]) > len(computed[3])  # the faster one takes more
    assert names_in(folder) == set(ITEMS)


def test_what_is_there_is_not_computed_again(folder):
    share(folder, ITEMS[:3], lambda name: (folder / name).write_bytes(b"first"), patience=PATIENCE)
    computed, heard = [], []

    def work(name):
        computed.append(name)
        (folder / name).write_bytes(b"second")

    taken_by(folder, ITEMS[1])  # and died before it could say that it had done it
    share(folder, ITEMS[:5], work, first=3, heard=lambda left: heard.append(len(left)), patience=PATIENCE)
    assert computed == ITEMS[3:5]
    assert heard == [2, 1, 0]
    assert (folder / ITEMS[0]).read_bytes() == b"first"
    assert names_in(folder) == set(ITEMS[:5])


def taken_by(folder, name, **changes):
    """The `.taken` file of a process elsewhere, or of one that was here."""
    owner = {"host": "elsewhere", "pid": 1, "process": "theirs", "claim": "theirs", "sign": 0, **changes}
    (folder / f".{name}.taken").write_bytes(json.dumps(owner).encode())


@pytest.mark.parametrize("content", ["owner", "", "cut of"])
def test_an_item_of_a_dead_process_is_taken_over_after_a_while(tmp_path, content):
    (tmp_path / f".{ITEMS[0]}.taken").write_text(content)
    if content == "owner":
        taken_by(tmp_path, ITEMS[0])
    start, done = time.monotonic(), []

    def work(name):
        done.append((name, time.monotonic() - start))
        (tmp_path / name).touch()

    share(tmp_path, ITEMS[:3], work, patience=PATIENCE)
    assert [name for name, _ in done] == [*ITEMS[1:3], ITEMS[0]]
    assert done[-1][1] > PATIENCE
    assert names_in(tmp_path) == set(ITEMS[:3])


def test_an_item_of_a_process_that_was_killed_here_is_free_at_once(tmp_path):
    killed = subprocess.Popen([sys.executable, "-S", "-c", ""])
    killed.wait()
    for pid in (killed.pid, os.getpid()):  # the second: its number has become ours
        taken_by(tmp_path, str(pid), host=sharing._HOST, pid=pid)
        start = time.monotonic()
        share(tmp_path, [str(pid)], lambda name: (tmp_path / name).touch())
        assert time.monotonic() - start < 30  # the patience is 60


def test_a_slow_process_is_waited_for(tmp_path):
    """Its signs of life come through, so nobody takes over, however long it takes."""
    computed, begun = [], threading.Event()

    def slow(name):
        computed.append(("slow", name))
        begun.set()
        time.sleep(1.5 * LONG)
        (tmp_path / name).write_bytes(b"")

    def fast():
        begun.wait(30)
        share(tmp_path, ["item"], lambda name: computed.append(("fast", name)), patience=LONG)

    at_once(lambda: share(tmp_path, ["item"], slow, patience=LONG), fast)
    assert computed == [("slow", "item")]


def test_who_fails_gives_back_what_it_had_taken(folder):
    def fail(name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share(folder, ["item"], fail)
    assert names_in(folder) == set()


def test_one_of_several_writes_the_report(folder):
    written, barrier = [], threading.Barrier(3)

    def report():
        written.append(threading.get_ident())
        time.sleep(LONG / 2)  # others leave at the first sign of life

    def process(answers):
        barrier.wait()
        answers.append(once(folder, "report", report, patience=LONG))

    answers = []
    at_once(*[lambda: process(answers)] * 3)
    assert sorted(answers) == [False, False, True]
    assert len(written) == 1
    assert once(folder, "report", lambda: written.append(0))
    assert len(written) == 2


def test_a_report_that_nobody_writes_any_more_is_written(tmp_path):
    taken_by(tmp_path, "report")
    written = []
    assert once(tmp_path, "report", lambda: written.append(True), patience=PATIENCE)
    assert written == [True]

"""Work that processes share through a folder and nothing else: whoever is free takes what is left.

    FOLDER/NAME            the result of an item, whole or not there
    FOLDER/.NAME.taken     who is at work on it, with a sign of life every few seconds; gone with the result

Processes need not begin together, know how many they are, or reach each other; the folder may be in a bucket.
Of those that want an item one makes its `.taken` file (`write_once`) and computes. Where that file has not
changed for a minute, by the clock of whoever waits, its owner is dead, and the item is taken over; an owner
that was killed on the same machine is known to be dead at once. If one was only slow, an item is computed
twice: so its result must not depend on who computes it, and writing it again must do no harm.
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from jaxaudit.files import write_atomically, write_once
from jaxaudit.paths import Place, make_folder, names_in

PATIENCE = 60.0
"""Seconds without a sign of life after which a process is dead."""

_SIGNS, _LOOKS = 6, 30  # signs of life of who works, and looks of who waits, in that time


def share(
    folder: Place,
    names: Sequence[str],
    work: Callable[[str], None],
    *,
    first: int = 0,
    whole: str | None = None,
    heard: Callable[[Collection[str]], None] = lambda left: None,
    patience: float = PATIENCE,
) -> None:
    """Returns when every item is done, by this process or another.

    Args:
      folder: keeps the results; made if missing.
      names: of the files that are the results; an item is done when its file is there.
      work: computes the item of that name and writes its file.
      first: the place in `names` to begin at; processes that begin at different ones meet less often.
      whole: of the file that is made of all items, after which they may be gone; where it is, none is left.
      heard: hears now and then which items are left.
      patience: seconds without a sign of life after which a process is dead.
    """
    others, order = _Others(make_folder(folder), patience), [*names[first:], *names[:first]]
    while left := _left(folder, order, whole):
        heard(left)
        idle = True
        for name in left:
            if _is_done(folder, name, whole):
                continue
            with others.take(name) as mine:
                if not mine or _is_done(folder, name, whole):  # it may have been, before it was taken
                    continue
                work(name)
            idle = False
            if remaining := _left(folder, order, whole):
                heard(remaining)
        if idle:
            time.sleep(patience / _LOOKS)
    for left_behind in names_in(folder) & {_mark(name) for name in names}:  # by who died with the item done
        (folder / left_behind).unlink(missing_ok=True)
    heard(())


def once(folder: Place, name: str, work: Callable[[], None], *, patience: float = PATIENCE) -> bool:
    """Does the work, unless another process is just doing it; whether this one did.

    Args:
      folder: shared by the processes; made if missing.
      name: of the work, unlike that of any item.
      work: what one of them does; who comes when it is done does it again.
      patience: seconds without a sign of life after which a process is dead, and its work is done again.
    """
    others, met = _Others(make_folder(folder), patience), False
    while True:
        state = others.look(name)
        if state is _State.ALIVE or (met and state is _State.FREE):
            return False
        with others.take(name) as mine:
            if mine:
                work()
                return True
        met = True
        time.sleep(patience / _LOOKS)


@contextlib.contextmanager
def held(folder: Place, name: str, *, patience: float = PATIENCE) -> Iterator[bool]:
    """Takes what only one process may have, for as long as the body runs, if no living one has it.

    Args:
      folder, patience: as in `share`.
      name: of what is taken.

    Yields:
      Whether it could be had.
    """
    with _Others(make_folder(folder), patience).take(name) as mine:
        yield mine


class _Owner(msgspec.Struct, frozen=True):
    """What a `.taken` file says; of the same owner, `sign` counts up."""

    host: str
    pid: int
    process: str
    claim: str
    sign: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine that is no more; of other machines nobody knows."""
        if self.host != _HOST or self.process == _PROCESS:
            return False
        if self.pid == os.getpid():  # its number is ours now
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's
            return False
        return False


def _machine() -> str:
    """Within which a process has one number: containers of one host name, and starts of it, count apart."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # where the system does not say, the name must do
        parts.append(os.readlink("/proc/self/ns/pid"))
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    return " ".join(parts)


_HOST, _PROCESS = _machine(), uuid.uuid4().hex


class _State(enum.Enum):
    FREE = enum.auto()
    ALIVE = enum.auto()  # the owner gave a sign of life while we watched
    SILENT = enum.auto()  # it has not yet
    DEAD = enum.auto()


class _Others:
    """Whose the items of a folder are, and since when their owners have been silent."""

    def __init__(self, folder: Place, patience: float):
        self._folder, self._patience = folder, patience
        self._seen: dict[str, tuple[_Owner | None, float]] = {}

    def look(self, name: str) -> _State:
        """How it stands with an item."""
        path = self._path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return _State.FREE
        owner, now = _decoded(content), time.monotonic()
        before, since = self._seen.setdefault(name, (owner, now))
        if owner is not None and owner.is_gone:
            return _State.DEAD
        if owner == before:
            return _State.DEAD if now - since > self._patience else _State.SILENT
        self._seen[name] = owner, now
        return _State.ALIVE

    @contextlib.contextmanager
    def take(self, name: str) -> Iterator[bool]:
        """Takes an item for as long as the body runs, which is told whether it was to be had."""
        path, us = self._path(name), _Owner(_HOST, os.getpid(), _PROCESS, uuid.uuid4().hex)
        state = self.look(name)
        if state is _State.FREE:
            write_once(path, msgspec.json.encode(us))
        elif state is _State.DEAD:
            write_atomically(path, msgspec.json.encode(us))
        if not _is_owner(path, us):  # of several that take over at once, the last is
            yield False
            return
        ended = threading.Event()
        signs = threading.Thread(target=_give_signs, args=(path, us, self._patience / _SIGNS, ended))
        signs.daemon = True
        signs.start()
        try:
            yield True
        finally:
            ended.set()
            signs.join()
            if _is_owner(path, us):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Place:
        return self._folder / _mark(name)


def _mark(name: str) -> str:
    return f".{name}.taken"


def _give_signs(path: Place, us: _Owner, pause: float, ended: threading.Event) -> None:
    """Says every so often that the owner is at work, until it is not or another has taken over."""
    while not ended.wait(pause):
        with contextlib.suppress(Exception):  # a bucket out of reach: the next sign may come through
            if not _is_owner(path, us):
                return
            us = msgspec.structs.replace(us, sign=us.sign + 1)
            write_atomically(path, msgspec.json.encode(us))


def _is_owner(path: Place, us: _Owner) -> bool:
    try:
        found = _decoded(path.read_bytes())
    except FileNotFoundError:
        return False
    return found is not None and found.claim == us.claim


def _decoded(content: bytes) -> _Owner | None:
    """None while the file is being written (`write_once`), or if a crash of the machine left it so."""
    try:
        return msgspec.json.decode(content, type=_Owner)
    except msgspec.DecodeError:
        return None


def _left(folder: Place, names: Sequence[str], whole: str | None) -> list[str]:
    there = names_in(folder)
    return [] if whole in there else [name for name in names if name not in there]


def _is_done(folder: Place, name: str, whole: str | None) -> bool:
    return (folder / name).exists() or (whole is not None and (folder / whole).exists())

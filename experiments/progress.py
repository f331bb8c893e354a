"""How far long work is: a bar on a terminal; in a file a line at first, every so often, and at the end.

In a file it reads:

    Scoring with digits_var
    Scoring with digits_var: 320 of 898 images, 10.7 images/s, 54 s left
    Scoring with digits_var: 898 images in 1 min 24 s, 10.7 images/s
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from jaxaudit.runtime.progress import Progress

EVERY = 30.0
"""Seconds between two lines of a file."""


@contextlib.contextmanager
def reported(console: Console, what: str, *, unit: str = "", every: float = EVERY) -> Iterator[Progress]:
    """Shows on `console` how far the body is, which may call what it gets; else the time speaks.

    Args:
      console: a terminal or a file.
      what: what is being done, unless a report says otherwise. Another `what` begins another count.
      unit: what is counted, in the plural.
      every: seconds between two lines of a file.
    """
    state = _State(what, unit)
    with _Bar(console, state) if console.is_terminal else _Lines(console, state, every) as display:

        def report(done: int, total: int, what: str, note: str = "") -> None:
            if what != state.what:
                if state.total:
                    display.end()
                state.begin(what)
                display.begin()
            state.update(done, total, note)
            display.update()

        yield report
        display.end()


class _State:
    """How far one thing is."""

    def __init__(self, what: str, unit: str):
        self.unit = unit
        self.begin(what)

    def begin(self, what: str) -> None:
        self.what, self.note = what, ""
        self.done = self.total = 0
        self.start = time.monotonic()
        self.first: tuple[int, float] | None = None

    def update(self, done: int, total: int, note: str) -> None:
        self.done, self.total, self.note = done, total, note
        if self.first is None:
            self.first = done, time.monotonic()

    def so_far(self) -> str:
        parts = [f"{self.done:,} of {self.total:,} {self.unit}"] if self.total else []
        if rate := self._rate():
            left = (self.total - self.done) / rate
            parts += [f"{rate:,.3g} {self.unit}/s", f"{_duration(left)} left"]
        return self._sentence(parts or [f"{_duration(time.monotonic() - self.start)} so far"])

    def in_all(self) -> str:
        many = f"{self.done:,} {self.unit} " if self.total else ""
        rate = self._rate()
        speed = [f"{rate:,.3g} {self.unit}/s"] if rate else []
        return self._sentence([f"{many}in {_duration(time.monotonic() - self.start)}", *speed])

    def _sentence(self, parts: list[str]) -> str:
        return ", ".join([*parts, self.note] if self.note else parts)

    def _rate(self) -> float:
        """Units per second since the first report: earlier runs and compilation do not count; 0: unknown."""
        if self.first is None:
            return 0.0
        done, then = self.first
        seconds = time.monotonic() - then
        return (self.done - done) / seconds if seconds > 0 else 0.0


class _Lines:
    """For a file. A thread keeps the time, for work may be silent for long (while XLA compiles, say)."""

    def __init__(self, console: Console, state: _State, every: float):
        self._console, self._state, self._every = console, state, every
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> _Lines:
        self.begin()
        self._clock.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._clock.join()

    def begin(self) -> None:
        self._write(self._state.what)

    def update(self) -> None:
        """The clock decides when to say it."""

    def end(self) -> None:
        self._write(f"{self._state.what}: {self._state.in_all()}")

    def _beat(self) -> None:
        while not self._ended.wait(self._every):
            self._write(f"{self._state.what}: {self._state.so_far()}")

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


class _Bar:
    """For a terminal."""

    def __init__(self, console: Console, state: _State):
        text = TextColumn("{task.description}", markup=False)
        count = TextColumn("{task.fields[count]}", markup=False)
        self._state = state
        self._bar = RichProgress(
            SpinnerColumn(), text, BarColumn(), count, TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task(state.what, total=None, count="")

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def begin(self) -> None:
        self._bar.reset(self._task, total=None, description=self._state.what, count="")

    def update(self) -> None:
        state = self._state
        self._bar.update(self._task, completed=state.done, total=state.total or None, count=state.so_far())

    def end(self) -> None:
        total = self._state.total or 1
        self._bar.update(self._task, completed=total, total=total, count=self._state.in_all())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

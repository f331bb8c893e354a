"""How every program ends where it cannot go on: one sentence on stderr, and an exit code.

    2     what was asked for cannot be had, or the system refuses: a file, room on the disk, memory
    130   Ctrl-C
    141   whoever read the output has left (`| head`)

Anything else is a defect of the program and keeps its traceback. Files are written whole or not at all, so
wherever a program ends, what it leaves can be gone on with.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from jaxaudit.errors import InputError, one_line, reason

_REFUSED = 2
_INTERRUPTED = 130  # what shells give for SIGINT
_BROKEN_PIPE = 141  # for SIGPIPE
_BUCKETS = ("aiohttp", "botocore", "gcsfs", "google", "s3fs")  # packages that raise errors of their own
_MOMENT = 0.05  # seconds, after which a callback is over


@contextlib.contextmanager
def plain_exits() -> Iterator[None]:
    """Ends the program as the module says, whatever its body raises."""
    with _interruptible() as interrupt, _quiet_threads():
        try:
            yield
        except SystemExit:
            raise
        except BaseException as error:
            if interrupt.happened or isinstance(error, KeyboardInterrupt):
                _stop("Interrupted.", _INTERRUPTED)
            if isinstance(error, BrokenPipeError):
                leave_quietly()
            if (sentence := _sentence(error)) is None:
                raise
            print(sentence, file=sys.stderr)
            sys.exit(_REFUSED)


def leave_quietly() -> NoReturn:
    """Ends a program whose output nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more
    sys.exit(_BROKEN_PIPE)


class _Interrupt:
    """What Ctrl-C does: raises KeyboardInterrupt where the program is; the second time ends it there.

    Native code may make another error of it: it is remembered, and whatever is raised later means it. A
    callback from native code, such as JAX's at every garbage collection, can only report it and go on: then
    it is raised again a moment later.
    """

    def __init__(self):
        self.happened = self._lost = False

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:
        if self.happened and not self._lost:
            _stop("Interrupted.", _INTERRUPTED)
        self.happened, self._lost = True, False
        sys.unraisablehook, threading.excepthook = self._hear, lambda details: None
        raise KeyboardInterrupt

    def _hear(self, details: sys.UnraisableHookArgs) -> None:
        if issubclass(details.exc_type, KeyboardInterrupt):
            self._lost = True
            main = threading.main_thread().ident
            again = threading.Timer(_MOMENT, signal.pthread_kill, (main, signal.SIGINT))
            again.daemon = True
            again.start()


@contextlib.contextmanager
def _interruptible() -> Iterator[_Interrupt]:
    """Nothing changes where interrupts are ignored (`nohup`), or outside the main thread."""
    earlier = signal.getsignal(signal.SIGINT)
    if isinstance(earlier, _Interrupt):  # a program within the command
        yield earlier
        return
    interrupt = _Interrupt()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if earlier is not signal.default_int_handler or not in_main_thread:
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, earlier)


@contextlib.contextmanager
def _quiet_threads() -> Iterator[None]:
    """What a library's thread raises comes back where the program waits for it; it is not logged before."""

    def keep(record: logging.LogRecord) -> bool:
        return not record.exc_info or record.threadName == threading.main_thread().name

    logger = logging.getLogger("absl")  # Orbax's
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _stop(sentence: str, code: int) -> NoReturn:
    """Ends the program at once: threads of libraries would work on, wait or complain to the last."""
    print(sentence, file=sys.stderr)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _sentence(error: BaseException) -> str | None:
    """What happened, for people; None for a defect of the program."""
    if isinstance(error, InputError):
        return "\n".join([one_line(error.sentence), *map(one_line, error.details)])
    if isinstance(error, OSError) and error.strerror:  # the system's; libraries' own have none
        where = (
            f"{one_line(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        )
        return f"{where}{error.strerror}. What was finished before is kept."
    if type(error).__module__.partition(".")[0] in _BUCKETS:  # what is left when they have tried again
        return f"The bucket cannot be reached ({one_line(reason(error))}). What was finished before is kept."
    exhausted = str(error).startswith("RESOURCE_EXHAUSTED")
    if isinstance(error, MemoryError) or (exhausted and type(error).__name__ == "JaxRuntimeError"):
        return f"There is not enough memory ({one_line(reason(error))})."
    if exhausted:  # TensorStore's, which writes the parameters of targets
        return f"There is no room left on the disk ({textwrap.shorten(one_line(reason(error)), 200)})."
    return None

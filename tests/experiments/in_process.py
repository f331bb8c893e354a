"""Programs run in this process, each with its own flags, as if it were alone.

absl keeps the flags of all programs in one place. Here those of a program are there while it runs, and only
then; whatever other tests have defined comes back afterwards.
"""

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator, Sequence
from unittest import mock

from absl import flags
from absl.testing import flagsaver

from experiments.__main__ import PROGRAMS

_OURS = ("experiments", "checkpoints_convert")


def run(program: str, arguments: Sequence[str]) -> int:
    """The exit code of `jaxaudit PROGRAM ARGUMENTS`; it prints as it would.

    Raises:
      Exception: whatever the program does not turn into an exit code, that is, what would be a traceback.
    """
    module, own = _program(program)
    with _only(own), flagsaver.flagsaver(), mock.patch.object(sys, "argv", [program, *arguments]):
        try:
            module.run()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1 if end.code else 0
    raise AssertionError(f"{program} came back")


@functools.cache
def _program(name):
    """The module of a program, and the flags it defines."""
    with _only({}):
        known = sys.modules.pop(PROGRAMS[name], None)
        module = importlib.import_module(PROGRAMS[name])
        own = _take_away()
        if known is not None:
            sys.modules[PROGRAMS[name]] = known
    return module, own


@contextlib.contextmanager
def _only(own: dict[str, flags.Flag]) -> Iterator[None]:
    others = _take_away()
    _put_back(own)
    try:
        yield
    finally:
        _take_away()
        _put_back(others)


def _take_away() -> dict[str, flags.Flag]:
    """Removes the flags of all programs, and returns them."""
    defined = flags.FLAGS.flags_by_module_dict()
    found = {f.name: f for module, those in defined.items() if module.startswith(_OURS) for f in those}
    found |= {name: flags.FLAGS[name] for name in flags.FLAGS if name in _put}
    for name in found:
        delattr(flags.FLAGS, name)
    return found


_put: set[str] = set()


def _put_back(own: dict[str, flags.Flag]) -> None:
    for name, flag in own.items():
        flags.FLAGS[name] = flag
    _put.update(own)

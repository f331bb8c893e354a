"""How every program starts and how it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from jaxaudit.errors import InputError

_USAGE_ERROR = 2


def run(main: Callable[[Sequence[str]], int | None]) -> NoReturn:
    """Runs `main` under absl; never returns.

    An InputError, an unknown flag or a stray argument becomes one message on stderr and exit code 2. Any
    other exception is a defect of the program and keeps its traceback. Libraries log from WARNING on,
    unless --verbosity says otherwise.
    """

    def guarded(argv: Sequence[str]) -> int | None:
        if len(argv) > 1:
            _fail(f"Unexpected argument {argv[1]!r}; options are written --name=value.")
        try:
            return main(argv)
        except InputError as error:
            _fail(str(error))

    app.run(guarded, flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
    except flags.Error as error:
        _fail(f"{error} (--help lists the options)")
    if flags.FLAGS["verbosity"].using_default_value:  # absl would raise it to INFO
        logging.set_verbosity(logging.WARNING)
    return arguments


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(_USAGE_ERROR)

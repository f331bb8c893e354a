"""How every program starts and explains itself; how it ends is `jaxaudit.exits`.

Flags are absl's. absl's own --help lists those of the main module alone and knows no groups, so the programs
say which flags belong together (`flag_group`) and --help prints all of them.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from absl import app, flags, logging
from rich.console import Console

from jaxaudit.errors import InputError
from jaxaudit.exits import leave_quietly, plain_exits
from jaxaudit.program_cache import keep_programs

_HELP = frozenset({"--help", "-help", "-h", "-?", "--helpshort", "-helpshort"})
_FULL_HELP = frozenset({"--helpfull", "-helpfull"})
_COLUMN = 26  # where descriptions of flags begin
_WIDEST = 100  # lines longer than this are hard to read
_LARGEST = 2**32 - 1  # JAX would take larger seeds for smaller ones
_REQUIRED = "must have a value other than None"  # how absl says it

_GROUPS: dict[str, str] = {}
"""The title under which --help lists a flag."""


def run(main: Callable[[Sequence[str]], int | None]) -> NoReturn:
    """Runs `main` under absl; never returns.

    --help prints the docstring of `main`'s module and all of its flags. An unknown flag, a value that is none
    or a stray argument is an InputError, which ends as `jaxaudit.exits` says. Libraries log from WARNING on,
    unless --verbosity says otherwise. JAX keeps what it compiles (`jaxaudit.program_cache`).
    """
    module = sys.modules[main.__module__]

    def guarded(argv: Sequence[str]) -> int | None:
        if len(argv) > 1:
            raise InputError(f"Unexpected argument {argv[1]!r}; options are written --name=value.")
        keep_programs()
        return main(argv)

    def parse(argv: Sequence[str]) -> list[str]:
        options = set(argv[1 : argv.index("--")] if "--" in argv else argv[1:])
        if options & (_HELP | _FULL_HELP):
            say(help_text(module.__doc__ or "", everything=bool(options & _FULL_HELP)))
            sys.exit()
        return _parse(argv)

    with plain_exits():
        app.run(guarded, flags_parser=parse)
    raise AssertionError("absl's run returned.")


def say(text: str) -> None:
    """Prints; ends the program quietly if whoever reads it has heard enough (`| head`)."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        leave_quietly()


def terminal() -> Console:
    """Where programs say what they found: text stays as it is, brackets and colons of names included."""
    return Console(markup=False, emoji=False)


@contextlib.contextmanager
def flag_group(title: str) -> Iterator[None]:
    """--help lists the flags defined inside under this title; also a decorator of functions that define some.

    Groups stand in the order in which they first get a flag.
    """
    before = set(flags.FLAGS)
    yield
    _GROUPS.update({name: title for name in flags.FLAGS if name not in before})


def help_text(docstring: str, *, everything: bool = False) -> str:
    """What --help prints: the docstring, then every flag in a group, as wide as the terminal.

    Indented paragraphs of the docstring stay as they are. With `everything`, the flags of absl and of
    libraries stand at the end.
    """
    width = terminal_width()
    parts = [
        paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width)
        for paragraph in docstring.strip("\n").split("\n\n")
    ]
    groups: dict[str, list[flags.Flag]] = {title: [] for title in _GROUPS.values()}
    for name, title in _GROUPS.items():
        groups[title].append(flags.FLAGS[name])
    if everything:
        known = {flag.name: flag for flag in map(flags.FLAGS.__getitem__, flags.FLAGS)}
        groups["absl and libraries"] = [known[name] for name in sorted(known) if name not in _GROUPS]
    for title, members in groups.items():
        parts.append("\n".join([f"{title}:", *(_describe(flag, width) for flag in members)]))
    if not everything:
        parts.append("--helpfull also lists the flags of absl and of libraries.")
    return "\n\n".join(parts)


def terminal_width() -> int:
    """Columns that text may fill."""
    return min(shutil.get_terminal_size().columns, _WIDEST)


def entry(name: str, words: str, *, column: int, width: int) -> str:
    """`name`, indented, and from `column` on the words, in lines no longer than `width`."""
    margin = " " * column
    start = f"  {name}".ljust(column)
    if not start.endswith(" "):
        start += f"\n{margin}"
    lines = textwrap.wrap(words, max(width - column, 30), break_long_words=False, break_on_hyphens=False)
    return start + f"\n{margin}".join(lines)


def _describe(flag: flags.Flag, width: int) -> str:
    """One flag: how it is written, what it means, what it is if it is not given."""
    words = flag.help or ""
    if isinstance(flag, flags.EnumFlag):
        choices = "|".join(flag.parser.enum_values)
        words = words.removeprefix(f"<{choices}>: ")  # absl's, which is no place to look for them
        written = f"--{flag.name}={choices}"
        if len(written) > width - 2:
            written, words = f"--{flag.name}=NAME", f"{words} One of {choices.replace('|', ', ')}."
    elif flag.boolean:
        written = f"--[no]{flag.name}"
    else:
        kinds = {"int": "N", "float": "X", "comma separated list of strings": "A,B,..."}
        written = f"--{flag.name}={kinds.get(flag.flag_type(), 'TEXT')}"
    if flag.boolean:
        default = "on" if flag.default else "off"
    elif isinstance(flag.default, list):
        default = ",".join(flag.default)
    else:
        default = "" if flag.default is None else str(flag.default)
    if any(_REQUIRED in validator.message for validator in flag.validators):
        default = "required"
    words += f" [{default}]" if default else ""
    return entry(written, words, column=_COLUMN, width=width)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        arguments = flags.FLAGS(argv)
    except flags.Error as error:
        raise InputError(f"{error} (--help lists the options)") from None
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if isinstance(value, float) and not math.isfinite(value):  # absl's bounds let NaN pass
            raise InputError(f"--{name}={value} is no finite number.")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise InputError(f"--{name}={value} is too large; numbers go to {_LARGEST}.")
    if flags.FLAGS["verbosity"].using_default_value:  # absl would raise it to INFO
        logging.set_verbosity(logging.WARNING)
    return arguments


def whole_numbers(flag: str, texts: Sequence[str]) -> tuple[int, ...]:
    """The value of a flag that lists whole numbers.

    Raises:
      InputError: if one of the texts is none.
    """
    for text in texts:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise InputError(f"--{flag}={','.join(texts)} is not a list of numbers: {text!r}.")
    return tuple(int(text) for text in texts)


def numbers(flag: str, texts: Sequence[str]) -> tuple[float, ...]:
    """The value of a flag that lists numbers; empty texts are none.

    Raises:
      InputError: if one of the texts is none.
    """
    try:
        return tuple(float(text) for text in texts if text)
    except ValueError:
        raise InputError(f"--{flag}={','.join(texts)} are no numbers; write 0.01,0.1 for example.") from None

"""The parts of a source, measured by processes that share a folder, each with running statistics of its own.

    DIRECTORY/state-0.npz           running statistics over some of the parts
    DIRECTORY/part-00007-of-00012   says that a state has that part

A process takes parts as it is free and adds them to its state; one that begins goes on with the state of one
that was killed, if there is any, so there are never more states than processes at a time. When all parts are
in some state, one process makes the result of the states and removes them.

A part must count once. One that two processes have measured, because the first seemed dead, is left out by
the second; where it is in two states nevertheless, or a state was damaged, states are given up and what was
in them is measured again.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

from jaxaudit.audits.localization.running import RunningUnits
from jaxaudit.errors import DamagedFileError, InputError
from jaxaudit.files import write_once
from jaxaudit.paths import Place, names_in
from jaxaudit.runtime.processes import Process
from jaxaudit.runtime.progress import Progress
from jaxaudit.sharing import held, once, share


def share_parts(
    directory: Place,
    parts: Sequence[range],
    measure: Callable[[range, RunningUnits], None],
    make: Callable[[Sequence[RunningUnits]], None],
    *,
    empty: RunningUnits,
    result: str,
    process: Process,
    progress: Progress,
    what: str,
) -> None:
    """Returns when the result is there, made by this process or another.

    Args:
      directory: shared by the processes.
      parts: rows of each.
      measure: adds a part to a state.
      make: makes the result of all states and writes it to `directory`.
      empty: the state before the first part.
      result: the name of the result.
      process: which one this is.
      progress: hears of `what` in rows, those of all processes.
    """
    numbers = {f"part-{i:05d}-of-{len(parts):05d}": i for i in range(len(parts))}
    total, num_subsets = sum(map(len, parts)), len(empty.pictures)

    def heard(left: Collection[str]) -> None:
        progress(total - sum(len(parts[numbers[name]]) for name in left), total, what)

    def finish() -> None:
        states = _consistent(directory, _load(directory, num_subsets, progress))
        if not (directory / result).exists() and _agree(directory, numbers, states):
            make(states)

    with _own_state(directory) as mine:
        marked = names_in(directory)  # before the states, which are written before their marks
        states = _load(directory, num_subsets, progress)
        _agree(directory, {name: i for name, i in numbers.items() if name in marked}, list(states.values()))
        state = states.get(mine, empty)

        def work(name: str) -> None:
            nonlocal state
            number = numbers[name]
            grown = (empty if number in state.parts else state).copy()  # in it, but lost: it was given up
            measure(parts[number], grown)
            grown.parts.append(number)
            if not (directory / name).exists():
                state = grown
                state.save(directory / mine)
                write_once(directory / name, mine.encode())

        while not (directory / result).exists():
            share(directory, list(numbers), work, first=process.first(parts), whole=result, heard=heard)
            once(directory, result, finish)
        for name in names_in(directory):
            if name in numbers or _is_state(name):
                (directory / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _own_state(directory: Place) -> Iterator[str]:
    """The name of a state that no living process has."""
    with contextlib.ExitStack() as stack:
        names = (f"state-{i}.npz" for i in itertools.count())
        yield next(name for name in names if stack.enter_context(held(directory, name)))


def _is_state(name: str) -> bool:
    return name.startswith("state-") and name.endswith(".npz")


def _load(directory: Place, num_subsets: int, progress: Progress) -> dict[str, RunningUnits]:
    """The states; one that cannot be read counts as not there, which `progress` hears of."""
    found = {}
    for name in sorted(filter(_is_state, names_in(directory))):
        try:
            found[name] = RunningUnits.load(directory / name, num_subsets)
        except DamagedFileError as error:
            progress(0, 0, f"{str(error).rstrip('.')}; it is measured again")
        except InputError:
            if (directory / name).exists():  # the system refuses; else another process has removed it
                raise
    return found


def _consistent(directory: Place, states: dict[str, RunningUnits]) -> list[RunningUnits]:
    """The states but for those that hold a part of one before, which are given up."""
    kept, parts = [], set()
    for name, state in states.items():
        if parts.isdisjoint(state.parts):
            kept.append(state)
            parts.update(state.parts)
        else:
            (directory / name).unlink(missing_ok=True)
    return kept


def _agree(directory: Place, numbers: dict[str, int], states: Sequence[RunningUnits]) -> bool:
    """Removes the marks of parts that are in no state; whether there were none."""
    known = {part for state in states for part in state.parts}
    lost = [name for name, number in numbers.items() if number not in known]
    for name in lost:
        (directory / name).unlink(missing_ok=True)
    return not lost

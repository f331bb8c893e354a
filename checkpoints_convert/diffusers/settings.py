"""What the config of a component says, and which of it is understood.

A setting that changes what a network computes and is not known here would be a wrong target. So every setting
is read, has the one value that the network here stands for, does not matter, or is refused.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxaudit.errors import InputError


@dataclasses.dataclass(frozen=True)
class Settings:
    """A config.

    Attributes:
      path: of its file.
      values: its content.
    """

    path: str
    values: Mapping[str, Any]

    def take(
        self,
        read: Mapping[str, Any],
        *,
        only: Mapping[str, Any] | None = None,
        whatever: Collection[str] = (),
    ) -> dict[str, Any]:
        """The settings that are read.

        Args:
          read: {name: default}, or {name: type} of those that must be there, as `value` takes it.
          only: {name: the one value that is understood}; not there is understood.
          whatever: names of settings that do not matter.

        Raises:
          InputError: if one is missing, or has a value that is not understood, and for any other setting that
            is neither null nor false.
        """
        found = {name: self.value(name, default) for name, default in read.items()}
        for name, value in (only or {}).items():
            if self.values.get(name) not in (None, value):
                raise InputError(f"{self.path} has {name}={self.values[name]!r}; only {value!r} is known.")
        names = {*read, *(only or ()), *whatever}
        for name, value in self.values.items():
            if not (name.startswith("_") or name in names or value is None or value is False):
                raise InputError(f"{self.path} has {name}={value!r}, a setting that is not known here.")
        return found

    def value(self, name: str, default: Any) -> Any:
        """A setting.

        Args:
          name: of it.
          default: taken where it is not there or null, and the type of its value; or, where it must be there,
            a type, `list[int]` (each positive), `list[float]` or `list[str]` (of one or more).

        Raises:
          InputError: if it is missing, or has another type.
        """
        value, required = self.values.get(name), isinstance(default, type | types.GenericAlias)
        if value is None and required:
            raise InputError(f"{self.path} does not say {name}.")
        if value is None:
            return default
        kind = default if required else type(default)
        if isinstance(kind, types.GenericAlias):
            return self._list(name, value, *kind.__args__)
        if kind is float and type(value) is int:
            return float(value)
        if kind is not type(None) and type(value) is not kind:
            raise InputError(f"{self.path} has {name}={value!r}; expected a value of type {kind.__name__}.")
        return value

    def per_level(self, name: str, levels: int) -> tuple[int, ...] | None:
        """A positive number for each level, said as one for all of them or as a list; None where not said.

        Raises:
          InputError: if it is something else.
        """
        value = self.values.get(name)
        if value is None:
            return None
        return tuple(self._list(name, value if isinstance(value, list) else [value] * levels, int))

    def check_groups(self, groups: int, channels: Sequence[int]) -> None:
        """Raises InputError if channels cannot be normalised in so many groups, as PyTorch has them."""
        for each in channels:
            if groups < 1 or each % groups:
                raise InputError(f"{self.path} has norm_num_groups={groups}, which does not divide {each}.")

    def _list(self, name: str, value: Any, kind: type) -> list[Any]:
        known = (float, int) if kind is float else (kind,)
        right = isinstance(value, list) and len(value) > 0 and all(type(each) in known for each in value)
        if right and (kind is not int or min(value) >= 1):
            return value
        what = {int: "whole numbers of 1 or more", float: "numbers", str: "names"}[kind]
        raise InputError(f"{self.path} has {name}={self.values[name]!r}; expected one or more {what}.")

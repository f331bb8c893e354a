"""What the config of a component says, and which of it is understood.

A setting that changes what a network computes and is not known here would be a wrong target. So every setting
is read, has the one value that the network here stands for, does not matter, or is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
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
          read: {name: default}, or {name: type} of those that must be there; null is not there. Values have
            the type of their default.
          only: {name: the one value that is understood}; not there is understood.
          whatever: names of settings that do not matter.

        Raises:
          InputError: if one is missing, or has a value that is not understood, and for any other setting that
            is neither null nor false.
        """
        found = {name: self._value(name, default) for name, default in read.items()}
        for name, value in (only or {}).items():
            if self.values.get(name) not in (None, value):
                raise InputError(f"{self.path} has {name}={self.values[name]!r}; only {value!r} is known.")
        names = {*read, *(only or ()), *whatever}
        for name, value in self.values.items():
            if not (name.startswith("_") or name in names or value is None or value is False):
                raise InputError(f"{self.path} has {name}={value!r}, a setting that is not known here.")
        return found

    def _value(self, name: str, default: Any) -> Any:
        value, required = self.values.get(name), isinstance(default, type)
        if value is None and required:
            raise InputError(f"{self.path} does not say {name}.")
        if value is None:
            return default
        kind = default if required else type(default)
        if kind is float and type(value) is int:
            return float(value)
        if kind is not type(None) and type(value) is not kind:
            raise InputError(f"{self.path} has {name}={value!r}; expected a value of type {kind.__name__}.")
        return value

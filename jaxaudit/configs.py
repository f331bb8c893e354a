"""Frozen config dataclasses from and to plain JSON-able dicts (tuples as lists)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxaudit.errors import unknown_name

Config = TypeVar("Config")


def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """The `cls` of these field values; fields left out keep their defaults.

    Raises:
      InputError: if a name is not a field of `cls`, or `cls` rejects a value.
    """
    known = {field.name for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]  # a dataclass
    for name in values:
        if name not in known:
            raise unknown_name(f"{cls.__name__} field", name, known)
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def to_dict(config: Any) -> dict[str, Any]:
    """The field values of a config dataclass, tuples as lists."""
    values = dataclasses.asdict(config)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

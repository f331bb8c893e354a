"""Frozen config dataclasses from and to plain JSON-able dicts (tuples as lists)."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from jaxaudit.errors import InputError, unknown_name

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


def check_sizes(config: Any, *names: str, least: int = 1) -> None:
    """Raises InputError if a field, or an entry of a tuple, is no whole number or less than `least`."""
    for name in names:
        value = getattr(config, name)
        sizes = value if isinstance(value, tuple) else (value,)
        if not sizes or not all(isinstance(size, int | np.integer) and size >= least for size in sizes):
            what = "whole numbers" if isinstance(value, tuple) else "a whole number"
            raise InputError(f"{name}={value!r} must be {what} of {least} or more.")

"""Results as plain data: every result of `jaxaudit.stats` is a frozen dataclass that turns into JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Record:
    """Base of all results."""

    def to_dict(self) -> dict[str, Any]:
        """The record as dicts, lists, strings, numbers, booleans and None: ready for `json.dump`.

        Keys become strings (a false-positive rate 0.01 is the key "0.01").
        """
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value

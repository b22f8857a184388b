"""Nested values by the keys of the command line: ``{"optim": {"lr": 1}}`` is ``{"optim.lr": 1}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value; lists and empty mappings are values."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        below = isinstance(value, Mapping) and value
        found |= flat(value, f"{prefix}{key}.") if below else {f"{prefix}{key}": value}
    return found

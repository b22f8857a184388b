"""JSON files that this project reads again: whatever became of one meanwhile, it is read or it is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

Kind = Callable[[Any], bool]
"""Says whether a value is of a kind."""

LARGEST = 1e100
"""Numbers above are no scores or counts; their squares are still numbers."""


def parse_json(text: str) -> Any:
    """Return the value that a text holds.

    Raises:
        ValueError: it is no JSON, or brackets within brackets to no end, or has numbers that JSON cannot say (NaN).
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("too many brackets within brackets") from error


def read_object(path: Path, required: Mapping[str, Kind], optional: Mapping[str, Kind]) -> dict[str, Any]:
    """Read the object that a file holds; its kinds are those of `check_kinds`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or holds something else; the message names it.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        check_kinds(content, required, optional)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return content


def check_kinds(content: Any, required: Mapping[str, Kind], optional: Mapping[str, Kind]) -> None:
    """Check that something is an object, and its values; optional ones may be null.

    Raises:
        ValueError: one is missing, or of another kind; the message names it.
    """
    if not isinstance(content, dict):
        raise ValueError("it holds no object")
    for key, kind in required.items():
        if key not in content:
            raise ValueError(f"{key} is missing")
        if not kind(content[key]):
            raise ValueError(f"{key} is {shortened(content[key])}")
    for key, kind in optional.items():
        if content.get(key) is not None and not kind(content[key]):
            raise ValueError(f"{key} is {shortened(content[key])}")


def is_text(value: Any) -> bool:
    """Return True for a string."""
    return isinstance(value, str)


def is_whole(value: Any) -> bool:
    """Return True for an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return True for a finite number of a sensible size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def is_mapping(value: Any) -> bool:
    """Return True for an object."""
    return isinstance(value, dict)


def is_texts(value: Any) -> bool:
    """Return True for a list of strings."""
    return isinstance(value, list | tuple) and all(map(is_text, value))


def is_numbers(value: Any) -> bool:
    """Return True for an object of numbers, of which those that were not finite are null."""
    return isinstance(value, dict) and all(inner is None or is_number(inner) for inner in value.values())


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")

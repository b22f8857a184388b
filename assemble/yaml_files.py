"""YAML files, read fast: every start reads recipes, and a report a thousand configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe, and ten times as fast where libyaml is."""
DEEPEST = 100
"""Levels of nesting; libyaml's binding ends the process at some ten thousand."""
LARGEST = 1_000_000
"""Values in a file, each counted as often as aliases repeat it."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values.

    Raises:
        OSError: it cannot be read.
        yaml.YAMLError: it is no YAML, nested too deeply, or its aliases stand for more than memory holds.
    """
    content = path.read_bytes()
    if sum(map(content.count, (b"[", b"{", b"- ", b"? "))) > DEEPEST:
        _check_depth(content)
    try:
        value = yaml.load(content, LOADER)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # Of a value that is none of its kind, the 99th of a month for one.
        raise yaml.YAMLError(f"a value cannot be read ({type(error).__name__}: {error})") from error
    if b"*" in content and expanded_size(value) > LARGEST:
        raise yaml.YAMLError("its aliases stand for too many values")
    return value


def _check_depth(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")


def expanded_size(value: Any) -> float:
    """Return how many values there are with every alias written out; infinite where one contains itself."""
    known: dict[int, float] = {}

    def size(node: Any) -> float:
        if not isinstance(node, dict | list | tuple):
            return 1
        if id(node) not in known:
            known[id(node)] = float("inf")  # until it is known: of a node that is met again inside itself
            known[id(node)] = 1 + sum(map(size, node.values() if isinstance(node, dict) else node))
        return known[id(node)]

    return size(value)

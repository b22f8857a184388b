"""Assertions in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named(case: str) -> Iterator[None]:
    """Let a failure in here name the recipe, or whatever else a loop is at."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"at {case}")
        raise

"""Progress bars and lines on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

BETWEEN = "  "
"""What stands between the parts of a line."""


def bar(what: str, unit: str, over: Iterable[Any] | None = None, *, shown: bool = True, **more: Any) -> Any:
    """Return a bar of tqdm's, over batches or, with ``total``, to be updated by hand. ``more`` is for tqdm."""
    interactive = sys.stderr.isatty()
    return tqdm(
        over,
        desc=what,
        unit=unit,
        disable=not shown,
        dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 10,  # a log file wants a line now and then
        file=sys.stderr,
        **more,
    )


def say(parts: Sequence[tuple[str, int]]) -> None:
    """Print a line that stays, above a bar if there is one. On a terminal it is no longer than that is wide.

    Args:
        parts: of the line, each with its weight: where there is no room for all, the lightest go first.
    """
    width = shutil.get_terminal_size().columns - 1 if sys.stderr.isatty() else None
    tqdm.write(fitted(parts, width), file=sys.stderr)


def fitted(parts: Sequence[tuple[str, int]], width: int | None) -> str:
    """Return the parts as one line of at most ``width`` characters, for which the lightest are left out.

    >>> fitted([("epoch 1/2", 3), ("lr 0.1", 1), ("val 50.0", 2)], 20)
    'epoch 1/2  val 50.0'
    """
    kept = list(parts)
    while width is not None and len(kept) > 1 and len(BETWEEN.join(text for text, _ in kept)) > width:
        kept.remove(min(kept, key=lambda part: part[1]))
    return BETWEEN.join(text for text, _ in kept)[:width]

"""Progress bars on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


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

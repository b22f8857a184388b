"""Freed memory stays with the process (GNU's C library), ready for the next step.

Otherwise what a training step frees, activations and batches, goes back to the kernel and is asked for again in the
next one, page by page: a small training on a CPU took 0.93 of the processor time, and a tenth more memory at its peak
(LOG.md, 2026-11-27).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import MutableMapping

_TRIM, _MMAP = -1, -3
"""What ``mallopt`` sets: how much must be free before it is given back, and from which size on the kernel is asked."""
LIMIT = 2**30
OLD_LIMIT = 2**25
"""The largest size that a C library before 2.35 takes."""
SAID = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "LD_PRELOAD")
"""Variables by which a user says how memory is kept, or brings another allocator."""


def keep_freed(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Keep freed memory, in this process and those that it starts, unless the user has said otherwise.

    Returns whether this process does; it is False where the C library is none of GNU's.
    """
    if any(name in environment for name in SAID):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    environment.update({"MALLOC_TRIM_THRESHOLD_": str(LIMIT), "MALLOC_MMAP_THRESHOLD_": str(LIMIT)})
    return bool(mallopt(_TRIM, LIMIT) and (mallopt(_MMAP, LIMIT) or mallopt(_MMAP, OLD_LIMIT)))

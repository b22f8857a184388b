"""Locks on bytes of open files, which the system gives back when the process ends, however it ends.

POSIX has record locks, Windows those of its C library; what differs between them is here alone.
"""

from __future__ import annotations

import os
import sys
import time
from typing import IO, Any

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""For `os.open`: do not open what a link points to (Windows has no such flag)."""

if sys.platform == "win32":
    import msvcrt

    FAR = 2**20
    """Where the bytes lie that stand for ours: a locked byte cannot be read there, and the file's own are read."""

    def try_lock(file: IO[Any], byte: int = 0, *, shared: bool = False) -> bool:
        """Take a byte of a file for this process; returns whether nobody else has it. ``shared``: others may, too.

        Raises:
            OSError: the file system has no locks.
        """
        place = file.tell()
        try:
            file.seek(FAR + byte)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            file.seek(place)
        return True

else:
    import fcntl

    def try_lock(file: IO[Any], byte: int = 0, *, shared: bool = False) -> bool:
        """Take a byte of a file for this process; returns whether nobody else has it. ``shared``: others may, too.

        Raises:
            OSError: the file system has no locks.
        """
        # Record locks, not flock: loader workers that outlive a killed run for a moment must not keep it.
        try:
            fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True


def lock(file: IO[Any], byte: int = 0) -> None:
    """Take a byte of a file for this process, when nobody else has it any more."""
    while not try_lock(file, byte):
        time.sleep(0.02)

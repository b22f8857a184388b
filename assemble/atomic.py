"""Files that are there whole or not at all, and work that one process does for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from assemble import file_locks

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | file_locks.NO_LINK | getattr(os, "O_BINARY", 0)
"""How a temporary file is opened: made by this call, and no link to a file elsewhere."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write ``path``: a reader, or the next run after a crash, sees the old file or the new one, never half of one.

    Several processes may write the same file: the last one wins. Where ``path`` is a link, the link is replaced.

    Raises:
        OSError: it cannot be written; names ``path``, and the old file is still there.
    """
    # In the same folder, since only within one file system is a file exchanged at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed and had the same number
        with os.fdopen(os.open(temporary, NEW, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a whole file at once, text as UTF-8. Raises as `whole_file` does."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_torn(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing; nobody else may be writing in ``folder``."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let in one process at a time: the ranks of a run and the jobs of a sweep begin together."""
    with lock.open("w") as handle:
        file_locks.lock(handle)
        yield

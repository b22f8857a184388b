"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write ``path``: a reader, or the next run after a crash, sees the old file or the new one, never half of one.

    Raises:
        OSError: it cannot be written; names ``path``, and the old file is still there.
    """
    # In the same folder, since only within one file system is a file exchanged at once. A run has one writer, so one
    # name will do: what a killed run leaves behind is overwritten by the next.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)

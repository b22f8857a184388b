"""The list of a large folder of images, kept in one file that all processes of a machine map into memory.

It stands for the folder as long as each folder in it is the same and has the same times: to add, remove or rename
anything changes those of the folder that it is in. Times that are younger than `SETTLED` are not trusted, since a
further change might leave them as they are.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from assemble.atomic import alone, whole_file
from assemble.data.scan import EXTENSIONS, Stamp, stamp_of
from assemble.errors import UserError
from assemble.ranks import one_of_several

LARGE = 100_000
"""Images from which on a list is kept: the folder of fewer is read in a third of a second."""
SETTLED = 3.0
"""Seconds: some file systems count no finer than two."""
VERSION = 1


@dataclass(frozen=True)
class FileList:
    """Images of a folder."""

    files: np.ndarray
    """Paths in it (N,), as bytes."""
    labels: np.ndarray
    """(N,) int64."""
    left_out: Counter[str]
    """What else lies there."""
    stamps: Mapping[str, Stamp]
    """Each folder that was read, as it was before."""


def kept_list(
    folder: Path, names: Sequence[str], classes: Sequence[str], top: Path, find: Callable[[], FileList]
) -> FileList:
    """Return what ``find`` finds in a folder; of a large one kept in ``top`` until a folder changes.

    Of several ranks of a machine, one finds it for all. Where ``top`` cannot be written nothing is kept.

    Args:
        folder: where the class folders are.
        names: of those that are read.
        classes: which the labels are positions in.
        top: the cache.
        find: reads the folders.
    """
    parts = [str(VERSION), str(folder.resolve()), *EXTENSIONS, "", *names, "", *classes]
    path = top / "lists" / sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]
    if found := _read(path):
        return found
    with _lock(path) if one_of_several() else nullcontext():
        if found := _read(path):
            return found
        found = find()
        if len(found.files) < LARGE or not _settled(found.stamps):
            return found
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, found)
            return _read(path) or found
    return found


def _lock(path: Path) -> AbstractContextManager[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".lock").touch()
    except OSError:
        return nullcontext()
    return alone(path.with_suffix(".lock"))


def _settled(stamps: Mapping[str, Stamp]) -> bool:
    youngest = max(max(times) for _, _, *times in stamps.values())
    return youngest < (time.time() - SETTLED) * 1e9


def _write(path: Path, found: FileList) -> None:
    about = {
        "count": len(found.files),
        "width": found.files.dtype.itemsize,
        "left_out": found.left_out,
        "stamps": {os.fsencode(name).decode("latin-1"): stamp for name, stamp in found.stamps.items()},
    }
    head = json.dumps(about).encode()
    head += b" " * (-(8 + len(head)) % 8)
    with whole_file(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.write(np.ascontiguousarray(found.labels, np.int64).view(np.uint8).data)
        file.write(np.ascontiguousarray(found.files).view(np.uint8).data)


def _read(path: Path) -> FileList | None:
    """Return a list that was kept, unless a folder has changed."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = 8 + int.from_bytes(mapped[:8], "little")
        about = json.loads(mapped[8:start])
        stamps = {os.fsdecode(name.encode("latin-1")): tuple(stamp) for name, stamp in about["stamps"].items()}
        if any(stamp_of(name) != stamp for name, stamp in stamps.items()):
            return None
        count = about["count"]
        labels = np.frombuffer(mapped, np.int64, count, start)
        files = np.frombuffer(mapped, f"S{about['width']}", count, start + labels.nbytes)
    except (OSError, UserError, ValueError, KeyError, TypeError, AttributeError):  # gone, or damaged
        return None
    return FileList(files, labels, Counter(about["left_out"]), stamps)

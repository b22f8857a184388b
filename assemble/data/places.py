"""Where the bytes of images are: in files of their own, or within archives."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from assemble.data.decode import BadImageError, content, unreadable
from assemble.errors import UserError

HEADER, TAIL = 1 << 16, 16
"""Bytes that hold the header of most images, and those by which an end is known."""
OPEN = 256
"""Archives that a process keeps open."""


class Place(Protocol):
    """Where the bytes of one image are. As a text it is how messages name it."""

    def read(self) -> bytes:
        """Return all of them.

        Raises:
            UserError: the disk does not give them.
            BadImageError: they are there, and cannot be unpacked.
        """
        ...

    def ends(self) -> tuple[bytes, bytes]:
        """Return the first (`HEADER`) and the last ones (`TAIL`). Raises as `read`."""
        ...


def cannot_read(place: Place, error: BadImageError) -> UserError:
    """Return what is said of an image that is none, or damaged."""
    return UserError(
        f"cannot read the image {place} ({error}): replace it, or remove it (data.on_bad_image=skip leaves it out)"
    )


class Places(Protocol):
    """Where the bytes of each image of a split are."""

    def __getitem__(self, index: int, /) -> Place: ...

    def sizes(self, indices: Sequence[int]) -> np.ndarray:
        """Return how many bytes the images of some indices have (N,)."""
        ...

    def stats(self) -> np.ndarray:
        """Return numbers (N, M) for each image, of which one changes when it is exchanged."""
        ...

    def kept(self, which: np.ndarray) -> Self:
        """Return the places of some images alone: ``which`` is a mask or positions."""
        ...


@dataclass(frozen=True, slots=True)
class File:
    """A file of its own."""

    path: str

    def __str__(self) -> str:
        return self.path

    def read(self) -> bytes:
        return content(self.path)

    def ends(self) -> tuple[bytes, bytes]:
        try:
            with io.FileIO(self.path) as file:
                head = file.read(HEADER) or b""
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
                return head, file.readall()
        except OSError as error:
            raise unreadable(self.path, error) from None

    def stat(self) -> tuple[int, int]:
        """Return size and time."""
        try:
            about = os.stat(self.path)  # noqa: PTH116 - pathlib takes ten times as long
        except OSError as error:
            raise unreadable(self.path, error) from error
        return about.st_size, about.st_mtime_ns


class FilesIn:
    """Files by their paths in ``folder`` (`os.fsencode`)."""

    def __init__(self, folder: Path, files: np.ndarray) -> None:
        self.folder, self.files = folder, files

    def __getitem__(self, index: int) -> File:
        # With pathlib it would take ten times as long, longer than to read the file.
        return File(f"{self.folder}/{os.fsdecode(self.files[index])}")

    def sizes(self, indices: Sequence[int]) -> np.ndarray:
        return np.array([self[index].stat()[0] for index in indices], np.int64)

    def stats(self) -> np.ndarray:
        return np.array([self[index].stat() for index in range(len(self.files))])

    def kept(self, which: np.ndarray) -> FilesIn:
        return FilesIn(self.folder, self.files[which])


@dataclass(frozen=True)
class Archive:
    """A file with many images in it, as it was when they were looked for. ``size`` in bytes, ``time`` in ns."""

    path: str
    size: int
    time: int

    @classmethod
    def at(cls, path: Path) -> Archive:
        try:
            about = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        return cls(str(path), about.st_size, about.st_mtime_ns)

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on.

        Raises:
            UserError: it cannot be read, or is another one by now.
        """
        try:
            opened = _opened(self)  # which is closed when nobody has it
            data = os.pread(opened.number, length, offset)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if len(data) < length:
            raise self.changed()
        return data

    def changed(self) -> UserError:
        return UserError(f"{self.path} has changed since this run began: start it again, on an archive that stays")


class _Opened:
    """A file's number, until nobody needs it: another thread may be reading while it is put aside."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@lru_cache(OPEN)
def _opened(archive: Archive) -> _Opened:
    # Forked workers share the number, and may: a read at a given place moves nothing.
    opened = _Opened(archive.path)
    about = os.fstat(opened.number)
    if (about.st_size, about.st_mtime_ns) != (archive.size, archive.time):
        raise archive.changed()
    return opened


WHERE = np.dtype(
    [("archive", np.int64), ("offset", np.int64), ("length", np.int64), ("size", np.int64), ("deflated", np.int64)]
)
"""Of a member: the position of its archive in a list, where its bytes begin, how many there are, how many they become
when unpacked, and whether they must be (0 or 1)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A part of an archive. ``name`` is that of the image."""

    archive: Archive
    name: str
    offset: int
    length: int
    size: int
    deflated: bool

    def __str__(self) -> str:
        return f"{self.archive.path}:{self.name}"

    def read(self) -> bytes:
        data = self.archive.read(self.offset, self.length)
        return self._inflated(data) if self.deflated else data

    def _inflated(self, data: bytes) -> bytes:
        try:
            data = zlib.decompress(data, -zlib.MAX_WBITS, self.size)
        except zlib.error as error:
            raise BadImageError(f"it cannot be decompressed: {error}") from None
        if len(data) != self.size:
            raise BadImageError(f"it has {len(data):,} bytes and not {self.size:,}, as the archive says")
        return data

    def ends(self) -> tuple[bytes, bytes]:
        if self.deflated:
            data = self.read()
            return data[:HEADER], data[-TAIL:]
        tail = min(TAIL, self.length)
        head = self.archive.read(self.offset, min(HEADER, self.length))
        return head, self.archive.read(self.offset + self.length - tail, tail)


class Members:
    """Parts of archives.

    Args:
        archives: these.
        files: names of the images (`os.fsencode`).
        where: as many `WHERE`.
    """

    def __init__(self, archives: Sequence[Archive], files: np.ndarray, where: np.ndarray) -> None:
        self.archives, self.files, self.where = tuple(archives), files, where

    def __getitem__(self, index: int) -> Member:
        archive, offset, length, size, deflated = self.where[index].item()
        return Member(self.archives[archive], os.fsdecode(self.files[index]), offset, length, size, bool(deflated))

    def sizes(self, indices: Sequence[int]) -> np.ndarray:
        return self.where["size"][indices].astype(np.int64)

    def stats(self) -> np.ndarray:
        about = np.array([(archive.size, archive.time) for archive in self.archives]).reshape(-1, 2)
        return np.column_stack([about[self.where["archive"]], *(self.where[name] for name in ("offset", "length"))])

    def kept(self, which: np.ndarray) -> Members:
        return Members(self.archives, self.files[which], self.where[which])

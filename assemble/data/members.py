"""What is in a tar or a zip, and where: read once from end to end of its headers, nothing is unpacked."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, normpath
from typing import IO

from assemble.data.decode import unreadable
from assemble.errors import UserError
from assemble.progress_bar import bar

ARCHIVES = (".tar", ".zip")
"""How the names of archives end that are looked into."""
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a file begins that is compressed as a whole."""
BLOCK = 512
LOCAL = struct.Struct("<4s22xHH")
"""Of a zip's member: signature, and the lengths of its name and of what follows that."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive, or a folder where ``folder`` says so."""

    name: str
    """Its path, without ``./``."""
    offset: int = 0
    """Where its bytes begin."""
    length: int = 0
    """How many there are."""
    size: int = 0
    """How many they become when they are unpacked."""
    deflated: bool = False
    folder: bool = False

    @property
    def where(self) -> tuple[int, int, int, int]:
        return self.offset, self.length, self.size, int(self.deflated)


@dataclass(frozen=True, slots=True)
class _Link:
    """Stands for what it leads to, as in an unpacked archive."""

    name: str
    target: str


def members(path: Path) -> list[Entry]:
    """Return what is in an archive. Of several members of one name the last counts, as when it is unpacked.

    Raises:
        UserError: it cannot be read, is cut off or damaged, or cannot be read at random.
    """
    found: dict[str, Entry | _Link] = {}
    try:
        size = path.stat().st_size
        with path.open("rb") as file, bar(f"looking into {path.name}", "member", delay=2) as progress:
            for entry in _entries(file, path, size):
                found[entry.name] = entry
                progress.update()
    except OSError as error:
        raise unreadable(path, error) from error
    return [_followed(one, found, path) for one in found.values()]


def tar_within(path: Path, outer: Entry) -> list[Entry]:
    """Return what is in a tar that is itself a member of a tar, by offsets in the latter. Raises as `members`."""
    try:
        with path.open("rb") as file:
            found = {e.name: e for e in _tar(file, f"{path}:{outer.name}", outer.offset, outer.offset + outer.length)}
    except OSError as error:
        raise unreadable(path, error) from error
    return [_followed(one, found, path) for one in found.values()]


def _followed(entry: Entry | _Link, found: dict[str, Entry | _Link], path: Path) -> Entry:
    """Return what an entry stands for.

    Raises:
        UserError: a link leads to a folder, or to nothing in the archive.
    """
    name = entry.name
    for _ in range(40):  # no circle is longer than what a file system follows
        if isinstance(entry, Entry):
            if entry.folder and entry.name != name:
                break
            return Entry(name, *entry.where[:3], deflated=entry.deflated, folder=entry.folder)
        if entry.target not in found:
            break
        entry = found[entry.target]
    raise UserError(
        f"{path} has a link, {name}, to no file in it: make the archive of what links lead to (tar --dereference)"
    )


def _entries(file: IO[bytes], path: Path, size: int) -> Iterator[Entry | _Link]:
    start = file.read(8)
    for begin, name in COMPRESSED.items():
        if start.startswith(begin):
            raise UserError(
                f"{path} is compressed as a whole ({name}), so its images cannot be read at random: unpack it, or make "
                "it a plain .tar"
            )
    return _zip(file, path, size) if start.startswith((b"PK\3\4", b"PK\5\6")) else _tar(file, str(path), 0, size)


def _path(name: str) -> str:
    return normpath(name.lstrip("/") or ".")


def broken(path: str | Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged or cut off ({reason}): copy or download it again")


def _tar(file: IO[bytes], path: str, start: int, end: int) -> Iterator[Entry | _Link]:
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[assignment] - which it would keep, all of them
                name = _path(member.name)
                if member.isreg() and member.offset_data + member.size > end:
                    raise broken(path, f"{name} is not whole")
                if member.issparse():
                    raise UserError(f"{path} keeps {name} as a sparse file: make the tar without --sparse")
                if member.isdir():
                    yield Entry(name, folder=True)
                elif member.issym():
                    yield _Link(name, _path(f"{dirname(name)}/{member.linkname}"))
                elif member.islnk():
                    yield _Link(name, _path(member.linkname))
                elif member.isreg():
                    yield Entry(name, member.offset_data, member.size, member.size)
            # The library takes whatever is no header for the end.
            file.seek(tar.offset)
            last = file.read(BLOCK)
            if tar.offset + BLOCK > end or len(last) < BLOCK or any(last):
                raise broken(path, f"its end is missing after byte {tar.offset - start:,}")
    except (tarfile.TarError, ValueError) as error:
        raise broken(path, str(error)) from error


def _zip(file: IO[bytes], path: Path, size: int) -> Iterator[Entry | _Link]:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = _path(member.filename)
                if member.is_dir():
                    yield Entry(name, folder=True)
                    continue
                if member.flag_bits & 1:
                    raise UserError(f"{path} is encrypted: unpack it, or make it anew without a password")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UserError(
                        f"{path} has {name} compressed by method {member.compress_type}: store or deflate it"
                    )
                file.seek(member.header_offset)
                header = file.read(LOCAL.size)
                signature, *lengths = LOCAL.unpack(header) if len(header) == LOCAL.size else (b"", 0, 0)
                offset = member.header_offset + LOCAL.size + sum(lengths)
                if signature != b"PK\3\4" or offset + member.compress_size > size:
                    raise broken(path, f"{name} is not where it should be")
                if stat.S_ISLNK(member.external_attr >> 16):
                    target = archive.read(member).decode("utf-8", "surrogateescape")
                    yield _Link(name, _path(f"{dirname(name)}/{target}"))
                    continue
                deflated = member.compress_type == zipfile.ZIP_DEFLATED
                yield Entry(name, offset, member.compress_size, member.file_size, deflated)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError) as error:
        raise broken(path, str(error)) from error

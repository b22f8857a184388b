"""What lies in folders: images, other folders, and what is left out, which is counted."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import features

from assemble.errors import UserError


def _decodes(feature: str) -> bool:
    return (feature in features.modules or feature in features.codecs) and bool(features.check(feature))


EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
    *([".avif"] if _decodes("avif") else []),
    *([".jp2"] if _decodes("jpg_2000") else []),
)
"""Of the files that are taken for images: those that this Pillow decodes."""
IMAGE, FOLDER = "image", "folder"
HIDDEN, SPECIAL, AGAIN = "hidden", "no regular file", "linked folder that is read already"
BESIDE_CLASSES = " beside the folders of the classes"
SHOWN = 5
"""Kinds of what is left out that are told apart."""

Identity = tuple[int, int]
"""Device and inode of a folder."""
Stamp = tuple[int, int, int, int]
"""The same, with the times at which it was changed, in nanoseconds: of its entries, and of anything about it."""


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """List a folder, in no order.

    Raises:
        UserError: it cannot be read; what it holds would be missing without a word.
    """
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path | str, error: OSError) -> UserError:
    return UserError(f"cannot read the folder {folder} ({error.strerror}): make it readable, or remove it")


def kind(entry: os.DirEntry[str]) -> str:
    """Return `IMAGE`, `FOLDER`, or as what an entry of a folder is left out: its suffix, in most cases.

    Hidden files and folders are copies and thumbnails that other programs keep. A link to nothing with an image's
    suffix is an image, which cannot be read.
    """
    by_name = kind_by_name(entry.name)
    if by_name == HIDDEN:
        return HIDDEN
    try:
        if not entry.is_file():
            if entry.is_dir():
                return FOLDER
            if os.path.exists(entry.path):  # noqa: PTH110
                return SPECIAL  # a pipe would be waited for
    except PermissionError as error:
        raise _unreadable(entry.path, error) from error
    except OSError:
        pass  # a link to itself
    return by_name


def kind_by_name(name: str) -> str:
    """Return `IMAGE`, or as what a file of this name is left out."""
    if name.startswith("."):
        return HIDDEN
    if name.lower().endswith(EXTENSIONS):
        return IMAGE
    return os.path.splitext(name)[1].lower() or "without a suffix"  # noqa: PTH122


@dataclass
class Scan:
    """The images below the class folders of a folder, and what was left out."""

    images: dict[str, np.ndarray]
    """Class -> images as paths in the folder (N,), as bytes (`os.fsencode`): torchvision's, in its order."""
    left_out: Counter[str] = field(default_factory=Counter)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    """Folder -> what it was like before it was read."""

    def read(self, folder: str) -> Identity:
        """Note what a folder is like that is about to be read; return which one it is."""
        self.stamps[folder] = stamp_of(folder)
        return self.stamps[folder][:2]


def scan(folder: Path, classes: Sequence[str]) -> Scan:
    """Find the images of ``folder/<class>/`` and their sub-folders. Links to folders are followed.

    No folder is read twice, so that no image gets two classes or stands for several: not one that a link leads to
    again, nor those that this one lies in.

    Raises:
        UserError: a folder cannot be read; two classes are the same folder.
    """
    result = Scan(dict.fromkeys(classes, np.empty(0, "S1")))
    start = len(str(folder)) + 1
    result.stamps[str(folder)] = stamp_of(folder)
    seen = {stamp_of(parent)[:2] for parent in (folder.resolve(), *folder.resolve().parents)}
    own: dict[Identity, str] = {}
    for name in classes:
        if (other := own.setdefault(result.read(f"{folder}/{name}"), name)) != name:
            raise UserError(f"{folder / name} and {folder / other} are the same folder: an image has one class")
    seen |= own.keys()
    linked_from: dict[str, list[tuple[str, str]]] = {}  # images of the classes that links bring more to
    waiting = deque((name, f"{folder}/{name}", False) for name in classes)
    while waiting:  # links last: what they lead to may come without them
        name, path, linked = waiting.popleft()
        if linked:
            if (identity := result.read(path)) in seen:
                result.left_out[AGAIN] += 1
                continue
            seen.add(identity)
        links, found = [], linked_from.get(name, [])
        for parent, entry, what in _below(path, seen, result):
            if what == IMAGE:
                found.append((parent, entry.name))
            else:
                links.append(f"{parent}/{entry.name}")
        waiting.extend((name, link, True) for link in sorted(links))
        if linked or links:
            linked_from[name] = found
        else:
            result.images[name] = _packed(found, start)  # at once: millions of strings take gigabytes
    for entry in entries(folder):
        if (what := kind(entry)) != FOLDER:
            result.left_out[what + BESIDE_CLASSES] += 1
    result.images |= {name: _packed(found, start) for name, found in linked_from.items()}
    return result


def _packed(found: Sequence[tuple[str, str]], start: int) -> np.ndarray:
    """Return paths from (folder, file), sorted by folder and file, without their first ``start`` characters."""
    return np.array([os.fsencode(f"{parent[start:]}/{file}") for parent, file in sorted(found)] or np.empty(0, "S1"))


def _below(path: str, seen: set[Identity], result: Scan) -> Iterator[tuple[str, os.DirEntry[str], str]]:
    """Yield (folder, entry, `IMAGE` or `FOLDER`) of the images and the linked folders below a folder."""
    folders = [path]
    while folders:
        parent = folders.pop()
        for entry in entries(parent):
            what = kind(entry)
            if what == IMAGE or (what == FOLDER and entry.is_symlink()):
                yield parent, entry, what
            elif what != FOLDER:
                result.left_out[what] += 1
            elif (identity := result.read(entry.path)) not in seen:
                seen.add(identity)
                folders.append(entry.path)
            else:
                result.left_out[AGAIN] += 1


def stamp_of(folder: Path | str) -> Stamp:
    """Return what tells whether a folder is the same, with the same entries.

    Raises:
        UserError: it cannot be read.
    """
    try:
        about = os.stat(folder)  # noqa: PTH116
    except OSError as error:
        raise _unreadable(folder, error) from error
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


def in_words(left_out: Mapping[str, int]) -> str:
    """Say how much was left out, and as what, the most frequent first: "12 .txt, 3 hidden"."""
    most = Counter(left_out).most_common()
    rest = sum(count for _, count in most[SHOWN:])
    return ", ".join(f"{count:,} {what}" for what, count in [*most[:SHOWN], *([("others", rest)] if rest else [])])

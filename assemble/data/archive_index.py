"""Indices of archives: which image is where, found once and mapped into memory by every process after that."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from assemble.atomic import alone
from assemble.data.class_map import placed
from assemble.data.image_files import ImageFiles
from assemble.data.places import WHERE, Archive, Members
from assemble.data.scan import EXTENSIONS
from assemble.errors import UserError

VERSION = 1
"""Of what an index holds."""
BESIDE = ".assemble"
"""Folder beside archives that has their indices."""
ARRAYS = ("files", "labels", "where")


@dataclass(frozen=True)
class Table:
    """The images of one split, in the order of folders: by class, then by folder and name.

    Attributes:
        classes: names, in the order of the labels.
        files: names of the images (N,), as `os.fsencode` has them: class/file.
        labels: positions in ``classes``, int64 (N,).
        where: `WHERE` (N,).
        left_out: what else is there (`assemble.data.splits.OnDisk`).
    """

    classes: Sequence[str]
    files: np.ndarray
    labels: np.ndarray
    where: np.ndarray
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        images: Iterable[tuple[int, str, tuple[int, ...]]],
        left_out: Mapping[str, int] | None = None,
    ) -> Table:
        """Make one of (label, name, `WHERE`) of each image, in any order."""
        images = sorted(images, key=lambda image: (image[0], *image[1].rpartition("/")[::2]))
        return cls(
            classes,
            np.array([os.fsencode(name) for _, name, _ in images]),
            np.array([label for label, _, _ in images], np.int64),
            np.array([where for _, _, where in images], WHERE),
            left_out or {},
        )


@dataclass(frozen=True)
class Archived:
    """One split within archives (`assemble.data.parts.Part`). ``path`` is how messages name it."""

    path: Path
    table: Table
    archives: Sequence[Archive]

    def __str__(self) -> str:
        return str(self.path)

    def classes(self) -> list[str]:
        return list(self.table.classes)

    def images(self, classes: list[str], name: str, only: Collection[str] | None = None) -> ImageFiles:
        kept, labels = placed(self.table.labels, self.table.classes, classes, only, str(self.path))
        files = self.table.files[kept]
        places = Members(self.archives, files, self.table.where[kept])
        return ImageFiles(self.path, files, labels, name=name, left_out=self.table.left_out, places=places)


def indexed(
    layout: str,
    files: Sequence[Path],
    find: Callable[[], Mapping[str, Table]],
    cache: Path,
    beside: Sequence[Path] = (),
) -> tuple[dict[str, Table], list[Archive]]:
    """Return split -> images in archives, by their index, and the archives.

    The index is beside the first of them or, where nothing can be written there, in ``cache``. Of several processes
    one makes it. Size and time of all files are in its name, so that one of other files is never taken.

    Args:
        layout: how ``find`` looks at them.
        files: the archives, in the order of `WHERE`.
        find: looks into them.
        cache: a folder.
        beside: other files that ``find`` reads.

    Raises:
        UserError: of ``find``; no folder can be written to.
    """
    archives = [Archive.at(path) for path in files]
    read = [*archives, *map(Archive.at, beside)]
    state = [[Path(file.path).name, file.size, file.time] for file in read]
    place = str(files[0].absolute())
    for folder, where in ((files[0].parent / BESIDE, ""), (cache / "indices", place)):
        stem = f"{files[0].name}-{layout}" + (f"-{_digits(where)}" if where else "")
        path = folder / f"{stem}-{_digits([VERSION, layout, EXTENSIONS, state])}"
        try:
            if (tables := _load(path)) is not None:
                return tables, archives
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder / f"{stem}.lock"):
                if (tables := _load(path)) is None:
                    _save(path, find())
                    tables = _load(path)
                    _remove_others(path, stem)
        except OSError as error:
            if not where:
                continue
            raise UserError(
                f"the index of {files[0]} cannot be kept in {folder} ({error.strerror}): set data.cache_dir to a "
                "folder that can be written to"
            ) from error
        if tables is not None:
            return tables, archives
    raise UserError(f"the index of {files[0]} cannot be read again from {cache / 'indices'}: set data.cache_dir")


def _digits(of: object) -> str:
    return sha256(json.dumps(of).encode()).hexdigest()[:16]


def _save(path: Path, tables: Mapping[str, Table]) -> None:
    """Write an index, of which nobody sees a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)  # which could not be read
    try:
        aside.mkdir()
        for number, table in enumerate(tables.values()):
            for name in ARRAYS:
                np.save(aside / f"{number}-{name}.npy", getattr(table, name), allow_pickle=False)
        about = {split: {"classes": list(t.classes), "left_out": dict(t.left_out)} for split, t in tables.items()}
        (aside / "index.json").write_text(json.dumps(about), encoding="utf-8")
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _load(path: Path) -> dict[str, Table] | None:
    """Map an index into memory; None where there is none that can be read."""
    with suppress(OSError, ValueError, KeyError):
        about = json.loads((path / "index.json").read_text(encoding="utf-8"))
        tables = {}
        for i, (split, one) in enumerate(about.items()):
            files, labels, where = (np.asarray(np.load(path / f"{i}-{name}.npy", mmap_mode="r")) for name in ARRAYS)
            tables[split] = Table(one["classes"], files, labels, where, one["left_out"])
        return tables
    return None


def _remove_others(path: Path, stem: str) -> None:
    """Remove indices of the same archives as they were before; who has them mapped keeps them."""
    for other in path.parent.iterdir():
        if other != path and other.name.rpartition("-")[0] == stem:
            shutil.rmtree(other, ignore_errors=True)

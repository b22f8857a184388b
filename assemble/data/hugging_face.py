"""Data sets in the form of Hugging Face's library `datasets`: folders of parquet or arrow files, or the Hub's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from assemble.data.archive_index import Table
from assemble.data.cache_folder import cache_folder
from assemble.data.held_out import from_train, parted
from assemble.data.image_files import ImageFiles
from assemble.data.parts import class_names, name_in_class
from assemble.data.places import HEADER, TAIL, File
from assemble.data.remote import is_remote, root_of
from assemble.data.splits import Source
from assemble.errors import UserError
from assemble.schema import DataConfig

SPLITS = {"train": ("train",), "val": ("validation", "val", "valid", "dev"), "test": ("test",)}
LABELS = ("label", "labels", "class")
"""What a column of labels may be called that is not typed as one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in a column (`assemble.data.places.Place`)."""

    images: Cells
    row: int
    name: str

    def __str__(self) -> str:
        return f"{self.images.called}:{self.name}"

    def read(self) -> bytes:
        return self.images.read(self.row)

    def ends(self) -> tuple[bytes, bytes]:
        data = self.read()
        return data[:HEADER], data[-TAIL:]


class Cells:
    """Images in a column of an arrow table, mapped into memory (`assemble.data.places.Places`).

    Args:
        column: chunks of ``bytes``, or of ``path`` where there are none.
        files: names of the images, in their order.
        rows: which they are in the column.
        called: how messages name the split.
        fingerprint: changes with the content.
    """

    def __init__(self, column: Any, files: np.ndarray, rows: np.ndarray, called: str, fingerprint: int) -> None:
        self.column, self.files, self.rows = column, files, rows
        self.called, self.fingerprint = called, fingerprint
        self._bytes = [chunk.field("bytes") for chunk in column.chunks]
        self._starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])

    def read(self, row: int) -> bytes:
        chunk = int(np.searchsorted(self._starts, row, "right")) - 1
        cell = self._bytes[chunk][row - int(self._starts[chunk])]
        return cell.as_py() if cell.is_valid else self._file(row).read()

    def _file(self, row: int) -> File:
        path = self.column[row].as_py()
        if not path or not path["path"]:
            raise UserError(f"{self.called} has neither bytes nor a path of the image in row {row}: remove the row")
        return File(path["path"])

    def __getitem__(self, index: int) -> Cell:
        return Cell(self, int(self.rows[index]), self.files[index].decode("utf-8", "replace"))

    def sizes(self, indices: Sequence[int]) -> np.ndarray:
        import pyarrow
        import pyarrow.compute as pc

        lengths = pyarrow.chunked_array([pc.call_function("binary_length", [part]) for part in self._bytes])
        sizes = np.asarray(lengths.fill_null(-1).cast("int64").to_numpy())[self.rows[indices]]
        for i in np.flatnonzero(sizes < 0):
            sizes[i] = self._file(int(self.rows[indices][i])).stat()[0]
        return sizes

    def stats(self) -> np.ndarray:
        sizes = self.sizes(range(len(self.rows)))
        return np.column_stack([sizes, self.rows, np.full(len(sizes), self.fingerprint)])

    def kept(self, which: np.ndarray) -> Cells:
        return Cells(self.column, self.files[which], self.rows[which], self.called, self.fingerprint)


def open_hf(cfg: DataConfig) -> Source:
    """Open what `datasets.load_dataset` gives for ``data.root``: a folder, a store, or NAME or NAME:CONFIG on the Hub.

    Raises:
        UserError: it cannot be loaded, or has no column of images or of labels.
    """
    if not cfg.root:
        raise UserError("data=hf needs data.root: a folder of parquet or arrow files, or a name on Hugging Face's Hub")
    found = _loaded(cfg)
    splits: dict[str, Any] = {}
    for split, names in SPLITS.items():
        for name in names:
            if name in found and split not in splits:
                splits[split] = found[name]
    if "train" not in splits or (not from_train(cfg) and "val" not in splits):
        lacking = "val" if "train" in splits else "train"
        raise UserError(
            f"{cfg.root} has no split {' or '.join(SPLITS[lacking])} (it has {', '.join(found)})"
            + (": data.val_share=0.1 takes the validation images from train" if lacking == "val" else "")
        )
    tables = {split: _table(f"{cfg.root} {split}", data, split) for split, data in splits.items()}
    classes = list(next(iter(tables.values()))[0].classes)
    images: dict[str, ImageFiles] = {}
    for split, pair in tables.items():
        if pair[0].files.size:
            images[split] = _images(split, *pair, classes).as_asked(cfg)
    return parted(classes, images, cfg)


def _library() -> Any:
    try:
        return import_module("datasets")
    except ImportError as error:
        raise UserError("data=hf needs the library datasets: pip install -e '.[hf]'") from error


def _loaded(cfg: DataConfig) -> Any:
    """Return split -> `datasets.Dataset`."""
    datasets = _library()
    assert cfg.root is not None
    root = root_of(cfg, lambda name: name.endswith((".parquet", ".arrow", ".json")))
    cache = str(cache_folder(cfg) / "datasets") if cfg.cache_dir else None
    try:
        if root.is_dir() and any((root / name).is_file() for name in ("dataset_dict.json", "state.json")):
            found: Any = datasets.load_from_disk(str(root))
        elif root.exists() or is_remote(cfg.root):
            found = datasets.load_dataset(str(root), cache_dir=cache)
        else:
            name, _, config = cfg.root.partition(":")
            found = datasets.load_dataset(name, config or None, cache_dir=cache)
    except Exception as error:  # of the network, the disk or the library
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"data.root={cfg.root} cannot be loaded ({reason}): name a folder or what the Hub has"
        ) from error
    return found if isinstance(found, dict) else {"train": found}


def _table(called: str, data: Any, split: str) -> tuple[Table, Cells]:
    """Return names and labels of the images of a split, in the order of folders, and the images."""
    datasets = _library()

    column = _image_column(called, data)
    data = data.cast_column(column, datasets.Image(decode=False))
    if data._indices is not None:
        data = data.flatten_indices()
    label = _label_column(called, data)
    values, feature = data.data.column(label).to_pylist(), data.features[label]
    if split == "test" and all(value in (-1, None) for value in values):
        values = []  # the labels are kept secret
    if any(value is None or value == -1 for value in values):
        raise UserError(f"{called} has images without a {label}: remove them")
    if isinstance(feature, datasets.ClassLabel):
        classes = list(feature.names)
        labels = [int(value) for value in values]
    else:
        classes = class_names({str(value) for value in values}) if values else []
        place = {name: number for number, name in enumerate(classes)}
        labels = [place[str(value)] for value in values]
    cells = data.data.column(column)
    names, digits = [], len(str(len(labels)))
    for row, (number, path) in enumerate(zip(labels, _paths(cells), strict=False)):
        names.append(name_in_class(classes[number], path or f"{row:0{digits}d}"))
    if len({*names}) < len(names):
        names = [
            f"{name.rpartition('/')[0]}/{row:0{digits}d}-{name.rpartition('/')[2]}" for row, name in enumerate(names)
        ]
    rows = enumerate(zip(labels, names, strict=True))
    table = Table.of(classes, [(number, name, (0, row, 0, 0, 0)) for row, (number, name) in rows])
    fingerprint = int(str(data._fingerprint)[:12].encode().hex()[:15], 16)
    return table, Cells(cells, table.files, table.where["offset"].astype(np.int64), called, fingerprint)


def _images(split: str, table: Table, cells: Cells, classes: list[str]) -> ImageFiles:
    if unknown := {*table.classes} - {*classes}:
        raise UserError(f"{cells.called} has the class {min(unknown)}, which is none of the training images")
    labels = np.array([classes.index(one) for one in table.classes], np.int64)[table.labels]
    return ImageFiles(Path(cells.called), table.files, labels, name=split, places=cells)


def _paths(column: Any) -> list[str | None]:
    return [path for chunk in column.chunks for path in chunk.field("path").to_pylist()]


def _image_column(called: str, data: Any) -> str:
    datasets = _library()

    def is_image(feature: Any) -> bool:
        packed = isinstance(feature, dict) and {*feature} == {"bytes", "path"}
        return isinstance(feature, datasets.Image) or packed or getattr(feature, "dtype", "") == "binary"

    return _only(
        called, data, "images", [name for name, feature in data.features.items() if is_image(feature)], "image"
    )


def _label_column(called: str, data: Any) -> str:
    datasets = _library()

    typed = [name for name, feature in data.features.items() if isinstance(feature, datasets.ClassLabel)]
    return _only(called, data, "labels", typed or [name for name in LABELS if name in data.features], "label")


def _only(called: str, data: Any, what: str, found: Sequence[str], preferred: str) -> str:
    if preferred in found or len(found) == 1:
        return preferred if preferred in found else found[0]
    have = "several columns" if found else "no column"
    raise UserError(
        f"{called} has {have} of {what} ({', '.join(found or data.features)}): call the one that counts {preferred}"
    )

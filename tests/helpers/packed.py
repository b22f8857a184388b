"""One small data set in folders, and the same packed: a tar, a zip, archives of splits, WebDataset's shards."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cow")
COUNTS = {"train": 7, "val": 3, "test": 2}
"""Images of each class: numbers that no batch and no shard divides."""


def write_folders(root: Path, side: int = 20, counts: dict[str, int] = COUNTS) -> Path:
    """root/{train,val,test}/{ant,bee,cow}/*, of several formats, one of them in a folder of its own."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for number, name in enumerate(CLASSES):
            (root / split / name / "more").mkdir(parents=True)
            for i in range(count):
                file = root / split / name / ("more" if i == 1 else "") / f"{i}{('.jpg', '.png', '.JPEG')[i % 3]}"
                coarse = rng.integers(0, 256, (4, 4 + number, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((side + i, side), Image.Resampling.BICUBIC).save(file)
    return root


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def tar_of(folder: Path, path: Path, within: str = "") -> Path:
    """Pack a folder in another order than that of its names."""
    with tarfile.open(path, "w") as tar:
        for file in files_of(folder)[::-1]:
            tar.add(file, Path(within) / file.relative_to(folder))
    return path


def zip_of(folder: Path, path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in files_of(folder)[::-1]:
            archive.write(file, file.relative_to(folder))
    return path


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    tar.addfile(about, io.BytesIO(data))


def write_shards(folder: Path, root: Path, split: str, *, count: int = 3, label: str = "number") -> list[Path]:
    """Deal the images of a split out to shards ``root/split-00000N.tar``; the keys are their paths in the split.

    Args:
        label: number or name, in key.cls, or json.
    """
    files = files_of(folder / split)[::-1]
    shards = [root / f"{split}-{number:06d}.tar" for number in range(count)]
    for number, shard in enumerate(shards):
        with tarfile.open(shard, "w") as tar:
            for file in files[number::count]:
                name = file.relative_to(folder / split).as_posix()
                of = name.partition("/")[0]
                key = name.rpartition(".")[0]
                written = of if label == "name" else str(CLASSES.index(of))
                if label == "json":
                    add(tar, f"{key}.json", json.dumps({"label": int(written), "more": 1}).encode())
                else:
                    add(tar, f"{key}.cls", written.encode())
                add(tar, name, file.read_bytes())
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return shards


def packed(make: Callable[[Path, Path], object]) -> Callable[[Path, Path], Path]:
    """Return a function of the folders and an empty folder, which packs there and returns ``data.root``."""

    def ready(folders: Path, root: Path) -> Path:
        root.mkdir(parents=True)
        found = make(folders, root)
        return found if isinstance(found, Path) else root

    return ready


def _each(folders: Path, pack: Callable[[str], object], splits: Iterable[str] = COUNTS) -> None:
    for split in splits:
        if (folders / split).is_dir():
            pack(split)


PACKINGS: dict[str, Callable[[Path, Path], Path]] = {
    "tar": packed(lambda f, root: tar_of(f, root / "all.tar")),
    "tar in a folder": packed(lambda f, root: tar_of(f, root / "all.tar", "./all")),
    "zip": packed(lambda f, root: zip_of(f, root / "all.zip")),
    "deflated zip": packed(lambda f, root: zip_of(f, root / "all.zip", zipfile.ZIP_DEFLATED)),
    "tars": packed(lambda f, root: _each(f, lambda s: tar_of(f / s, root / f"{s}.tar"))),
    "tars in a folder": packed(lambda f, root: _each(f, lambda s: tar_of(f / s, root / f"{s}.tar", s))),
    "zips": packed(lambda f, root: _each(f, lambda s: zip_of(f / s, root / f"{s}.zip"))),
    "shards": packed(lambda f, root: _each(f, lambda s: write_shards(f, root, s))),
    "shards with names": packed(lambda f, root: _each(f, lambda s: write_shards(f, root, s, label="name"))),
    "shards with JSON": packed(lambda f, root: _each(f, lambda s: write_shards(f, root, s, label="json"))),
}
"""How the folders are packed -> a function that does it."""

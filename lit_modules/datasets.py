"""The data sets: scikit-learn's digits, and folders of pictures. A new one is a function in `SOURCES`.

A split has ``labels`` (N,) and hands picture i to a crop with ``load(i, crop)``: an opened PIL image, decoded only when
the crop knows what it needs of it, or a uint8 array (H, W, 3).
"""

from __future__ import annotations

import gzip
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from conf.schema import DataConfig
from core.errors import UserError
from core.names import suggest
from lit_modules.sampler import Draw, picture_rng
from lit_modules.transforms import center_crop_resize, pad_and_shift, random_flip, random_resized_crop

if TYPE_CHECKING:
    from tricks.base import DataTrick

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
LAYOUT = "expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg (test/ is optional)"


Crop = Callable[[Any], np.ndarray]
RandomCrop = Callable[[Any, np.random.Generator], np.ndarray]


class Split(Protocol):
    """Labelled pictures."""

    labels: np.ndarray

    def load(self, index: int, crop: Crop) -> np.ndarray: ...


@dataclass(frozen=True)
class Source:
    """A data set: its classes, its splits, and how a picture of it is cropped (exchange these for other protocols)."""

    classes: list[str]
    train: Split
    val: Split
    test: Split
    train_crop: RandomCrop
    eval_crop: Crop


class TrainSet:
    """Augmented pictures, by (epoch, draw, index): crop, flip, then tricks -> (uint8 (H, W, 3), label, index).

    Everything follows from these three numbers and the seed. So does the strength of a trick that moves: it goes by the
    epoch, and no worker need be told.
    """

    def __init__(
        self,
        split: Split,
        crop: RandomCrop,
        *,
        flip: float = 0.0,
        tricks: Sequence[DataTrick] = (),
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.crop = crop
        self.flip = flip
        self.tricks = tuple(tricks)
        self.epochs = epochs
        self.seed = seed

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, int, int]:
        epoch, _, index = draw
        rng = picture_rng(self.seed, draw)
        tricks = [trick.at(epoch / self.epochs) for trick in self.tricks]
        picture = self.split.load(index, lambda whole: self.crop(whole, rng))
        picture = random_flip(picture, rng, probability=self.flip)
        for trick in tricks:
            picture = trick.augment(picture, rng)
        return picture, int(self.split.labels[index]), index


class EvalSet:
    """Pictures as they are scored, by index -> (uint8 (H, W, 3), label)."""

    def __init__(self, split: Split, crop: Crop) -> None:
        self.split = split
        self.crop = crop

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.split.load(index, self.crop), int(self.split.labels[index])


class Digits:
    """Some of scikit-learn's 8x8 digits (values 0 to 16), enlarged bilinearly, as three equal channels."""

    def __init__(self, chosen: np.ndarray, size: int) -> None:
        images, labels = read_digits()
        grey = np.round(images[chosen] * (255 / 16)).astype(np.uint8)
        enlarged = [Image.fromarray(g).resize((size, size), Image.Resampling.BILINEAR) for g in grey]
        self.pictures = np.stack([np.asarray(e) for e in enlarged])[..., None]  # (N, size, size, 1)
        self.labels = labels[chosen]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return crop(self.pictures[index].repeat(3, axis=2))


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8) and labels (1797,), the same as ``sklearn.datasets.load_digits``.

    Read from the file that scikit-learn ships: importing scikit-learn takes a second, this 30 milliseconds.
    """
    package = importlib.util.find_spec("sklearn")
    folders = (package.submodule_search_locations if package else None) or []
    for file in (Path(folder) / "datasets" / "data" / "digits.csv.gz" for folder in folders):
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
            return table[:, :-1].reshape(-1, 8, 8).astype(np.float64), table[:, -1]
    from sklearn.datasets import load_digits  # the file is elsewhere in this version

    images, labels = load_digits(return_X_y=True)
    return np.asarray(images).reshape(-1, 8, 8), np.asarray(labels, dtype=np.int64)


def split_digits(labels: np.ndarray, held_out: int = 300) -> dict[str, np.ndarray]:
    """Indices of the splits: ``held_out`` each for val and test, stratified, and the same for every run.

    Sorted by class (shuffled within), the pictures fall into ``held_out`` runs of equal length; each run gives its
    first to val and its second to test, so every class is represented in proportion.
    """
    n = len(labels)
    order = np.lexsort((np.random.default_rng(0).permutation(n), labels))
    run = np.arange(n) * held_out // n
    place = np.arange(n) - np.searchsorted(run, run)
    return {"train": order[place > 1], "val": order[place == 0], "test": order[place == 1]}


def digits(cfg: DataConfig) -> Source:
    """Scikit-learn's handwritten digits: 1,197 to train, 300 to validate, 300 to test."""
    chosen = split_digits(read_digits()[1])
    return Source(
        classes=[str(c) for c in range(10)],
        **{name: Digits(indices, cfg.image_size) for name, indices in chosen.items()},
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad),
        eval_crop=np.asarray,  # the whole picture
    )


class ImageFolder:
    """The pictures of ``folder/<class>/``, in sorted order. Labels are positions in ``classes``."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        files, labels = [], []
        for name in class_folders(folder):
            if name not in classes:
                raise UserError(f"{folder / name} is no class of the training pictures: add it to train/, or remove it")
            found = sorted(e.name for e in os.scandir(folder / name) if is_picture(e.name))
            if not found:
                raise UserError(
                    f"{folder / name} has no pictures ({', '.join(EXTENSIONS)}): add some, or remove the folder"
                )
            files += [os.fsencode(f"{name}/{file}") for file in found]
            labels += [classes.index(name)] * len(found)
        self.folder = folder
        # One array, not a million strings: workers share it, since reading it touches no reference counts.
        self.files = np.array(files)
        self.labels = np.array(labels)

    def path(self, index: int) -> Path:
        return self.folder / os.fsdecode(self.files[index])

    def load(self, index: int, crop: Crop) -> np.ndarray:
        path = self.path(index)
        try:
            with Image.open(path) as picture:
                return crop(picture)
        except Exception:
            check_readable(path)
            raise  # the picture is fine, so the crop is not


def check_readable(path: Path) -> None:
    """Raise `UserError` where the file cannot be decoded."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"cannot read the picture {path} ({reason}): replace it, or remove it") from None


def is_picture(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def class_folders(folder: Path) -> list[str]:
    """Sorted names of the sub-folders; raises `UserError` where there are none."""
    if not folder.is_dir():
        raise UserError(f"data.root has no {folder.name}/ folder ({folder}): {LAYOUT}")
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise UserError(f"{folder} has no class folders: {LAYOUT}")
    return names


def imagefolder(cfg: DataConfig) -> Source:
    """Your own pictures: one folder a class, under train/, val/ and perhaps test/ (without it, test is val)."""
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=DIR: {LAYOUT}")
    root = Path(cfg.root).expanduser()
    if not root.is_dir():
        raise UserError(f"data.root={cfg.root} is not a folder: {LAYOUT}")
    classes = class_folders(root / "train")
    class_folders(root / "val")  # before the long scan of train/
    train, val = ImageFolder(root / "train", classes), ImageFolder(root / "val", classes)
    return Source(
        classes=classes,
        train=train,
        val=val,
        test=ImageFolder(root / "test", classes) if (root / "test").is_dir() else val,
        train_crop=partial(random_resized_crop, size=cfg.image_size, scale=cfg.crop_scale, ratio=cfg.crop_ratio),
        eval_crop=partial(center_crop_resize, size=cfg.image_size, share=cfg.eval_crop),
    )


def imagenet(cfg: DataConfig) -> Source:
    """ImageNet-1k (ILSVRC 2012): as `imagefolder`, with exactly 1,000 classes."""
    if (
        cfg.root
        and (folder := Path(cfg.root).expanduser() / "train").is_dir()
        and (n := len(class_folders(folder))) != 1000
    ):
        raise UserError(f"data=imagenet expects 1000 class folders in {folder}, found {n}: use data=imagefolder")
    return imagefolder(cfg)


SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "digits": digits,
    "imagefolder": imagefolder,
    "imagenet": imagenet,
}
FOLDERS = frozenset({"root", "crop_scale", "crop_ratio", "eval_crop"})
OWN_KEYS = {"digits": frozenset({"crop_pad"}), "imagefolder": FOLDERS, "imagenet": FOLDERS}
"""Keys of `DataConfig` that only some data sets read, by data set; the others are for all of them."""


def open_source(cfg: DataConfig) -> Source:
    """The data set that ``data.name`` says."""
    if cfg.name not in SOURCES:
        raise UserError(suggest("data set", cfg.name, SOURCES))
    return SOURCES[cfg.name](cfg)

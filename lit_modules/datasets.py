"""The data sets: scikit-learn's digits, folders of pictures, and torchvision's (`lit_modules.fgvc`, `.cifar`).

A new one is a function in `SOURCES`.

A split has ``labels`` (N,) and hands picture i to a crop with ``load(i, crop)``: an opened `Picture`, decoded only when
the crop knows what it needs of it, or a uint8 array (H, W, 3).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from conf.schema import DataConfig, Interpolation, Preprocessing, ScoredSplit
from core.errors import UserError, require
from core.names import suggest
from lit_modules.official import central_crop, distorted_crop, opencv
from lit_modules.pictures import Picture
from lit_modules.sampler import Draw, rng_of
from lit_modules.transforms import center_crop_resize, pad_and_shift, random_resized_crop, resize

if TYPE_CHECKING:
    from tricks.base import DataTrick

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
LAYOUT = "expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg (test/ is optional)"

Crop = Callable[[Any], np.ndarray]
"""Picture -> uint8 or float32 (H, W, 3) on the 0-255 scale."""
RandomCrop = Callable[[Any, np.random.Generator, int], np.ndarray]
"""Picture, generator, size -> uint8 (size, size, 3), flips included."""
TRAIN_CROPS = {Preprocessing.torchvision: random_resized_crop, Preprocessing.official: distorted_crop}
"""Of folders of pictures."""
EVAL_CROP = 0.875
"""Side of the evaluation crop over the shorter side of the resized picture, where nothing else is said."""


class Split(Protocol):
    """Labelled pictures."""

    labels: np.ndarray

    def load(self, index: int, crop: Crop) -> np.ndarray: ...

    def digest(self) -> str:
        """Hex digits for which pictures these are, in which order: results stored by position belong to them alone."""
        ...


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
    """Augmented pictures, by (epoch, draw, index): crop and flip, then tricks -> (uint8 (H, W, 3), label, index).

    Everything follows from these three numbers and the seed. So does the strength of a trick that moves: it goes by the
    epoch, and no worker need be told.
    """

    def __init__(
        self,
        split: Split,
        crop: RandomCrop,
        size: int,
        *,
        tricks: Sequence[DataTrick] = (),
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.crop = crop
        self.size = size
        self.tricks = tuple(tricks)
        self.epochs = epochs
        self.seed = seed

    def __len__(self) -> int:
        return len(self.split.labels)

    def tricks_at(self, epoch: int) -> list[DataTrick]:
        """The tricks as they are in an epoch."""
        return [trick.at(epoch / self.epochs) for trick in self.tricks]

    def size_at(self, epoch: int) -> int:
        """Side of an epoch's pictures in pixels."""
        return self._size(self.tricks_at(epoch))

    def _size(self, tricks: Sequence[DataTrick]) -> int:
        size = self.size
        for trick in tricks:
            size = trick.size(size)
        return size

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, int, int]:
        epoch, _, index = draw
        rng = rng_of(self.seed, *draw)
        tricks = self.tricks_at(epoch)
        size = self._size(tricks)
        picture = self.split.load(index, lambda whole: self.crop(whole, rng, size))
        for trick in tricks:
            picture = trick.augment(picture, rng)
        return picture, int(self.split.labels[index]), index


class EvalSet:
    """Pictures as they are scored, by index -> (uint8 or float32 (H, W, 3), label)."""

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
        self.grey, self.labels = grey, labels[chosen]

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return crop(self.pictures[index].repeat(3, axis=2))

    def digest(self) -> str:
        return digest_of(self.grey, self.labels)


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
        train_crop=partial(pad_and_shift, pad=cfg.crop_pad, flip=cfg.flip),
        eval_crop=partial(resize, size=cfg.scored_size),
    )


class PictureFiles:
    """Picture files, by their paths in ``folder`` (`os.fsencode`), with their labels."""

    def __init__(self, folder: Path, files: list[bytes], labels: list[int]) -> None:
        self.folder = folder
        # One array, not a million strings: workers share it, since reading it touches no reference counts.
        self.files = np.array(files)
        self.labels = np.array(labels)

    def path(self, index: int) -> str:
        # With pathlib it would take ten times as long, longer than to read the file.
        return f"{self.folder}/{os.fsdecode(self.files[index])}"

    def load(self, index: int, crop: Crop) -> np.ndarray:
        return load(self.path(index), crop)

    def digest(self) -> str:
        """Of names and labels: reading every picture would take as long as an epoch."""
        return digest_of(self.files, self.labels)


class ImageFolder(PictureFiles):
    """The pictures below ``folder/<class>/``, in torchvision's order. Labels are positions in ``classes``."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        files, labels = [], []
        for name in class_folders(folder):
            if name not in classes:
                raise UserError(f"{folder / name} is no class of the training pictures: add it to train/, or remove it")
            found = pictures_below(folder, name)
            if not found:
                raise UserError(
                    f"{folder / name} has no pictures ({', '.join(EXTENSIONS)}): add some, or remove the folder"
                )
            files += [os.fsencode(file) for file in found]
            labels += [classes.index(name)] * len(found)
        super().__init__(folder, files, labels)


def digest_of(*arrays: np.ndarray) -> str:
    """Hex digits of what is in the arrays."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def load(path: str | Path, crop: Crop) -> np.ndarray:
    """What a crop makes of a picture file.

    Raises:
        UserError: it cannot be decoded, or not be cropped; names the file.
    """
    try:
        return crop(Picture.read(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception:
        check_readable(path)
        raise  # the picture is fine, so the crop is not


def check_readable(path: str | Path) -> None:
    """Raise `UserError` where the file cannot be decoded."""
    try:
        Picture.read(path).decode()
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        known = not isinstance(error, UnidentifiedImageError)
        reason = (" ".join(str(error).split()) or type(error).__name__) if known else "its format is unknown"
        raise UserError(f"cannot read the picture {path} ({reason}): replace it, or remove it") from None


def pictures_below(folder: Path, name: str) -> list[str]:
    """The pictures of ``folder/name`` and its sub-folders, as paths in ``folder``: torchvision's, in its order.

    Hidden files and folders are left out: they are copies and thumbnails that other programs keep.
    """
    found = []
    for parent, folders, files in os.walk(folder / name, followlinks=True):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [(parent, file) for file in files if file.lower().endswith(EXTENSIONS) and not file.startswith(".")]
    start = len(str(folder)) + 1
    return [f"{parent[start:]}/{file}" for parent, file in sorted(found)]


def eval_size(cfg: DataConfig) -> tuple[int, int]:
    """Side of the evaluation crop, and length to which the shorter side of the picture is resized before."""
    size, share, short = cfg.scored_size, cfg.eval_crop, cfg.eval_resize
    require(
        (
            share is None or short is None,
            f"data.eval_crop={share} and data.eval_resize={short} both say how far pictures are resized before the "
            "evaluation crop: set one of them to null",
        ),
        (
            short is None or short >= size,
            f"data.eval_resize={short} is smaller than the crop of {size} pixels that is taken from it: raise it, or "
            "lower data.eval_size",
        ),
    )
    return size, short or int(size / (EVAL_CROP if share is None else share))


def crops(cfg: DataConfig) -> tuple[RandomCrop, Crop]:
    """The train and the eval crop of pictures of any size."""
    train_crop = partial(TRAIN_CROPS[cfg.preprocessing], scale=cfg.crop_scale, ratio=cfg.crop_ratio, flip=cfg.flip)
    return train_crop, eval_crop(cfg)


def eval_crop(cfg: DataConfig) -> Crop:
    """The crop on which a picture of any size is scored."""
    size, short = eval_size(cfg)
    bicubic = cfg.eval_interpolation is Interpolation.bicubic
    if cfg.preprocessing is Preprocessing.official:
        require((not bicubic, "data.preprocessing=official is bilinear: leave data.eval_interpolation=bicubic out"))
        opencv()  # refuses a version that would not do, before anything is loaded
        return partial(central_crop, size=size, short=short)
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return partial(center_crop_resize, size=size, short=short, how=how)


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
    train_crop, scored_crop = crops(cfg)
    train, val = ImageFolder(root / "train", classes), ImageFolder(root / "val", classes)
    return Source(
        classes=classes,
        train=train,
        val=val,
        test=ImageFolder(root / "test", classes) if (root / "test").is_dir() else val,
        train_crop=train_crop,
        eval_crop=scored_crop,
    )


@dataclass(frozen=True)
class Scored:
    """Pictures to be scored, with the names of their classes and their crop."""

    classes: list[str]
    pictures: Split
    crop: Crop


def open_scored(cfg: DataConfig, split: ScoredSplit, classes: list[str] | None = None) -> Scored:
    """The pictures of one split alone: folders need no train/ then, and are not searched for pictures of others.

    Args:
        cfg: the ``data`` part of the configuration.
        split: test or val.
        classes: names of folders in the order of the labels; None: those of train/ where it is, else the split's own.

    Raises:
        UserError: as `open_source`.
    """
    if SOURCES.get(cfg.name) in (imagefolder, imagenet) and cfg.root and Path(cfg.root).expanduser().is_dir():
        root = Path(cfg.root).expanduser()
        folder = root / ("test" if split is ScoredSplit.test and (root / "test").is_dir() else "val")
        # Labels are positions among the classes that were trained, where those can be seen.
        named = root / "train" if (root / "train").is_dir() else folder
        classes = classes or class_folders(named)
        if cfg.name == "imagenet":
            _check_imagenet(named, classes)
        return Scored(classes, ImageFolder(folder, classes), eval_crop(cfg))
    source = open_source(cfg)
    return Scored(source.classes, source.test if split is ScoredSplit.test else source.val, source.eval_crop)


def imagenet(cfg: DataConfig) -> Source:
    """ImageNet-1k (ILSVRC 2012): as `imagefolder`, with exactly 1,000 classes."""
    if cfg.root and (folder := Path(cfg.root).expanduser() / "train").is_dir():
        _check_imagenet(folder, class_folders(folder))
    return imagefolder(cfg)


def _check_imagenet(folder: Path, classes: Sequence[str]) -> None:
    if len(classes) != 1000:
        raise UserError(
            f"data=imagenet expects 1000 class folders in {folder}, found {len(classes)}: use data=imagefolder"
        )


def cifar10(cfg: DataConfig) -> Source:
    """CIFAR-10."""
    from lit_modules.cifar import open_cifar10

    return open_cifar10(cfg)


def fgvc(cfg: DataConfig) -> Source:
    """One of torchvision's fine-grained data sets."""
    from lit_modules.fgvc import open_fgvc

    return open_fgvc(cfg)


FGVC = ("food101", "stanford_cars", "flowers102", "fgvc_aircraft", "oxford_pets")
SOURCES: dict[str, Callable[[DataConfig], Source]] = {
    "digits": digits,
    "cifar10": cifar10,
    "imagefolder": imagefolder,
    "imagenet": imagenet,
    "imagenet21k": imagefolder,
    **dict.fromkeys(FGVC, fgvc),
}
FOLDERS = frozenset(
    {"root", "preprocessing", "crop_scale", "crop_ratio", "eval_crop", "eval_resize", "eval_interpolation"}
)
OWN_KEYS = {
    "digits": frozenset({"crop_pad"}),
    "cifar10": frozenset({"root", "crop_pad"}),
    "imagefolder": FOLDERS,
    "imagenet": FOLDERS,
    "imagenet21k": FOLDERS,
    **dict.fromkeys(FGVC, FOLDERS | {"download"}),
}
"""Keys of `DataConfig` that only some data sets read, by data set; the others are for all of them."""


def open_source(cfg: DataConfig) -> Source:
    """The data set that ``data.name`` says, with the share of its training pictures that is asked for."""
    from lit_modules.reduced import reduced

    if cfg.name not in SOURCES:
        raise UserError(suggest("data set", cfg.name, SOURCES))
    return reduced(SOURCES[cfg.name](cfg), cfg)

"""The data sets by name. A new one is a function in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assemble.data.crops import eval_crop
from assemble.data.digits import digits
from assemble.data.folders import ImageFolder, check_imagenet, class_folders, imagefolder, imagenet
from assemble.data.splits import Crop, Source, Split
from assemble.errors import UserError
from assemble.schema import DataConfig, ScoredSplit
from assemble.suggest import suggest


@dataclass(frozen=True)
class Scored:
    """Images to be scored, with the names of their classes and their crop."""

    classes: list[str]
    images: Split
    crop: Crop


def open_scored(cfg: DataConfig, split: ScoredSplit, classes: list[str] | None = None) -> Scored:
    """The images of one split alone: folders need no train/ then, and are not searched for images of others.

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
            check_imagenet(named, classes)
        return Scored(classes, ImageFolder(folder, classes), eval_crop(cfg))
    source = open_source(cfg)
    return Scored(source.classes, source.test if split is ScoredSplit.test else source.val, source.eval_crop)


def cifar10(cfg: DataConfig) -> Source:
    """CIFAR-10."""
    from assemble.data.cifar import open_cifar10

    return open_cifar10(cfg)


def fgvc(cfg: DataConfig) -> Source:
    """One of torchvision's fine-grained data sets."""
    from assemble.data.fgvc import open_fgvc

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
    """The data set that ``data.name`` says, with the share of its training images that is asked for."""
    from assemble.data.train_share import reduced

    if cfg.name not in SOURCES:
        raise UserError(suggest("data set", cfg.name, SOURCES))
    return reduced(SOURCES[cfg.name](cfg), cfg)

"""Folders of images, one for each class, read in torchvision's order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assemble.data.crops import crops
from assemble.data.image_files import ImageFiles
from assemble.data.scan import EXTENSIONS, FOLDER, entries, kind, scan
from assemble.data.splits import Source, Split
from assemble.data.train_share import Subset, share_of_each_class
from assemble.errors import UserError
from assemble.schema import DataConfig

LAYOUT = (
    "expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg (test/ is optional; data.val_share=0.1 takes the "
    "validation images from train/)"
)


class ImageFolder(ImageFiles):
    """The images below ``folder/<class>/``, in torchvision's order. Labels are positions in ``classes``.

    Raises:
        UserError: a class is not among ``classes``, or has no images; a folder cannot be read.
    """

    def __init__(self, folder: Path, classes: list[str], name: str = "") -> None:
        names = class_folders(folder)
        for one in names:
            if one not in classes:
                raise UserError(f"{folder / one} is no class of the training images: add it to train/, or remove it")
        found = scan(folder, names)
        files, labels = [], []
        for one, images in found.images.items():
            if not images:
                raise UserError(
                    f"{folder / one} has no images ({', '.join(EXTENSIONS)}): add some, or remove the folder"
                )
            files += [os.fsencode(file) for file in images]
            labels += [classes.index(one)] * len(images)
        super().__init__(folder, files, labels, name=name, left_out=found.left_out)


def class_folders(folder: Path) -> list[str]:
    """Return the sorted names of the sub-folders; raises `UserError` where there are none, or it cannot be read."""
    if not folder.is_dir():
        raise UserError(f"data.root has no {folder.name}/ folder ({folder}): {LAYOUT}")
    names = sorted(entry.name for entry in entries(folder) if kind(entry) == FOLDER)
    if not names:
        raise UserError(f"{folder} has no class folders: {LAYOUT}")
    return names


def imagefolder(cfg: DataConfig) -> Source:
    """Open your own images: one folder a class, under train/, val/ and perhaps test/ (without it, test is val).

    With ``data.val_share`` the validation images are that share of train/'s; what is scored is test/, or val/, and
    where there is neither, the same share. A folder of class folders alone is train/ then.
    """
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=DIR: {LAYOUT}")
    root = Path(cfg.root).expanduser()
    if not root.is_dir():
        raise UserError(f"data.root={cfg.root} is not a folder: {LAYOUT}")
    parts = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    if cfg.val_share is not None and not parts:
        parts["train"] = root
    classes = class_folders(parts.get("train", root / "train"))
    if cfg.val_share is None:
        class_folders(root / "val")  # before the long scan of train/
    images = {name: ImageFolder(folder, classes, name).as_asked(cfg) for name, folder in parts.items()}
    train: Split = images["train"]
    if cfg.val_share is None:
        val: Split = images["val"]
        test: Split = images.get("test", val)
    else:
        held_out = share_of_each_class(train.labels, cfg.val_share, cfg.val_share_seed)
        val = Subset(train, held_out)
        train = Subset(train, np.setdiff1d(np.arange(len(train.labels)), held_out))
        test = images.get("test") or images.get("val") or val
    train_crop, scored_crop = crops(cfg)
    return Source(classes, train, val, test, train_crop, scored_crop, tuple(images.values()))


def imagenet(cfg: DataConfig) -> Source:
    """Open ImageNet-1k (ILSVRC 2012): as `imagefolder`, with exactly 1,000 classes."""
    if cfg.root and (folder := Path(cfg.root).expanduser() / "train").is_dir():
        check_imagenet(folder, class_folders(folder))
    return imagefolder(cfg)


def check_imagenet(folder: Path, classes: Sequence[str]) -> None:
    if len(classes) != 1000:
        raise UserError(
            f"data=imagenet expects 1000 class folders in {folder}, found {len(classes)}: use data=imagefolder"
        )

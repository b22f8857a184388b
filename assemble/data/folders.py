"""Folders of images, one for each class, read in torchvision's order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from assemble.data.crops import crops
from assemble.data.decode import ImageFile
from assemble.data.splits import Crop, Source, Split, digest_of
from assemble.data.train_share import Subset, share_of_each_class
from assemble.errors import UserError
from assemble.schema import DataConfig

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
LAYOUT = (
    "expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg (test/ is optional; data.val_share=0.1 takes the "
    "validation images from train/)"
)
COUNTED = 100_000
"""Images of a split up to which their sizes are in its digest: on a network disk a million takes minutes."""


class ImageFiles:
    """Image files, by their paths in ``folder`` (`os.fsencode`), with their labels."""

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
        """Return hex digits of names, labels and, of not very many, sizes: to read them would take an epoch's time."""
        paths = map(self.path, range(len(self.files) if len(self.files) <= COUNTED else 0))
        sizes = [os.stat(path).st_size for path in paths]  # noqa: PTH116 - pathlib takes ten times as long
        return digest_of(self.files, self.labels, np.array(sizes, np.int64))


class ImageFolder(ImageFiles):
    """The images below ``folder/<class>/``, in torchvision's order. Labels are positions in ``classes``."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        files, labels = [], []
        for name in class_folders(folder):
            if name not in classes:
                raise UserError(f"{folder / name} is no class of the training images: add it to train/, or remove it")
            found = images_below(folder, name)
            if not found:
                raise UserError(
                    f"{folder / name} has no images ({', '.join(EXTENSIONS)}): add some, or remove the folder"
                )
            files += [os.fsencode(file) for file in found]
            labels += [classes.index(name)] * len(found)
        super().__init__(folder, files, labels)


def load(path: str | Path, crop: Crop) -> np.ndarray:
    """Read an image file and return what a crop makes of it.

    Raises:
        UserError: it cannot be decoded, or not be cropped; names the file.
    """
    try:
        return crop(ImageFile.read(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception:
        check_readable(path)
        raise  # the image is fine, so the crop is not


def check_readable(path: str | Path) -> None:
    """Raise `UserError` where the file cannot be decoded."""
    try:
        ImageFile.read(path).decode()
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        known = not isinstance(error, UnidentifiedImageError)
        reason = (" ".join(str(error).split()) or type(error).__name__) if known else "its format is unknown"
        raise UserError(f"cannot read the image {path} ({reason}): replace it, or remove it") from None


def images_below(folder: Path, name: str) -> list[str]:
    """List the images of ``folder/name`` and its sub-folders as paths in ``folder``: torchvision's, in its order.

    Hidden files and folders are left out: they are copies and thumbnails that other programs keep.
    """
    found = []
    for parent, folders, files in os.walk(folder / name, followlinks=True):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [(parent, file) for file in files if file.lower().endswith(EXTENSIONS) and not file.startswith(".")]
    start = len(str(folder)) + 1
    return [f"{parent[start:]}/{file}" for parent, file in sorted(found)]


def class_folders(folder: Path) -> list[str]:
    """Return the sorted names of the sub-folders; raises `UserError` where there are none."""
    if not folder.is_dir():
        raise UserError(f"data.root has no {folder.name}/ folder ({folder}): {LAYOUT}")
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
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
    images = {name: ImageFolder(folder, classes) for name, folder in parts.items()}
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
    return Source(classes, train, val, test, train_crop, scored_crop)


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

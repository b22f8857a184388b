"""Folders of images, one for each class, read in torchvision's order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assemble.data.cache_folder import cache_folder
from assemble.data.class_map import check_known, chosen_classes
from assemble.data.held_out import from_train, parted
from assemble.data.ilsvrc import KIT, as_handed_out
from assemble.data.image_files import ImageFiles
from assemble.data.list_index import FileList, kept_list
from assemble.data.members import ARCHIVES
from assemble.data.parts import CLASSES, SPLITS, Part, archived_part, parts_within
from assemble.data.remote import root_of
from assemble.data.scan import EXTENSIONS, FOLDER, entries, kind, scan
from assemble.data.splits import Source
from assemble.errors import UserError
from assemble.paths import user_cache
from assemble.schema import DataConfig

LAYOUT = (
    "expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg, or archives of them, train.tar and val.tar (test is "
    "optional; data.val_share=0.1 takes the validation images from train)"
)


class ImageFolder(ImageFiles):
    """The images below ``folder/<class>/``, in torchvision's order. Labels are positions in ``classes``.

    Of a folder of more classes, ``only`` those are looked at. The list of a large one is kept in the folder ``cache``.

    Raises:
        UserError: a class is not among ``classes``, or has no images; a folder cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        name: str = "",
        only: Collection[str] | None = None,
        cache: Path | None = None,
    ) -> None:
        names = [one for one in class_folders(folder) if only is None or one in only]
        places = {one: place for place, one in enumerate(classes)}
        for one in names:
            if one not in places:
                raise UserError(f"{folder / one} is no class of the training images: add it to train/, or remove it")

        def find() -> FileList:
            found = scan(folder, names)
            for one, images in found.images.items():
                if not len(images):
                    raise UserError(
                        f"{folder / one} has no images ({', '.join(EXTENSIONS)}): add some, or remove the folder"
                    )
            files = np.concatenate(list(found.images.values()))
            labels = np.repeat([places[one] for one in found.images], [len(images) for images in found.images.values()])
            return FileList(files, labels, found.left_out, found.stamps)

        found = kept_list(folder, names, classes, cache or user_cache(), find)
        super().__init__(folder, found.files, found.labels, name=name, left_out=found.left_out)


def class_folders(folder: Path) -> list[str]:
    """Return the sorted names of the sub-folders; raises `UserError` where there are none, or it cannot be read."""
    if not folder.is_dir():
        raise UserError(f"data.root has no {folder.name}/ folder ({folder}): {LAYOUT}")
    names = sorted(entry.name for entry in entries(folder) if kind(entry) == FOLDER)
    if not names:
        raise UserError(f"{folder} has no class folders: {LAYOUT}")
    return names


@dataclass(frozen=True)
class Folder:
    """A folder of class folders (`assemble.data.parts.Part`)."""

    path: Path
    cache: Path

    def __str__(self) -> str:
        return str(self.path)

    def classes(self) -> list[str]:
        return class_folders(self.path)

    def images(self, classes: list[str], name: str, only: Collection[str] | None = None) -> ImageFiles:
        return ImageFolder(self.path, classes, name, only, self.cache)


def _kept(name: str) -> bool:
    """Return True for files of a store that `parts_of` reads."""
    return name.endswith((*ARCHIVES, f"/{CLASSES}", f"/{KIT}.tar.gz"))


def parts_of(cfg: DataConfig) -> dict[str, Part]:
    """Return where train, val and test are, each where there is one; '' for class folders that are in no split's.

    Raises:
        UserError: there is no such folder or archive; it cannot be read.
    """
    if not cfg.root:
        raise UserError(f"data={cfg.name} needs data.root=DIR: {LAYOUT}")
    root, cache = root_of(cfg, _kept), cache_folder(cfg)
    if root.is_file():
        parts = parts_within(root, cache)
    elif root.is_dir():
        found: dict[str, Part | None] = {name: _folder(root / name, cache) for name in SPLITS}
        own = as_handed_out(root, cache, {n for n, part in found.items() if part}) if cfg.name == "imagenet" else {}
        # Beside folders that are a whole data set, archives are what somebody has made of them, or something else.
        if not found["train"] or not (found["val"] or from_train(cfg)):
            found = {n: part or own.get(n) or archived_part(root, n, cache) for n, part in found.items()}
        there = {name: part for name, part in found.items() if part or (root / name).is_dir()}
        parts = {name: part or Folder(root / name, cache) for name, part in there.items()}
    else:
        raise UserError(f"data.root={cfg.root} is not a folder, and no archive: {LAYOUT}")
    if from_train(cfg) and parts.keys() <= {""}:
        parts = {"train": parts.get("") or Folder(root, cache)}
    return parts


def _folder(path: Path, cache: Path) -> Folder | None:
    """Return a folder that has others in it: without any, it may be one of shards."""
    there = path.is_dir() and any(kind(entry) == FOLDER for entry in entries(path))
    return Folder(path, cache) if there else None


def imagefolder(cfg: DataConfig) -> Source:
    """Open your own images: one folder a class, under train/, val/ and perhaps test/ (without it, test is val).

    With ``data.val_share`` or ``data.folds`` the validation images are taken from train/ (`parted`). A folder of class
    folders alone is train/ then. Each may be an archive.
    """
    parts = parts_of(cfg)
    classes, chosen = part_of(parts, "train", cfg).classes(), chosen_classes(cfg)
    if chosen:
        check_known(chosen, classes)
        classes = chosen
    if not from_train(cfg):
        part_of(parts, "val", cfg).classes()  # before the long scan of train/
    images = {name: part.images(classes, name, chosen).as_asked(cfg) for name, part in parts.items()}
    return parted(classes, images, cfg)


def part_of(parts: Mapping[str, Part], name: str, cfg: DataConfig) -> Part:
    """Return a split that must be there; raises `UserError` where it is not."""
    if name not in parts:
        raise UserError(f"data.root has no {name}/ folder or {name}.tar ({cfg.root}): {LAYOUT}")
    return parts[name]


def imagenet(cfg: DataConfig) -> Source:
    """Open ImageNet-1k (ILSVRC 2012): as `imagefolder`, with exactly 1,000 classes; or as it is handed out."""
    if cfg.root and (train := parts_of(cfg).get("train")):
        check_imagenet(train, train.classes())
    return imagefolder(cfg)


def check_imagenet(part: Part, classes: Sequence[str]) -> None:
    if len(classes) != 1000:
        raise UserError(
            f"data=imagenet expects 1000 class folders in {part}, found {len(classes)}: use data=imagefolder"
        )

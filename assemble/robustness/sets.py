"""Corrupted images by corruption and severity: published folders and arrays, or made while they are loaded.

A published image has been cropped already: it is shown as it is, or its centre where the network wants less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from assemble.data.decode import ImageFile
from assemble.data.folders import ImageFolder
from assemble.data.splits import EvalSet
from assemble.errors import UserError
from assemble.robustness.corruptions import CORRUPTIONS, EXTRA, SEVERITIES, SMALLEST, corrupt, corruption_rng
from assemble.robustness.corruptions.textures import from_folder, installed
from assemble.schema import Preset

SEED = 0
"""All networks are scored on the same images, whatever seed they were trained with."""

Item = tuple[np.ndarray, int]
"""Image uint8 (H, W, 3) and label."""


class Images(Protocol):
    """Images with labels, by position."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Item: ...


class CorruptedSet(Protocol):
    """Where corrupted images come from."""

    @property
    def names(self) -> Sequence[str]:
        """The corruptions that it has at all severities: the 15, and what there is of the 4 extra ones."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What it is, beside its name."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """Of the images of a corruption and severity (N,)."""
        ...

    def __len__(self) -> int:
        """Return the number of images of one corruption and severity."""
        ...

    def images(self, name: str, severity: int) -> Images: ...


def central(image: np.ndarray, size: int) -> np.ndarray:
    """Return the central ``size`` pixels of (H, W, 3), which are all where it has no more.

    Raises:
        UserError: it has less.
    """
    top, left = ((side - size) // 2 for side in image.shape[:2])
    if min(top, left) < 0:
        raise UserError(
            f"the published images have {min(image.shape[:2])} pixels and the network is scored at {size}: set "
            f"data.eval_size={min(image.shape[:2])}, or corrupt larger ones with eval.corruptions=on_the_fly"
        )
    return image[top : top + size, left : left + size]


class ImageNetC:
    """Folders ``<corruption>/<severity>/<class>/*.JPEG``, in groups (noise/, blur/, ...) or not.

    Of more classes than a network has, ``only`` those are scored.

    Raises:
        UserError: a corruption or a severity is missing; classes that the network has not.
    """

    def __init__(self, root: Path, classes: list[str], size: int, only: Sequence[str] | None = None) -> None:
        self.classes, self.size, self.only = classes, size, only
        self._folders = {name: folder for name in (*CORRUPTIONS, *EXTRA) if (folder := _folder_of(root, name))}
        complete = {
            name: all((folder / str(severity)).is_dir() for severity in SEVERITIES)
            for name, folder in self._folders.items()
        }
        lacking = [name for name in CORRUPTIONS if not complete.get(name)]
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise UserError(
                f"{root} lacks {lacking[0]}{more} (each a folder with the severities 1 to 5, in noise/, blur/, "
                "... or not): set eval.corruptions_root to the published images"
            )
        self.names = [name for name in (*CORRUPTIONS, *EXTRA) if complete.get(name)]
        self.about: dict[str, Any] = {"images": "as published"}
        self.labels = self.images(CORRUPTIONS[0], 1).split.labels

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, name: str, severity: int) -> EvalSet:
        found = ImageFolder(self._folders[name] / str(severity), self.classes, only=self.only)
        return EvalSet(found, self._crop)

    def _crop(self, image: ImageFile) -> np.ndarray:
        return central(image.decode(), self.size).copy()  # its memory may be the decoder's


def _folder_of(root: Path, name: str) -> Path | None:
    """Return ``root/name``, or ``root/<any group>/name``."""
    return next((folder for folder in (root / name, *sorted(root.glob(f"*/{name}"))) if folder.is_dir()), None)


class CifarC:
    """Arrays ``<corruption>.npy`` (50000, 32, 32, 3), severity after severity, and ``labels.npy``.

    Raises:
        UserError: a file is missing, damaged, or of another shape; labels that the network has not.
    """

    def __init__(self, root: Path, classes: int, size: int) -> None:
        self.size = size
        labels = _array(root / "labels.npy")
        if labels.ndim != 1 or len(labels) % len(SEVERITIES) or not 0 <= labels.min() <= labels.max() < classes:
            raise UserError(f"{root / 'labels.npy'} is not of images of {classes} classes in five severities")
        self._labels = labels.astype(np.int64)
        self.labels = self._labels[: len(labels) // len(SEVERITIES)]
        self.names = [*CORRUPTIONS, *(name for name in EXTRA if (root / f"{name}.npy").is_file())]
        self._arrays = {name: _array(root / f"{name}.npy") for name in self.names}
        for name, array in self._arrays.items():
            if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or len(array) != len(labels):
                raise UserError(f"{root / name}.npy is {array.dtype} {array.shape}, not uint8 ({len(labels)}, H, W, 3)")
        self.about: dict[str, Any] = {"images": "as published"}

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, name: str, severity: int) -> _Rows:
        part = slice((severity - 1) * len(self), severity * len(self))
        return _Rows(self._arrays[name][part], self._labels[part], self.size)


class _Rows:
    """Images of an array."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, size: int) -> None:
        self._images, self._labels, self._size = images, labels, size

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Item:
        return np.array(central(self._images[index], self._size)), int(self._labels[index])


def _array(path: Path) -> np.ndarray:
    """Map the file, do not read it; no code runs from it."""
    if not path.is_file():
        raise UserError(f"there is no {path}: set eval.corruptions_root to the folder of the published .npy files")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is damaged: download it again") from error


class OnTheFly:
    """The evaluation images themselves, corrupted after their crop. Fractions of the official crop are rounded.

    Every (image, corruption, severity) has a generator of its own, so it is always the same image.

    Raises:
        UserError: images that are too small; unreadable textures of frost.
    """

    def __init__(
        self,
        images: EvalSet,
        size: int,
        *,
        extra: bool = False,
        preset: Preset | None = None,
        jpeg: bool = False,
        textures: str | None = None,
    ) -> None:
        if size < SMALLEST:
            raise UserError(
                f"eval.corruptions=on_the_fly corrupts images of at least {SMALLEST} pixels, and the network is "
                f"scored at {size}: leave it out, or set data.eval_size"
            )
        self._images, self.labels = images, images.split.labels
        frost = from_folder(textures) if textures else installed()
        small = Preset.cifar if size <= 32 else Preset.tiny if size <= 64 else Preset.imagenet
        look: dict[str, Any] = {"preset": (preset or small).value, "jpeg": jpeg}
        self._options = {**look, "textures": frost}
        self.names = [*CORRUPTIONS, *(EXTRA if extra else ())]
        self.about: dict[str, Any] = {
            "images": f"{len(images)} of {size} pixels, corrupted while loading",
            **look,
            "frost_textures": frost.source,
            "frost_comparable": frost.comparable,
        }

    def __len__(self) -> int:
        return len(self._images)

    def images(self, name: str, severity: int) -> _Corrupted:
        return _Corrupted(self._images, name, severity, self._options)


class _Corrupted:
    """Evaluation images under one corruption, made one at a time.

    Batches of them would take longer at 224 pixels, since maps of one image stay in the cache, and at 32 pixels a
    third of the time at best (docs/log/2026-11.md); each image draws from a generator of its own anyway.
    """

    def __init__(self, images: EvalSet, name: str, severity: int, options: Mapping[str, Any]) -> None:
        self._images, self._name, self._severity, self._options = images, name, severity, options

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Item:
        image, label = self._images[index]
        if image.dtype != np.uint8:
            image = np.rint(image).clip(0, 255).astype(np.uint8)
        rng = corruption_rng(SEED, index, self._name, self._severity)
        return corrupt(image, self._name, self._severity, rng, **self._options), label

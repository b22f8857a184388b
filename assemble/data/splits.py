"""The data sets: scikit-learn's digits, folders of images, lists, and torchvision's (`assemble.data.fgvc`, `.small`).

A new one is a function in `SOURCES`.

A split has ``labels`` (N,) and hands image i to a crop with ``load(i, crop)``: an opened `ImageFile`, decoded only when
the crop knows what it needs of it, or a uint8 array (H, W, 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from assemble.data.sampler import Draw, rng_of
from assemble.errors import UserError
from tricks.base import hooks_of

if TYPE_CHECKING:
    from tricks.base import DataTrick

Crop = Callable[[Any], np.ndarray]
"""Image -> uint8 or float32 (H, W, 3) on the 0-255 scale."""
RandomCrop = Callable[[Any, np.random.Generator, int], np.ndarray]
"""Image, generator, size -> uint8 (size, size, 3), flips included."""


class Split(Protocol):
    """Labelled images."""

    labels: np.ndarray

    def load(self, index: int, crop: Crop) -> np.ndarray: ...

    def digest(self) -> str:
        """Return hex digits for which images these are, in which order: results stored by position are theirs alone."""
        ...


class OnDisk(Protocol):
    """The image files of one split, and what was not taken into it."""

    name: str
    files: np.ndarray
    """Paths in a folder (`os.fsencode`)."""
    left_out: Mapping[str, int]
    """What else lies there: suffix, in most cases -> how many files."""
    bad: Mapping[str, str]
    """Path -> why it cannot be decoded, of the images that ``data.on_bad_image=skip`` left out."""

    def bad_headers(self) -> Mapping[str, str]:
        """Read the header and the end of every file; return path -> what is wrong with it."""
        ...


@dataclass(frozen=True)
class Source:
    """A data set: its classes, its splits, and how an image of it is cropped (exchange these for other protocols)."""

    classes: list[str]
    train: Split
    val: Split
    test: Split
    train_crop: RandomCrop
    eval_crop: Crop
    folders: tuple[OnDisk, ...] = ()
    """Where the images lie in files, all of them."""

    @property
    def scored_split(self) -> str:
        """What is scored as ``test`` in the end: a set of its own, or the images that choices were made on."""
        return "val" if self.test is self.val else "test"


class Arrays:
    """Images uint8 (N, H, W, 3) in memory, with labels (N,); grey ones (N, H, W, 1) become three equal channels."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def load(self, index: int, crop: Crop) -> np.ndarray:
        image = self.images[index]
        return crop(image if image.shape[2] == 3 else image.repeat(3, axis=2))

    def digest(self) -> str:
        return digest_of(self.images, self.labels)


class TrainSet:
    """Augmented images, by (epoch, draw, index): crop and flip, then tricks -> (uint8 (H, W, 3), label, index).

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
        self._flipping = next((trick for trick in tricks if "mirrored" in hooks_of(trick)), None)
        if self._flipping:
            with_flip(crop, 0.0)  # refuses others

    def __len__(self) -> int:
        return len(self.split.labels)

    def tricks_at(self, epoch: int) -> list[DataTrick]:
        """Return the tricks as they are in an epoch."""
        return [trick.at(epoch / self.epochs) for trick in self.tricks]

    def flip_at(self, epoch: int, index: int) -> float | None:
        """Return 1 or 0 where a trick says whether an image is mirrored; None: the crop draws it."""
        return float(self._flipping.mirrored(epoch, index, self.seed)) if self._flipping else None

    def size_at(self, epoch: int) -> int:
        """Return the side of an epoch's images in pixels."""
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
        flip = self.flip_at(epoch, index)
        crop = self.crop if flip is None else with_flip(self.crop, flip)
        image = self.split.load(index, lambda whole: crop(whole, rng, size))
        return augmented(image, tricks, rng), int(self.split.labels[index]), index


def with_flip(crop: RandomCrop, flip: float) -> RandomCrop:
    """Return a training crop with another probability of being mirrored, that draws as much.

    Raises:
        UserError: it has none.
    """
    if isinstance(crop, partial) and "flip" in crop.keywords:
        return partial(crop.func, *crop.args, **{**crop.keywords, "flip": flip})
    if isinstance(crop, partial) and "crop" in crop.keywords:  # one around another
        return partial(crop.func, *crop.args, **{**crop.keywords, "crop": with_flip(crop.keywords["crop"], flip)})
    raise UserError(
        "a trick says which images are mirrored, and the crop of this data set mirrors none: drop the trick"
    )


def augmented(image: np.ndarray, tricks: Sequence[DataTrick], rng: np.random.Generator) -> np.ndarray:
    """Return what tricks make of a cropped image, uint8 (H, W, 3): the same, or (V, H, W, 3) of V views."""
    for trick in tricks:
        image = trick.augment(image, rng)

    def finished(view: np.ndarray) -> np.ndarray:
        for trick in tricks:
            view = trick.finish(view, rng)
        return view

    return finished(image) if image.ndim == 3 else np.stack([finished(view) for view in image])


class EvalSet:
    """Images as they are scored, by index -> (uint8 or float32 (H, W, 3), label)."""

    def __init__(self, split: Split, crop: Crop) -> None:
        self.split = split
        self.crop = crop

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.split.load(index, self.crop), int(self.split.labels[index])


def digest_of(*arrays: np.ndarray) -> str:
    """Return hex digits of what is in the arrays."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # no copy: lists are large
    return content.hexdigest()[:16]

"""Training images that stay on the device, where they are padded, cropped and mirrored (``data.cache=device``).

The draws are those of the host, so the images are too, to the bit. Workers draw, and load nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assemble.data.cache_folder import free_memory
from assemble.data.sampler import Draw, rng_of
from assemble.data.splits import RandomCrop, Split, TrainSet
from assemble.data.torchvision_crops import also_upside_down, draw_shift, pad_and_shift
from assemble.errors import UserError, require
from assemble.schema import Border
from tricks.base import DataTrick


@dataclass(frozen=True)
class PadCrop:
    """The pad-and-crop of small images, as numbers."""

    pad: int
    flip: float
    border: Border = Border.edge
    vflip: float = 0.0

    @classmethod
    def of(cls, crop: RandomCrop) -> PadCrop:
        """Return what a data set's training crop does.

        Raises:
            UserError: it is another one.
        """
        vflip, inner = 0.0, crop
        if isinstance(inner, partial) and inner.func is also_upside_down:
            vflip, inner = inner.keywords["probability"], inner.keywords["crop"]
        if not isinstance(inner, partial) or inner.func is not pad_and_shift:
            raise UserError(
                "data.cache=device is for images that are padded and cropped (CIFAR, digits, or folders of small "
                "images with data.preprocessing=small): use data.cache=ram, or leave it out"
            )
        return cls(**inner.keywords, vflip=vflip)

    def draw(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw shifts down and right, and whether an image is mirrored and turned, as the host's crop does."""
        down, right = draw_shift(rng, self.pad)
        return down, right, int(rng.random() < self.flip), int(self.vflip > 0 and rng.random() < self.vflip)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop uint8 (N, H, W, 3) by draws (N, 4) -> (N, 3, H, W), channels last in memory."""
        height, width = images.shape[1:3]
        # Where each row and column of the result comes from: shifted, then mirrored.
        reflected = self.border is Border.reflect
        rows, row_in = _sources(height, draws[:, 0], draws[:, 3], reflected)
        columns, column_in = _sources(width, draws[:, 1], draws[:, 2], reflected)
        first = torch.arange(len(images), device=images.device)[:, None, None]
        cropped = images[first, rows[:, :, None], columns[:, None, :]]
        if self.border is Border.zeros:
            cropped *= (row_in[:, :, None] & column_in[:, None, :])[..., None]
        return cropped.permute(0, 3, 1, 2)


def _sources(length: int, shift: Tensor, mirrored: Tensor, reflected: bool) -> tuple[Tensor, Tensor]:
    """Return where positions come from (N, length), and whether that is in the image."""
    places = torch.arange(length, device=shift.device)
    places = torch.where(mirrored[:, None].bool(), places.flip(0), places)
    asked = places + shift[:, None]
    inside = length - 1 - (length - 1 - asked.abs()).abs() if reflected else asked.clamp(0, length - 1)
    return inside, asked == inside


class Draws:
    """What is drawn for the images of a `TrainSet`: (down, right, mirrored, turned), with label and index."""

    def __init__(self, images: TrainSet, crop: PadCrop) -> None:
        self.labels, self.seed, self.crop, self.flip_at = images.split.labels, images.seed, crop, images.flip_at

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, draw: Draw) -> tuple[tuple[int, int, int, int], int, int]:
        flip = self.flip_at(draw[0], draw[2])
        crop = self.crop if flip is None else replace(self.crop, flip=flip)
        return crop.draw(rng_of(self.seed, *draw)), int(self.labels[draw[2]]), draw[2]


class DeviceCache:
    """The training images on a device, uint8 (N, H, W, 3).

    Raises:
        UserError: they are no data set for it, have not one size, or find no room there.
    """

    def __init__(self, images: TrainSet, device: torch.device) -> None:
        self.crop = check_cached(images)
        pixels = whole_images(images.split)
        sizes = {images.size_at(epoch) for epoch in range(images.epochs)}
        require(
            (
                sizes == {pixels.shape[1]} == {pixels.shape[2]},
                f"data.cache=device resizes nothing: the images have {pixels.shape[2]}x{pixels.shape[1]} pixels, set "
                "data.image_size to that (and drop tricks that change it), or leave the cache out",
            )
        )
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
        require(
            (
                pixels.nbytes <= free,
                f"data.cache=device: the training images take {pixels.nbytes / 1e9:.1f} GB, and {device} has "
                f"{free / 1e9:.1f} GB free: leave it out",
            )
        )
        self.images = torch.from_numpy(pixels).to(device)

    def batches(self, batches: Iterator[tuple[Tensor, Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield batches as a loader of images does, from one of draws."""
        for draws, labels, index in batches:
            device = self.images.device
            chosen = self.images[index.to(device, non_blocking=True)]
            yield self.crop(chosen, draws.to(device, non_blocking=True)), labels, index


def check_cached(images: TrainSet) -> PadCrop:
    """Return the crop of images that may stay on the device; no image is looked at.

    Raises:
        UserError: they are cropped in another way, or a trick changes single images on the host.
    """
    for trick in images.tricks:
        if any(getattr(type(trick), hook) is not getattr(DataTrick, hook) for hook in ("augment", "finish", "views")):
            raise UserError(
                f"trick {trick.name} changes images on the host, where data.cache=device leaves none: drop one of them"
            )
    return PadCrop.of(images.crop)


def whole_images(split: Split) -> np.ndarray:
    """Return all images of a split as they are, uint8 (N, H, W, 3).

    Raises:
        UserError: they have not one size.
    """
    first = split.load(0, _as_it_is)
    pixels = np.empty((len(split.labels), *first.shape), np.uint8)
    for index in range(len(pixels)):
        image = split.load(index, _as_it_is)
        if image.shape != first.shape:
            raise UserError(
                f"data.cache=device is for images of one size, and two have {first.shape[1]}x{first.shape[0]} and "
                f"{image.shape[1]}x{image.shape[0]} pixels: leave it out, or resize them"
            )
        pixels[index] = image
    return pixels


def _as_it_is(image: Any) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else image.decode()

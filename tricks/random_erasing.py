"""Random erasing: a random rectangle of some images is blanked.

Paper: Zhong et al. 2017 (arXiv 1708.04896), Algorithm 1, with probability 0.5 and 2 to 40 % of the area.
Changes: the normalised images on the device, each on its own and before they are mixed.
Differs: as in torchvision and timm the aspect ratio is log-uniform, so that flat rectangles are as frequent as tall
ones (the paper: uniform), and areas are smaller. Noise is normal, as in timm (the paper: uniform over the range of
pixels). torchvision's recipe has probability 0.1 with these defaults, DeiT 0.25 with ``pixel``. Where an image has
several views, each is an image of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from assemble.bounds import bounded
from tricks._alone import Draws, generator_of, named
from tricks.base import DataTrick, Strength, register, strength


class Mode(Enum):
    """What a rectangle is filled with: zeros (the mean colour), one normal colour, or normal noise by pixel."""

    const = "const"
    rand = "rand"
    pixel = "pixel"


def draw_rectangle(
    height: int, width: int, area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw (top, bottom, left, right) of a rectangle inside the image; None if ten in a row are too large for it.

    Args:
        height, width: of the image in pixels.
        area: range of the rectangle's share of the image's area, uniform.
        aspect: range of its height over its width, log-uniform.
        rng: draws it.
    """
    for _ in range(10):
        pixels = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        h, w = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if h < height and w < width:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            return top, top + h, left, left + w
    return None


def random_erasing(
    images: Tensor,
    probability: float = 0.25,
    area: tuple[float, float] = (0.02, 0.33),
    aspect: tuple[float, float] = (0.3, 3.3),
    mode: Mode | str = Mode.const,
    *,
    generator: Draws = None,
) -> Tensor:
    """Blank a random rectangle of some of the normalised images (B, 3, H, W), in a copy of them.

    Args:
        images: images.
        probability: share of the images that lose a rectangle.
        area: range of its share of the image's area.
        aspect: range of its height over its width.
        mode: what it is filled with.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    mode, rng = named(Mode, mode), generator_of(generator)
    images = images.clone()
    noise = torch.Generator(images.device).manual_seed(int(rng.integers(2**63)))
    for image in images:
        if rng.random() >= probability:
            continue
        box = draw_rectangle(image.shape[1], image.shape[2], area, aspect, rng)
        if box is None:
            continue
        top, bottom, left, right = box
        patch = image[:, top:bottom, left:right]
        if mode is Mode.pixel:
            patch.normal_(generator=noise)
        elif mode is Mode.rand:
            patch.copy_(patch.new_empty(3, 1, 1).normal_(generator=noise).expand_as(patch))
        else:
            patch.zero_()
    return images


@register
@dataclass(frozen=True)
class RandomErasing(DataTrick):
    """Parameters of random erasing."""

    probability: Strength = strength(0.25, neutral=0.0, least=0, most=1)
    """Share of the images that lose a rectangle."""
    area: tuple[float, float] = bounded((0.02, 0.33), count=2, rising=True, above=0, most=1)
    """Range of the rectangle's share of the image's area."""
    aspect: tuple[float, float] = bounded((0.3, 3.3), count=2, rising=True, above=0)
    """Range of its height over its width."""
    mode: Mode = Mode.const
    """const (the mean colour), rand (one colour) or pixel (noise)."""

    def on_device(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        return random_erasing(images, self.probability, self.area, self.aspect, self.mode, generator=rng)

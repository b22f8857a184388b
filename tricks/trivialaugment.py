"""TrivialAugment: each image gets one operation at a random strength; there is nothing to tune.

Paper: Müller and Hutter 2021 (arXiv 2103.10158), the wide space; +0.31 top-1 for torchvision's ResNet-50.
Changes: single images, after crop and flip: one of 14 operations (one is none) and one of 31 strengths, drawn evenly.
Differs: the space is torchvision's, equal to the pixel with the same draws; each image's draws are its own here. Moved
pixels are the nearest ones, as in torchvision's class and the paper; torchvision's training script, and so the recipes
after it, has ``interpolation=bilinear``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
from PIL.Image import Resampling

from assemble.data.image_ops import PILLOW, as_image
from tricks._alone import Draws, generator_of
from tricks._augment import Size, Space, Step, choose, pillow_strengths
from tricks.base import DataTrick, register


class Sampling(Enum):
    """How rotation, shear and translation find values between pixels."""

    nearest = "nearest"
    bilinear = "bilinear"
    bicubic = "bicubic"


@cache
def wide(interpolation: Sampling) -> Space:
    """Return the wide space of the paper; what has moved away leaves black."""
    names = (
        "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness Posterize Solarize "
        "AutoContrast Equalize"
    )
    how = (Resampling[interpolation.name.upper()],)
    strengths = pillow_strengths(30, rotate=135, shear=0.99, translate=lambda _: 32, colour=0.99, posterize=6, how=how)
    return Space(choose(PILLOW, names), 30, strengths)


@register
@dataclass(frozen=True)
class TrivialAugment(DataTrick):
    """Parameters of TrivialAugment."""

    interpolation: Sampling = field(default=Sampling.nearest, metadata={"later": True})
    """How rotated, sheared and translated images are resampled: nearest, bilinear or bicubic."""

    def draw(self, rng: np.random.Generator, size: Size) -> list[Step]:
        """Draw the operation that one image of ``size`` (height, width) gets."""
        space = wide(self.interpolation)
        names = tuple(space.operations)
        name, level = names[rng.integers(len(names))], int(rng.integers(space.top + 1))
        return [(name, space.strengths(name, level, rng, size))]

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return wide(self.interpolation).apply(self.draw, image, rng)


def trivialaugment(image: Any, *, generator: Draws = None, **parameters: Any) -> np.ndarray:
    """Augment one image, a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W): -> the array.

    Args:
        image: the image.
        generator: what is drawn from (`tricks._alone.Draws`).
        parameters: those of `TrivialAugment`. For many images make it once: its ``augment(image, rng)``.
    """
    return TrivialAugment(**parameters).augment(as_image(image), generator_of(generator))

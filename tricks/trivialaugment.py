"""TrivialAugment: each image gets one operation at a random strength; there is nothing to tune.

Paper: Müller and Hutter 2021 (arXiv 2103.10158), the wide space; +0.31 top-1 for torchvision's ResNet-50.
Changes: single images, after crop and flip: one of 14 operations (one is none) and one of 31 strengths, drawn evenly.
Differs: the space is torchvision's, equal to the pixel with the same draws; each image's draws are its own here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assemble.data.image_ops import PILLOW
from tricks._augment import Size, Space, Step, choose, pillow_strengths
from tricks.base import DataTrick, register

WIDE = Space(
    choose(
        PILLOW,
        "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness Posterize Solarize "
        "AutoContrast Equalize",
    ),
    30,
    pillow_strengths(30, rotate=135, shear=0.99, translate=lambda _: 32, colour=0.99, posterize=6),
)


@register
@dataclass(frozen=True)
class TrivialAugment(DataTrick):
    """TrivialAugment has no parameters."""

    def draw(self, rng: np.random.Generator, size: Size) -> list[Step]:
        """Draw the operation that one image of ``size`` (height, width) gets."""
        names = tuple(WIDE.operations)
        name, level = names[rng.integers(len(names))], int(rng.integers(WIDE.top + 1))
        return [(name, WIDE.strengths(name, level, rng, size))]

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return WIDE.apply(self.draw, image, rng)

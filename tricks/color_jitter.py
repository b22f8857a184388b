"""Color jitter: brightness, contrast and saturation of each image change, and its colours as light does.

Paper: Krizhevsky et al. 2012, section 4.1, for the light ("PCA noise"); Howard 2013 (arXiv 1312.5402) for the rest;
both in Bag of Tricks (arXiv 1812.01187, section 2.1), with factors from 0.6 to 1.4 and noise of deviation 0.1.
Changes: single images, after crop and flip: three factors, uniform around 1, in random order; then every pixel is
moved along the principal components of ImageNet's colours, each by its deviation times a normal number.
Differs: Bag of Tricks names hue, saturation and brightness. Its code (train_imagenet.py of gluon-cv), followed here,
has brightness, contrast and saturation. The operations are Pillow's, as in torchvision's ColorJitter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from assemble.data.image_ops import PILLOW, as_image
from assemble.errors import UserError
from tricks._alone import Draws, generator_of
from tricks.base import DataTrick, PlannedRun, Strength, register, strength

DEVIATIONS = np.array([55.46, 4.794, 1.148])
COMPONENTS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""Of ImageNet's pixels on the 0-255 scale: standard deviations along the components, which are columns (red, green,
blue). The numbers of fb.resnet.torch, which MXNet has too."""


def light(image: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Move uint8 (H, W, 3) by ``amounts`` (3,) deviations along the principal components, rounded."""
    return np.rint(image + COMPONENTS @ (DEVIATIONS * amounts)).clip(0, 255).astype(np.uint8)


def color_jitter(
    image: Any,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    pca_noise: float = 0.1,
    *,
    generator: Draws = None,
) -> np.ndarray:
    """Change the colours of an image, a uint8 array (H, W, 3), PIL image or uint8 tensor (3, H, W): -> the array.

    Args:
        image: the image.
        brightness: the factor is drawn from 1 minus to 1 plus this.
        contrast: the same for contrast.
        saturation: the same for saturation.
        pca_noise: standard deviation of the normal numbers.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    array, rng = as_image(image), generator_of(generator)
    strengths = [("Brightness", brightness), ("Contrast", contrast), ("Color", saturation)]
    for i in rng.permutation(3):
        operation, amount = strengths[i]
        if amount:
            array = PILLOW[operation](array, rng.uniform(1 - amount, 1 + amount))
    return light(array, rng.normal(0, pca_noise, 3)) if pca_noise else array


@register
@dataclass(frozen=True)
class ColorJitter(DataTrick):
    """Parameters of color jitter."""

    brightness: Strength = strength(0.4, least=0, most=1)
    """The factor is drawn from 1 minus to 1 plus this, for each image."""
    contrast: Strength = strength(0.4, least=0, most=1)
    """The same for contrast."""
    saturation: Strength = strength(0.4, least=0, most=1)
    """The same for saturation."""
    pca_noise: Strength = strength(0.1, least=0)
    """Standard deviation of the normal numbers."""

    def check_run(self, run: PlannedRun) -> None:
        if not any(getattr(self, field.name) for field in fields(self)):
            raise UserError("tricks.color_jitter: all strengths are 0, which changes nothing: drop it")

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return color_jitter(image, self.brightness, self.contrast, self.saturation, self.pca_noise, generator=rng)

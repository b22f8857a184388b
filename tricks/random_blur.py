"""Random blur: some images are blurred, each by a width of its own.

Paper: Chen et al. 2020, SimCLR (arXiv 2002.05709), appendix A: half of the images, by 0.1 to 2 pixels.
Changes: single images, after crop, flip and any augmentation, and after they became grey.
Differs: the kernel has 23 pixels, as in timm's ``gaussian_blur_prob``; in the paper it has a tenth of the image's side.
Borders are mirrored as in torchvision's GaussianBlur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from assemble.bounds import bounded
from assemble.data.image_ops import as_image
from assemble.errors import require
from tricks._alone import Draws, generator_of
from tricks.base import DataTrick, Strength, register, strength


def blurred(image: np.ndarray, sigma: float, kernel: int) -> np.ndarray:
    """Blur uint8 (H, W, 3) with a Gaussian of ``sigma`` pixels, cut off to ``kernel`` pixels -> the same, rounded."""
    x = np.arange(kernel) - (kernel - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    soft = cv2.sepFilter2D(image.astype(np.float32), -1, weights, weights, borderType=cv2.BORDER_REFLECT_101)
    return np.rint(soft).astype(np.uint8)


def random_blur(
    image: Any,
    probability: float = 0.5,
    sigma: tuple[float, float] = (0.1, 2.0),
    kernel: int = 23,
    *,
    generator: Draws = None,
) -> np.ndarray:
    """Blur an image with this probability: uint8 (H, W, 3), PIL image or uint8 (3, H, W) -> the array.

    Args:
        image: the image.
        probability: of a blur.
        sigma: least and largest standard deviation in pixels; it is uniform between them.
        kernel: side of the kernel in pixels, odd.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    array, rng = as_image(image), generator_of(generator)
    if rng.random() >= probability:
        return array
    return blurred(array, rng.uniform(*sigma), kernel)


@register
@dataclass(frozen=True)
class RandomBlur(DataTrick):
    """Parameters of random blur."""

    probability: Strength = strength(0.5, neutral=0.0, least=0, most=1)
    """Probability that an image is blurred."""
    sigma: tuple[float, float] = bounded((0.1, 2.0), count=2, rising=True, above=0)
    """Least and largest standard deviation in pixels."""
    kernel: int = bounded(23, least=3)
    """Side of the kernel in pixels, odd."""

    order: ClassVar[int] = 60  # after grey, as in timm

    def check(self) -> None:
        require((self.kernel % 2 == 1, f"tricks.random_blur.kernel={self.kernel} must be odd: add 1"))

    def finish(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_blur(image, self.probability, self.sigma, self.kernel, generator=rng)

"""Random grey: some images lose their colours.

Paper: Chen et al. 2020, SimCLR (arXiv 2002.05709), appendix A, with probability 0.2.
Changes: single images, after crop, flip and any augmentation: all three channels become the luminance.
Differs: nothing known. The luminance is Pillow's, as in torchvision's RandomGrayscale and timm's ``grayscale_prob``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from assemble.data.image_ops import as_image
from tricks._alone import Draws, generator_of
from tricks.base import DataTrick, Strength, register, strength


def random_grey(image: Any, probability: float = 0.2, *, generator: Draws = None) -> np.ndarray:
    """Make an image grey with this probability: uint8 (H, W, 3), PIL image or uint8 (3, H, W) -> the array.

    Args:
        image: the image.
        probability: of grey.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    array = as_image(image)
    if generator_of(generator).random() >= probability:
        return array
    return np.asarray(Image.fromarray(array).convert("L"))[..., None].repeat(3, axis=2)


@register
@dataclass(frozen=True)
class RandomGrey(DataTrick):
    """Parameters of random grey."""

    probability: Strength = strength(0.2, neutral=0.0, least=0, most=1)
    """Probability that an image becomes grey."""

    def finish(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_grey(image, self.probability, generator=rng)

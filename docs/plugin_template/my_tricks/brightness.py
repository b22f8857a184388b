"""Brightness: each training image becomes a little darker or brighter.

Paper: none; the name and section of yours, with its arXiv number.
Changes: the image, after crop and flip.
Differs: where the file departs from the paper or its code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tricks.base import DataTrick, Strength, register, strength


def brightened(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply an image uint8 (H, W, 3) by a factor; what would leave 0 to 255 stays at its ends."""
    return np.clip(image * factor, 0, 255).astype(np.uint8)


@register
@dataclass(frozen=True)
class Brightness(DataTrick):
    """Parameters of brightness."""

    amount: Strength = strength(0.4, neutral=0.0, least=0, below=1)
    """The factor is drawn between 1 - amount and 1 + amount."""

    def augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return brightened(image, rng.uniform(1 - self.amount, 1 + self.amount))

"""Alternating flip: whether an image is mirrored is drawn once, and then changes from epoch to epoch.

Paper: Jordan 2024 (arXiv 2404.00498), section 3.6: two epochs in a row then show 2N different views, where random
flips repeat half of them.
Changes: the images: the mirroring of the training crop, in the place of ``data.flip``.
Differs: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass

from assemble.data.sampler import rng_of
from tricks.base import DataTrick, register

FIRST = 0xF11B
"""Keeps the draw of the first epoch apart from those of the augmentations."""


@register
@dataclass(frozen=True)
class AlternatingFlip(DataTrick):
    """It has no parameters."""

    def mirrored(self, epoch: int, index: int, seed: int) -> bool:
        first = bool(rng_of(seed, FIRST, index).integers(2))
        return first ^ bool(epoch % 2)

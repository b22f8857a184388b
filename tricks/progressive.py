"""Progressive resizing: training begins with small images, which is faster, and ends with large ones.

Paper: Tan & Le 2021, EfficientNetV2 (arXiv 2104.00298), section 4.2, Algorithm 1: four stages; also in Composer
(github.com/mosaicml/composer, from 0.5) and FFCV (from 160 to 192 pixels, multiples of 32).
Changes: the side of the training images, epoch by epoch; crops are made at that size, so loading gets faster too.
The network's stem and its reported cost go by ``data.image_size``, the largest; evaluation by ``data.eval_size``.
Differs: the paper's stages go from the smallest size to the largest. In the official code stage k of 4 has come k / 4
of the way, so it never trains at the smallest. For EfficientNetV2-S (``data.image_size=300``) the paper's 128, 185,
243, 300 are ``tricks.progressive.scale={from: 0.4267, to: 1, stages: 4}``, the code's 171, 214, 257, 300 begin at 0.57.
The default is the code's rule for M and L: 192, 256, 320, 384. Composer shrinks batches on the device, from step to
step; its mild recipe is ``{from: 0.5, to: 1, begin: 0.4, end: 0.8, stages: 0}`` with ``multiple_of=4``.

EfficientNetV2 also regularises small images less. That is said where the regularisation is, beside these stages:
``tricks.mixup.alpha={from: 0, to: 0.2, stages: 4}``, ``tricks.randaugment.magnitude={from: 5, to: 15, stages: 4}``.
With ``trainer.compile`` the second size is compiled anew, then mostly for any size.
"""

from __future__ import annotations

from dataclasses import dataclass

from assemble.bounds import bounded
from tricks.base import DataTrick, Strength, register, strength


@register
@dataclass(frozen=True)
class Progressive(DataTrick):
    """Parameters of progressive resizing."""

    scale: Strength = strength({"from": 0.5, "to": 1.0, "stages": 4}, neutral=1.0, above=0, most=1)
    """Side of the training images as a share of ``data.image_size``. What is not given stays, also ``stages``; 0 is
    a straight line."""
    multiple_of: int = bounded(1, least=1)
    """Sizes below the full one are rounded to multiples of so many pixels."""

    def size(self, size: int) -> int:
        if self.scale == 1:
            return size
        return min(size, max(1, round(size * self.scale / self.multiple_of)) * self.multiple_of)

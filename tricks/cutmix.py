"""CutMix: a rectangle of each image comes from another one, and so does its share of the target.

Paper: Yun et al. 2019 (arXiv 1905.04899), Algorithm 1; alpha 1 in the paper and in torchvision's recipe.
Changes: the batch: one rectangle for a batch with side lengths sqrt(1 - lam) of the image's and a uniform centre, cut
at the border; targets y = lam' * y1 + (1 - lam') * y2 with lam' the share of the area that stayed.
Differs: nothing known. Together with another batch trick, one of them acts on each batch, drawn evenly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assemble.errors import UserError
from tricks._alone import Draws, generator_of
from tricks.base import BatchTrick, Strength, register, strength


def rectangle(height: int, width: int, lam: float, cy: int, cx: int) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of the rectangle of area (1 - lam) around the centre, cut at the border."""
    h, w = int(height * math.sqrt(1 - lam)), int(width * math.sqrt(1 - lam))
    return max(cy - h // 2, 0), min(cy + h // 2, height), max(cx - w // 2, 0), min(cx + w // 2, width)


def cutmix(
    images: Tensor,
    targets: Tensor,
    order: Tensor | None = None,
    box: tuple[int, int, int, int] | None = None,
    *,
    alpha: float = 1.0,
    generator: Draws = None,
) -> tuple[Tensor, Tensor]:
    """Mix images (B, 3, H, W) with ``box`` taken from ``images[order]``, and targets (B, K) by area.

    Args:
        images: images.
        targets: dense targets.
        order: a permutation of B; None: drawn.
        box: top, bottom, left and right of the rectangle in pixels; None: drawn.
        alpha: both parameters of the Beta distribution of the area that stays; 0: all of it stays.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    if box is None:
        rng = generator = generator_of(generator)
        height, width = images.shape[-2:]
        lam = rng.beta(alpha, alpha) if alpha else 1.0
        box = rectangle(height, width, lam, int(rng.integers(height)), int(rng.integers(width)))
    if order is None:
        order = torch.from_numpy(generator_of(generator).permutation(len(images))).to(images.device)
    top, bottom, left, right = box
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[order][..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (images.shape[-2] * images.shape[-1])
    return mixed, torch.lerp(targets[order], targets, kept)


@register
@dataclass(frozen=True)
class CutMix(BatchTrick):
    """Parameters of CutMix."""

    alpha: Strength = strength(1.0, neutral=0.0, least=0)
    """Both parameters of the Beta distribution of the area that stays; 0: all of it stays."""

    def check_batch(self, size: int) -> None:
        if size < 2:
            raise UserError("cutmix needs at least 2 images at a time: raise data.batch_size")

    def mix(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return cutmix(images, targets, alpha=self.alpha, generator=rng)

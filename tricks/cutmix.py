"""CutMix: a rectangle of each image comes from another one, and so does its share of the target.

Paper: Yun et al. 2019 (arXiv 1905.04899), Algorithm 1; alpha 1 in the paper and in torchvision's recipe.
Changes: the batch: one rectangle for a batch with side lengths sqrt(1 - lam) of the image's and a uniform centre, cut
at the border; targets y = lam' * y1 + (1 - lam') * y2 with lam' the share of the area that stayed.
Differs: nothing known. ``permutation`` is the paper's. ``type1`` is for mixup's company, whose official kind mixes the
halves of 2 B images: the rectangles of the first half come from the second. Left open, it is as mixup draws. Together
with another batch trick, one of them acts on each batch (``share``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Self

import numpy as np
import torch
from torch import Tensor

from assemble.errors import UserError
from tricks._alone import Draws, generator_of, named
from tricks.base import BatchTrick, Strength, register, strength


class Kind(Enum):
    """Where the rectangle comes from."""

    type1 = "type1"
    permutation = "permutation"


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
    kind: Kind | str = Kind.permutation,
    alpha: float = 1.0,
    generator: Draws = None,
) -> tuple[Tensor, Tensor]:
    """Mix images (N, 3, H, W) with ``box`` taken from others of them, and targets (N, K) by area.

    Args:
        images: images.
        targets: dense targets.
        order: a permutation of N, for ``permutation`` only: the others are ``images[order]``; None: drawn.
        box: top, bottom, left and right of the rectangle in pixels; None: drawn.
        kind: N -> N rows for permutation, N / 2 for type1, which takes the others from the second half.
        alpha: both parameters of the Beta distribution of the area that stays; 0: all of it stays.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    if box is None:
        rng = generator = generator_of(generator)
        height, width = images.shape[-2:]
        lam = rng.beta(alpha, alpha) if alpha else 1.0
        box = rectangle(height, width, lam, int(rng.integers(height)), int(rng.integers(width)))
    if named(Kind, kind) is Kind.type1:
        if len(images) % 2:
            raise UserError(f"cutmix type1 mixes the halves of a batch, so it cannot take {len(images)} images")
        (images, others), (targets, their_targets) = images.chunk(2), targets.chunk(2)
    else:
        if order is None:
            order = torch.from_numpy(generator_of(generator).permutation(len(images))).to(images.device)
        others, their_targets = images[order], targets[order]
    top, bottom, left, right = box
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (images.shape[-2] * images.shape[-1])
    return mixed, torch.lerp(their_targets, targets, kept)


@register
@dataclass(frozen=True)
class CutMix(BatchTrick):
    """Parameters of CutMix."""

    alpha: Strength = strength(1.0, neutral=0.0, least=0)
    """Both parameters of the Beta distribution of the area that stays; 0: all of it stays."""
    kind: Kind | None = None
    """type1 or permutation (see above); None: permutation, or as mixup draws beside it."""
    share: Strength = strength(1.0, neutral=0.0, least=0, most=1)
    """Share of the batches that it mixes; shares of several batch tricks are divided by their sum if that is over 1."""

    @property
    def images_per_target(self) -> int:
        return 2 if self.kind is Kind.type1 else 1

    def drawing(self, images_per_target: int) -> Self:
        if self.kind or images_per_target not in (1, 2):
            return self
        return replace(self, kind=Kind.type1 if images_per_target == 2 else Kind.permutation)

    def check_batch(self, size: int) -> None:
        if self.kind is not Kind.type1 and size < 2:
            raise UserError("cutmix needs at least 2 images at a time: raise data.batch_size")

    def mix(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return cutmix(images, targets, kind=self.kind or Kind.permutation, alpha=self.alpha, generator=rng)

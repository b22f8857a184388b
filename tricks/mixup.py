"""Mixup: images and targets are mixed in pairs.

Paper: Zhang et al. 2017 (arXiv 1710.09412); alpha 0.2 in arXiv 2001.06268: +0.75 top-1 with type 1 (Table 7, E3).
Changes: the batch: x = lam * x1 + (1 - lam) * x2 and targets alike, lam ~ Beta(alpha, alpha).
Differs: the mixup authors draw one lam for a batch; the official Assemble-ResNet code, followed here, one for a pair.
``type1`` (official): the loader draws 2 B images, the halves are mixed into B; every image is seen about twice in
an epoch of unchanged length. ``type2`` (official): B images; the first half of the result mixes the halves x1, x2,
the second half x1 with the reversed x2 and fresh lam. ``permutation``: B images, each mixed with a random other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from assemble.errors import UserError
from tricks._alone import Draws, generator_of, named
from tricks.base import BatchTrick, Strength, register, strength


class Kind(Enum):
    """How partners are found."""

    type1 = "type1"
    type2 = "type2"
    permutation = "permutation"


def mix_pairs(x1: Tensor, x2: Tensor, lam: Tensor) -> Tensor:
    """Return lam * x1 + (1 - lam) * x2, with lam (B,) for x1, x2 (B, ...)."""
    weight = 1 - lam.to(x1.dtype).reshape(-1, *[1] * (x1.ndim - 1))
    return torch.lerp(x1, x2, weight)


def mixup(
    images: Tensor,
    targets: Tensor,
    kind: Kind | str,
    lam: Tensor | float | None = None,
    order: Tensor | None = None,
    *,
    alpha: float = 0.2,
    generator: Draws = None,
) -> tuple[Tensor, Tensor]:
    """Mix images (N, 3, H, W) and targets (N, K) in pairs.

    Args:
        images: images.
        targets: dense targets.
        kind: N -> N / 2 rows for type1, N for the others.
        lam: N / 2 numbers for type1, N for the others (type2: first those of the first half), or one for all pairs;
            None: drawn from Beta(alpha, alpha), one for each pair.
        order: a permutation of N, for ``permutation`` only; None: drawn.
        alpha: both parameters of the Beta distribution; 0: none are mixed.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    kind = named(Kind, kind)
    if len(images) % 2 and kind is not Kind.permutation:
        raise UserError(f"mixup {kind.value} mixes the halves of a batch, so it cannot take {len(images)} images")
    rows = len(images) // 2 if kind is Kind.type1 else len(images)
    if lam is None:
        rng = generator = generator_of(generator)
        lam = torch.from_numpy(rng.beta(alpha, alpha, rows) if alpha else np.ones(rows))
    lam = torch.as_tensor(lam).to(images).expand(rows)
    if kind is Kind.permutation:
        if order is None:
            order = torch.from_numpy(generator_of(generator).permutation(rows)).to(images.device)
        return mix_pairs(images, images[order], lam), mix_pairs(targets, targets[order], lam)
    (x1, x2), (y1, y2) = images.chunk(2), targets.chunk(2)
    if kind is Kind.type2:
        x1, x2 = torch.cat([x1, x1]), torch.cat([x2, x2.flip(0)])
        y1, y2 = torch.cat([y1, y1]), torch.cat([y2, y2.flip(0)])
    return mix_pairs(x1, x2, lam), mix_pairs(y1, y2, lam)


@register
@dataclass(frozen=True)
class Mixup(BatchTrick):
    """Parameters of mixup."""

    alpha: Strength = strength(0.2, neutral=0.0, least=0)
    """Both parameters of the Beta distribution: the larger, the more even the mixtures; 0: none are mixed."""
    kind: Kind = Kind.type1
    """type1, type2 or permutation (see above)."""
    share: Strength = strength(1.0, neutral=0.0, least=0, most=1)
    """Share of the batches that it mixes; shares of several batch tricks are divided by their sum if that is over 1."""

    @property
    def images_per_target(self) -> int:
        return 2 if self.kind is Kind.type1 else 1

    def check_batch(self, size: int) -> None:
        if self.kind is Kind.type2 and size % 2:
            raise UserError(
                f"mixup type2 mixes the halves of a batch, so it cannot take {size} images at a time: make it even"
            )
        if self.kind is Kind.permutation and size < 2:
            raise UserError("mixup needs at least 2 images at a time to mix: raise data.batch_size")

    def mix(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return mixup(images, targets, self.kind, alpha=self.alpha, generator=rng)

"""ColOut: a few random rows and columns of all images are left out in each batch.

Paper: none; Composer (github.com/mosaicml/composer, composer/algorithms/colout), with 0.05 in its "hot" recipe.
Changes: the normalised batch: int((1 - p) side) rows and columns stay, the same for all its images, in their order.
So images get smaller, and training faster.
Differs: nothing known from Composer's form for batches (``batch=True``, its default). Each device draws its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from assemble.errors import UserError
from tricks._alone import Draws, generator_of
from tricks.base import DataTrick, PlannedRun, Strength, register, strength


def left(side: int, dropped: float) -> int:
    """Return how many of ``side`` positions stay: int((1 - dropped) * side), one at least."""
    return max(1, int((1 - dropped) * side))


def kept(side: int, dropped: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the positions of ``side`` that stay, rising."""
    return np.sort(rng.permutation(side)[: left(side, dropped)])


def colout(images: Tensor, p_row: float = 0.15, p_col: float = 0.15, *, generator: Draws = None) -> Tensor:
    """Leave the same random rows and columns out of all images (B, C, H, W) -> (B, C, fewer, fewer).

    Args:
        images: images.
        p_row: share of the rows that is dropped.
        p_col: share of the columns that is dropped.
        generator: what is drawn from (`tricks._alone.Draws`).
    """
    height, width = images.shape[-2:]
    rng = generator_of(generator)
    rows, columns = (
        torch.from_numpy(kept(side, dropped, rng)).to(images.device)
        for side, dropped in ((height, p_row), (width, p_col))
    )
    last = images.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format  # which selecting would lose
    return images[..., rows[:, None], columns].contiguous(memory_format=layout)


@register
@dataclass(frozen=True)
class ColOut(DataTrick):
    """Parameters of ColOut."""

    p_row: Strength = strength(0.15, least=0, below=1)
    """Share of the rows that is dropped."""
    p_col: Strength = strength(0.15, least=0, below=1)
    """Share of the columns that is dropped."""

    def check_run(self, run: PlannedRun) -> None:
        if not (self.p_row or self.p_col):
            raise UserError("tricks.colout.p_row and p_col are both 0, which changes nothing: drop it")

    def smallest(self, size: int) -> int:
        return left(size, max(self.p_row, self.p_col))

    def on_device(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        return colout(images, self.p_row, self.p_col, generator=rng)

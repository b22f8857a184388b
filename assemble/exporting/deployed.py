"""The network as it is shipped: batch norms folded, and the normalisation of its images inside.

Shapes: images (B, 3, S, S), float32, RGB on the 0-255 scale; logits (B, K).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assemble.models.fold import fold
from assemble.scoring.trained import Trained

Function = Callable[[Tensor], Tensor]
"""Images -> logits."""


class Deployed(nn.Module):
    """Images -> logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        folded = fold(trained.network, trained.size)
        # Layouts are the runtime's business: a program traced in channels-last would copy back and forth.
        self.network = folded.to(memory_format=torch.contiguous_format)
        self.register_buffer("mean", trained.mean)
        self.register_buffer("std", trained.std)

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images - self.mean) / self.std)


def noise(batch: int, size: int) -> Tensor:
    """Return images of noise on the 0-255 scale, the same every time."""
    return 255 * torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))


def deviation(logits: Tensor, reference: Tensor) -> float:
    """Return the largest difference, relative to the largest logit of the reference."""
    return float((logits - reference).abs().max() / reference.abs().max())


def agreement(logits: Tensor, reference: Tensor) -> float:
    """Return the share of images with the same first class."""
    return float((logits.argmax(1) == reference.argmax(1)).float().mean())


def in_batches(run: Function, images: Tensor, size: int = 16) -> Tensor:
    """Return the logits of many images, run in batches of ``size``."""
    return torch.cat([run(batch) for batch in images.split(size)])

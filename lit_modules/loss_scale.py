"""A loss scale for float16 that stays what it is."""

from __future__ import annotations

import torch
from torch import Tensor


class StaticLossScale(torch.amp.GradScaler):
    """Multiplies the loss by ``scale`` before the backward pass, and divides the float32 gradients by it after.

    Small gradients then do not vanish in float16. Assemble-ResNet (arXiv 2001.06268) trained with 128; with a power of
    two both are exact. Differs from the official code where a gradient is not finite: that step is left out, as
    PyTorch does, while there it would have made the weights NaN. The scale is not lowered then, so where it is too
    high for every step, nothing is learnt.
    """

    def __init__(self, scale: float, device: str = "cuda") -> None:
        super().__init__(device, init_scale=scale)
        self.static = float(scale)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        super().update(self.static)

"""DropBlock: in training, whole squares of a channel's map are dropped, more of them as training goes on.

Paper: Ghiasi et al. 2018 (arXiv 1810.12890); in arXiv 2001.06268 with block 7, keep probability 1.0 -> 0.9 linearly
over all steps, in stages 3 and 4 with the seed probability times 0.25 and 1.0: +0.69 top-1 (Table 7, E5).
Changes: `after_norm` in the last two stages: after every batch norm of a block and of its shortcut, before the ReLU;
and the keep probability, step by step.
Differs: the official Assemble-ResNet code, followed here, draws one mask (1, C, H, W) for all images of a device's
batch, its own for each channel (the paper: one for each image). A map smaller than the block takes a block of
the map's smaller side, as in the DropBlock authors' TPU code; the official code stops there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.errors import UserError
from assemble.models.spec import Site, Spec
from tricks.base import ModelTrick, Strength, register, strength


def drop_block(
    x: Tensor, keep_prob: Tensor | float, block_size: int = 7, scale: float = 1.0, uniform: Tensor | None = None
) -> Tensor:
    """Return x (B, C, H, W) with squares of ``block_size`` set to zero and the rest scaled up by size / kept.

    Args:
        x: activations.
        keep_prob: wanted share of kept activations, at scale 1.
        block_size: side of a square, at most min(H, W).
        scale: multiplies the probability of a seed.
        uniform: the noise, (1, C, H - block_size + 1, W - block_size + 1), one number for each possible square; drawn
            here if None.
    """
    _, c, h, w = x.shape
    block = min(block_size, h, w)
    if uniform is None:
        uniform = torch.rand(1, c, h - block + 1, w - block + 1, device=x.device)
    gamma = scale * (1.0 - keep_prob) * (h * w) / block**2 / ((h - block + 1) * (w - block + 1))
    # In the layout of x: to multiply channels-last maps by another takes three times as long.
    mask = torch.empty_like(x[:1]).copy_(_squares(uniform < gamma, block) == 0)
    return x * (mask * (mask.numel() / (mask.sum(dtype=torch.float32) + 1e-8)).to(x.dtype))


def _squares(seeds: Tensor, block: int) -> Tensor:
    """Enlarge each True of (1, C, H, W) to a square that begins there: uint8 (1, C, H + block - 1, W + block - 1)."""
    # Not bool, of which torch.compile makes C++ code that no compiler takes (torch 2.14).
    squares = F.pad(seeds.byte(), (0, block - 1, 0, block - 1))
    for axis in (2, 3):
        reach = 1  # doubled until it is a whole side: a third of the time of max-pooling, or less
        while reach < block:
            shift = min(reach, block - reach)
            rest = squares.shape[axis] - shift
            squares.narrow(axis, shift, rest).bitwise_or_(squares.narrow(axis, 0, rest).clone())
            reach += shift
    return squares


class DropBlock(nn.Module):
    """`drop_block` in training, the identity in evaluation. ``keep_prob`` is a tensor: compiled code follows it."""

    keep_prob: Tensor

    def __init__(self, keep_prob: float, block_size: int, scale: float) -> None:
        super().__init__()
        self.block_size, self.scale = block_size, scale
        self.register_buffer("keep_prob", torch.tensor(keep_prob), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return drop_block(x, self.keep_prob, self.block_size, self.scale) if self.training else x

    def extra_repr(self) -> str:
        return f"block_size={self.block_size}, scale={self.scale}"


@register
@dataclass(frozen=True)
class DropBlockTrick(ModelTrick):
    """Parameters of DropBlock."""

    block_size: int = bounded(7, least=1)
    """Side of a square in pixels of the feature map."""
    keep_prob: Strength = strength({"from": 1.0, "to": 0.9}, neutral=1.0, above=0, most=1)
    """Share of activations that is kept, before ``stage_scales`` (fine-tuning in the paper: from 0.9 to 0.7)."""
    stage_scales: tuple[float, ...] = bounded((0.25, 1.0), least=0)
    """Factors of the seed probability in the last stages; 0 leaves a stage alone."""

    def check(self) -> None:
        if not any(self.stage_scales):
            raise UserError("tricks.dropblock.stage_scales are all 0, which drops nothing: raise one")

    def _after_norm(self, site: Site) -> nn.Module | None:
        from_last = site.stages - site.stage
        scale = self.stage_scales[-1 - from_last] if from_last < len(self.stage_scales) else 0.0
        return DropBlock(self.at(0.0).keep_prob, self.block_size, scale) if scale else None

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(after_norm=self._after_norm)

    def update(self, network: nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, DropBlock):
                module.keep_prob.fill_(self.keep_prob)

"""DropBlock: in training, whole squares of a channel's map are dropped, more of them as training goes on.

Paper: Ghiasi et al. 2018 (arXiv 1810.12890); in arXiv 2001.06268 with block 7, keep probability 1.0 -> 0.9 linearly
over all steps, in stages 3 and 4 with the seed probability times 0.25 and 1.0: +0.69 top-1 (Table 7, E5).
Changes: `after_norm` in the last two stages: after every batch norm of a block and of its shortcut, before the ReLU;
and the keep probability, step by step.
Differs: the official Assemble-ResNet code, followed here, draws one mask (1, C, H, W) for all pictures of a device's
batch, its own for each channel (the paper: one for each picture). A map smaller than the block takes a block of
the map's smaller side, as in the DropBlock authors' TPU code; the official code stops there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import UserError
from models.spec import Site, Spec
from tricks.base import CallbackTrick, ModelTrick, register

if TYPE_CHECKING:
    from pytorch_lightning import Callback


def drop_block(
    x: Tensor, keep_prob: Tensor | float, block_size: int = 7, scale: float = 1.0, uniform: Tensor | None = None
) -> Tensor:
    """x (B, C, H, W) with squares of ``block_size`` set to zero and the rest scaled up by size / kept.

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
    mask = torch.empty_like(x[:1]).copy_(~_squares(uniform < gamma, block))
    return x * (mask * (mask.numel() / (mask.sum(dtype=torch.float32) + 1e-8)).to(x.dtype))


def _squares(seeds: Tensor, block: int) -> Tensor:
    """Each True of (1, C, H, W) enlarged to a square that begins there: bool (1, C, H + block - 1, W + block - 1)."""
    squares = F.pad(seeds, (0, block - 1, 0, block - 1))
    for axis in (2, 3):
        reach = 1  # doubled until it is a whole side: a third of the time of max-pooling, or less
        while reach < block:
            shift = min(reach, block - reach)
            rest = squares.shape[axis] - shift
            squares.narrow(axis, shift, rest).logical_or_(squares.narrow(axis, 0, rest).clone())
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


def keep_prob_at(step: int, total_steps: int, start: float, end: float) -> float:
    """Keep probability of optimizer step ``step`` (from 0) of ``total_steps``: linear from start to end."""
    return start + (end - start) * min(step / total_steps, 1.0)


@register
@dataclass(frozen=True)
class DropBlockTrick(ModelTrick, CallbackTrick):
    """Parameters of DropBlock."""

    block_size: int = 7
    """Side of a square in pixels of the feature map."""
    start: float = 1.0
    """Keep probability at the first step (fine-tuning in the paper: 0.9)."""
    end: float = 0.9
    """Keep probability at the last step (fine-tuning in the paper: 0.7)."""
    stage_scales: tuple[float, ...] = (0.25, 1.0)
    """Factors of the seed probability in the last stages; 0 leaves a stage alone."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stage_scales", tuple(self.stage_scales))
        if self.block_size < 1:
            raise UserError(f"tricks.dropblock.block_size must be at least 1, not {self.block_size}")
        if not (0 < self.start <= 1 and 0 < self.end <= 1):
            raise UserError("tricks.dropblock.start and tricks.dropblock.end must lie in (0, 1]")
        if any(not 0 <= scale < float("inf") for scale in self.stage_scales):
            raise UserError(f"tricks.dropblock.stage_scales must be 0 or above, not {list(self.stage_scales)}")
        if self.start == self.end == 1 or not any(self.stage_scales):
            raise UserError(
                "these parameters of dropblock drop nothing: lower tricks.dropblock.end or raise a stage scale"
            )

    def _after_norm(self, site: Site) -> nn.Module | None:
        from_last = site.stages - site.stage
        scale = self.stage_scales[-1 - from_last] if from_last < len(self.stage_scales) else 0.0
        return DropBlock(self.start, self.block_size, scale) if scale else None

    def convert(self, spec: Spec) -> Spec:
        return spec.replace(after_norm=self._after_norm)

    def set_keep_prob(self, network: nn.Module, step: int, total_steps: int) -> None:
        """Give every DropBlock of the network the keep probability of this step."""
        value = keep_prob_at(step, total_steps, self.start, self.end)
        for module in network.modules():
            if isinstance(module, DropBlock):
                module.keep_prob.fill_(value)

    def callbacks(self) -> Sequence[Callback]:
        from lit_modules.callbacks import BeforeEachStep  # needs Lightning, which networks alone do not

        return [BeforeEachStep(self.set_keep_prob)]

"""Big-Little: each stage as a deep branch at half resolution and a light one at full resolution.

Paper: Chen et al. 2018, Big-Little Net (arXiv 1807.03848), as assembled in arXiv 2001.06268 (there with input 256 at
evaluation: +0.34 top-1, Table 7, E9).
Changes: `pool` (a big and a little branch of convolutions instead of max-pool), `stage` (all but the last), `shortcut`
(3x3 average pool with the stride, then 1x1 convolution), `depths` (101: 4, 8, 18, 3; 152: 5, 12, 30, 3).
Differs: this follows the official Assemble-ResNet code: the first block of every row has a projection, also where
shapes agree (IBM's code: identity); zeros beyond the edge count in the pooled shortcut. A big branch larger than the
little one (an odd map) is cut to its size; the official code cannot run such sizes.

A stage with n blocks: big = n - 1 blocks, the first with stride 2, no ReLU at the end; little = max(1, n // beta - 1)
blocks of width / alpha at stride 1, then a 1x1 convolution to full width. Big is enlarged 2x (nearest) and added, ReLU,
then one more block merges them, with stride 2 (in the last big-little stage 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from assemble.bounds import bounded
from assemble.errors import UserError
from assemble.models.layers import conv, norm
from assemble.models.resnet import ResNetSpec, block_row, plain_stage, stage_sites
from assemble.models.spec import Spec
from tricks.base import ModelTrick, register

DEPTHS = {"resnet101": (4, 8, 18, 3), "resnet152": (5, 12, 30, 3)}


class BigLittlePool(nn.Module):
    """The big-little pair that stands for max-pool: (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))."""

    def __init__(self, spec: ResNetSpec, alpha: int) -> None:
        super().__init__()
        width, slim = spec.width, max(1, spec.width // alpha)
        self.big = nn.Sequential(conv(width, width, 3, 2), norm(spec, width))
        self.little = nn.Sequential(
            conv(width, slim, 3),
            norm(spec, slim),
            spec.activation(),
            conv(slim, slim, 3, 2),
            norm(spec, slim),
            spec.activation(),
            conv(slim, width, 1),
            norm(spec, width),
        )
        self.act = spec.activation()
        self.merge = nn.Sequential(conv(width, width, 1), norm(spec, width), spec.activation())

    def forward(self, x: Tensor) -> Tensor:
        big = self.big(x)
        return self.merge(self.act(big + self.little(x)))


class BigLittleStage(nn.Module):
    """(B, in_channels, H, W) -> (B, width * expansion, H/stride, W/stride)."""

    def __init__(self, spec: ResNetSpec, stage: int, in_channels: int, stride: int, alpha: int, beta: int) -> None:
        super().__init__()
        width = spec.width * 2 ** (stage - 1)
        slim = max(1, width // alpha)
        channels = width * spec.expansion
        *sites, merge_site = stage_sites(spec, stage)
        # The little branch's blocks are spread over the same depth of the network as the big branch's.
        little = max(1, spec.depths[stage - 1] // beta - 1)
        little_sites = [sites[min(i * len(sites) // little, len(sites) - 1)] for i in range(little)]
        self.big = block_row(spec, in_channels, width, 2, sites, always_project=True, final_relu=False)
        self.little = block_row(spec, in_channels, slim, 1, little_sites, always_project=True)
        self.expand = nn.Sequential(conv(slim * spec.expansion, channels, 1), norm(spec, channels))
        self.act = spec.activation()
        self.merge = block_row(spec, channels, width, stride, [merge_site], always_project=True)

    def forward(self, x: Tensor) -> Tensor:
        big = self.big(x)
        little = self.expand(self.little(x))
        big = F.interpolate(big, scale_factor=2.0, mode="nearest")[..., : little.shape[-2], : little.shape[-1]]
        return self.merge(self.act(little + big))


def big_little_stage(spec: ResNetSpec, stage: int, in_channels: int, alpha: int, beta: int) -> tuple[nn.Module, int]:
    """Build big-little modules but for the last stage, which is a plain row with stride 2."""
    last = len(spec.depths)
    if stage == last:
        return plain_stage(spec, stage, in_channels, stride=2, always_project=True)
    module = BigLittleStage(spec, stage, in_channels, 1 if stage == last - 1 else 2, alpha, beta)
    return module, spec.width * 2 ** (stage - 1) * spec.expansion


def pooled_shortcut(spec: ResNetSpec, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Build a 3x3 average pool with the stride (zeros beyond the edge count), 1x1 convolution, batch norm."""
    pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, conv(in_channels, out_channels, 1), norm(spec, out_channels))


@register
@dataclass(frozen=True)
class BigLittle(ModelTrick):
    """Parameters of Big-Little."""

    alpha: int = bounded(2, least=1)
    """Width of the big branch over width of the little one. The paper: 2 for ResNet-50, 1 for ResNet-152."""
    beta: int = bounded(4, least=1)
    """Blocks of a stage over blocks of the little branch. The paper: 4 for ResNet-50, 2 for ResNet-152."""

    def convert(self, spec: Spec) -> Spec:
        pool = partial(BigLittlePool, alpha=self.alpha) if spec.pool else None
        depths = DEPTHS.get(spec.name) or spec.depths
        if min(depths[:-1]) < 2:
            raise UserError(f"big_little needs at least two blocks in each stage; {spec.name} has {list(depths)}")
        return spec.replace(
            depths=depths,
            pool=pool,
            stage=partial(big_little_stage, alpha=self.alpha, beta=self.beta),
            shortcut=pooled_shortcut if spec.residual else spec.shortcut,
        )
